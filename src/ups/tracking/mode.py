"""The mode in which a run is tracked: as given, by ``WANDB_MODE``, or by whether credentials are configured."""

import os

from ups.credentials import credentials_source, workspace_setting
from ups.errors import UsageError
from ups.tracking.recording import recording

__all__ = ["MODES", "resolve_mode"]

MODES = ("online", "offline", "local", "disabled")

_ALIASES = {"run": "online", "dryrun": "offline", "shared": "online"}  # as wandb reads WANDB_MODE


def resolve_mode(mode: str | None) -> str:
    """The mode: ``mode``, else ``WANDB_MODE``, else online where credentials are configured. Never prompts.

    While a test records, it is ``local``, or ``disabled`` where that is asked for.

    Raises:
        UsageError: The mode is unknown.
    """
    chosen = _chosen(mode)
    return "local" if recording() is not None and chosen != "disabled" else chosen


def _chosen(mode: str | None) -> str:
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
