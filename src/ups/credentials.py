"""Which W&B server a run would go to, and where credentials for it are configured: found as wandb finds them."""

import configparser
import netrc
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

__all__ = [
    "configured_server",
    "credentials_source",
    "is_same_server",
    "server_address",
    "without_user",
    "workspace_setting",
]

_USER = re.compile(r"(//)[^/?#]*@")
_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")  # W&B's own server: its name since wandb 0.31, and before


def server_address() -> str:
    """The address of the W&B server that is configured, or of W&B's own."""
    return configured_server() or f"https://{_HOSTS[0]}"


def configured_server() -> str | None:
    """The address of the W&B server that is configured here; None where W&B's own is the default."""
    return os.environ.get("WANDB_BASE_URL") or workspace_setting("base_url")


def without_user(address: str) -> str:
    """A server's address without a user's name and password, which stay where they were configured."""
    return _USER.sub(r"\1", address)


def is_same_server(one: str, other: str) -> bool:
    """True where two addresses name one server."""
    return _place(one) == _place(other)


def _place(address: str) -> tuple[str, str, int | None, str]:
    """An address as scheme, host, port and path, however it is written; W&B's own server has one name here."""
    parts = urlsplit(address.strip())
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:  # not a number: the addresses differ as they are written
        return scheme, parts.netloc, None, parts.path
    host = (parts.hostname or "").rstrip(".")
    if host in _HOSTS:
        host = _HOSTS[0]
    return scheme, host, port or {"http": 80, "https": 443}.get(scheme), parts.path.rstrip("/")


def credentials_source() -> str | None:
    """Where wandb would find credentials without asking: a variable's name or a file's path; None for nowhere."""
    for variable in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        if os.environ.get(variable):
            return variable
    if workspace_setting("api_key"):
        return "wandb's settings file"
    path = _netrc_path()
    if path is None:
        return None
    try:
        entries = netrc.netrc(path)
    except (OSError, netrc.NetrcParseError):
        return None
    host = urlsplit(server_address()).netloc
    for name in _HOSTS if host in _HOSTS else (host,):
        entry = entries.authenticators(name)
        if entry is not None and entry[2]:
            return str(path)
    return None


def workspace_setting(key: str) -> str | None:
    """A setting of wandb's own files: the folder's (``wandb offline`` writes it), else the user's."""
    folder = Path(os.environ.get("WANDB_DIR") or ".")
    user = _expanded(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb")
    for path in (folder / "wandb" / "settings", *([user / "settings"] if user is not None else ())):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # wandb itself says so when it reads the file
        value = parser.get("default", key, fallback=None)
        if value:
            return value
    return None


def _netrc_path() -> Path | None:
    named = os.environ.get("NETRC")
    if named:
        return _expanded(named)
    default, alternative = _expanded("~/.netrc"), _expanded("~/_netrc")
    if default is not None and alternative is not None and not default.exists() and alternative.exists():
        return alternative
    return default


def _expanded(path: str) -> Path | None:
    """``path`` with ``~`` expanded; None where the user has no home, as in a container that runs under a number."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None
