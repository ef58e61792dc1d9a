"""How a run is tracked when nobody says: ``WANDB_MODE``, else online where credentials are configured, else offline."""

import configparser
import netrc
import os
import platform
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ups.errors import MissingDependency, UsageError

__all__ = ["MODES", "require_wandb", "resolve_mode"]

MODES = ("online", "offline", "local", "disabled")

_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}  # as wandb reads WANDB_MODE


def resolve_mode(mode: str | None) -> str:
    """The mode to track in: ``mode``, else ``WANDB_MODE``, else by whether credentials are configured. Never prompts.

    Raises:
        UsageError: There is no such mode.
    """
    source, chosen = "mode", mode
    if chosen is None:
        source, chosen = "WANDB_MODE", os.environ.get("WANDB_MODE") or _workspace_setting("mode")
    if chosen is None:
        if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
            return "disabled"
        return "online" if has_credentials() else "offline"
    chosen = _ALIASES.get(chosen.lower(), chosen.lower())
    if chosen not in MODES:
        raise UsageError(f"{source} is {chosen!r}: choose one of {', '.join(MODES)}")
    return chosen


def require_wandb() -> None:
    """See that wandb is installed, without importing it: that is for the process that delivers.

    Raises:
        MissingDependency: It is not.
    """
    if find_spec("wandb") is None:
        raise MissingDependency(
            "wandb is not installed: pip install wandb. Or track with mode='local', and deliver with 'ups deliver'"
            " from a machine that has it"
        )


def has_credentials() -> bool:
    """Whether wandb would find credentials without asking: in the environment, a netrc file or its settings."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    if _workspace_setting("api_key"):
        return True
    server = os.environ.get("WANDB_BASE_URL") or _workspace_setting("base_url") or "https://api.wandb.ai"
    host = urlsplit(server).netloc
    try:
        entry = netrc.netrc(_netrc_path()).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return False
    return entry is not None and bool(entry[2])


def _netrc_path() -> Path:
    named = os.environ.get("NETRC")
    if named:
        return Path(named).expanduser()
    home = Path.home()
    default, alternative = (".netrc", "_netrc")
    if platform.system() == "Windows" or (not (home / default).exists() and (home / alternative).exists()):
        return home / alternative
    return home / default


def _workspace_setting(key: str) -> str | None:
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
