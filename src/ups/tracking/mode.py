"""How a run is tracked when nobody says: ``WANDB_MODE``, else online where credentials are configured, else offline."""

import os
from importlib.util import find_spec

from ups.credentials import credentials_source, workspace_setting
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
        source, chosen = "WANDB_MODE", os.environ.get("WANDB_MODE") or workspace_setting("mode")
    if chosen is None:
        if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes"):
            return "disabled"
        return "online" if credentials_source() else "offline"
    named = str(chosen).lower()
    chosen = _ALIASES.get(named, named)
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
