"""The mode in which a run is tracked: as given, by ``WANDB_MODE``, or by whether credentials are configured."""

import os
from importlib.util import find_spec

from ups.credentials import credentials_source, workspace_setting
from ups.errors import MissingDependency, UsageError
from ups.installed_wandb import check_wandb

__all__ = ["MODES", "require_wandb", "resolve_mode"]

MODES = ("online", "offline", "local", "disabled")

_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}  # as wandb reads WANDB_MODE


def resolve_mode(mode: str | None) -> str:
    """The mode: ``mode``, else ``WANDB_MODE``, else online where credentials are configured. Never prompts.

    Raises:
        UsageError: The mode is unknown.
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
    """Check that wandb is installed, without importing it: only the delivery process does.

    Raises:
        MissingDependency: It is not installed, or it is too old.
    """
    if find_spec("wandb") is None:
        raise MissingDependency(
            "wandb is not installed: pip install wandb. Or track with mode='local', and run 'ups deliver' on a machine"
            " that has wandb"
        )
    check_wandb()
