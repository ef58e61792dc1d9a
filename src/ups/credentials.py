"""The W&B server that is configured, and the place of its credentials, found as wandb finds them."""

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
    """The address of the configured W&B server, by default W&B's own."""
    return configured_server() or f"https://{_HOSTS[0]}"


def configured_server() -> str | None:
    """The address of the configured W&B server; None for W&B's own by default."""
    return os.environ.get("WANDB_BASE_URL") or workspace_setting("base_url")


def without_user(address: str) -> str:
    """A server's address without a user's name and password."""
    return _USER.sub(r"\1", address)


def is_same_server(one: str, other: str) -> bool:
    """True where two addresses name the same server."""
    return _place(one) == _place(other)


def _place(address: str) -> tuple[str, str, int | None, str]:
    """Split an address into scheme, host, port and path in one spelling; W&B's own server gets one name."""
    parts = urlsplit(address.strip())
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:  # the port is not a number: compare the addresses as text
        return scheme, parts.netloc, None, parts.path
    host = (parts.hostname or "").rstrip(".")
    if host in _HOSTS:
        host = _HOSTS[0]
    return scheme, host, port or {"http": 80, "https": 443}.get(scheme), parts.path.rstrip("/")


def credentials_source() -> str | None:
    """The variable or file in which wandb finds credentials without asking; None if it finds none."""
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
    """A setting from wandb's own files: the folder's, which ``wandb offline`` writes, else the user's."""
    folder = Path(os.environ.get("WANDB_DIR") or ".")
    user = _expanded(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb")
    for path in (folder / "wandb" / "settings", *([user / "settings"] if user is not None else ())):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # wandb itself reports the error when it reads the file
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
    """``path`` with ``~`` expanded; None for a user without a home, as in a container that runs under a number."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None
