"""Which W&B server a run would go to, and where credentials for it are configured: found as wandb finds them."""

import configparser
import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["credentials_source", "server_address", "workspace_setting"]

_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")  # W&B's own server: its name since wandb 0.31, and before


def server_address() -> str:
    """The address of the W&B server that is configured, or of W&B's own."""
    return os.environ.get("WANDB_BASE_URL") or workspace_setting("base_url") or f"https://{_HOSTS[0]}"


def credentials_source() -> str | None:
    """Where wandb would find credentials without asking: a variable's name or a file's path; None for nowhere."""
    for variable in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        if os.environ.get(variable):
            return variable
    if workspace_setting("api_key"):
        return "wandb's settings file"
    path = _netrc_path()
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
    user = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    for path in (folder / "wandb" / "settings", user / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # wandb itself says so when it reads the file
        value = parser.get("default", key, fallback=None)
        if value:
            return value
    return None


def _netrc_path() -> Path:
    named = os.environ.get("NETRC")
    if named:
        return Path(named).expanduser()
    home = Path.home()
    default, alternative = (".netrc", "_netrc")
    if not (home / default).exists() and (home / alternative).exists():
        return home / alternative
    return home / default
