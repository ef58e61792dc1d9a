"""Turn the drop-in on where it knows the installed wandb; elsewhere the guard in this process."""

from __future__ import annotations

import re

from ups.errors import MissingDependency
from ups.guard.every_run import EveryRun
from ups.guard.patch_init import guard_every_run
from ups.installed_wandb import check_wandb, load_wandb
from ups.journal.faults import notify

__all__ = ["knows", "turn_on", "unable_to_journal"]

_KNOWN = ((0, 21), (0, 31))  # the versions of wandb whose private parts the tests have gone through


def knows(version: str) -> bool:
    """True for a version of wandb whose runs are journaled."""
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    return _KNOWN[0] <= numbers <= _KNOWN[1]


def turn_on() -> EveryRun:
    """Journal every run that ``wandb.init`` makes from here on; where that cannot be, guard it in this process.

    Raises:
        MissingDependency: wandb is not installed, is too old, or cannot be imported.
    """
    reason = unable_to_journal(load_wandb().version) or _unable_to_deliver()
    if reason is not None:
        notify(f"runs are guarded in this process, and their rows are not journaled: {reason}")
        return guard_every_run()
    from ups.dropin.seam import install

    return install()


def unable_to_journal(version: str) -> str | None:
    """The reason why runs cannot be journaled with the wandb of a version; None where they can."""
    if not knows(version):
        oldest, newest = (".".join(map(str, each)) for each in _KNOWN)
        return f"that needs wandb {oldest} to {newest}, and {version} is installed"
    return None


def _unable_to_deliver() -> str | None:
    try:
        check_wandb()
    except MissingDependency as error:
        return str(error)
    return None
