"""Turn the drop-in on where it knows the installed wandb; elsewhere the guard in this process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ups.guard.patch_init import EveryRun, guard_every_run
from ups.journal.faults import notify

if TYPE_CHECKING:
    from ups.dropin.seam import DropIn

__all__ = ["turn_on"]

_KNOWN = ((0, 26), (0, 31))  # the versions of wandb whose private parts the tests have gone through


def turn_on() -> DropIn | EveryRun:
    """Journal every run that ``wandb.init`` makes from here on; with another wandb, guard it in this process."""
    import wandb

    numbers = tuple(map(int, re.findall(r"\d+", wandb.__version__)[:2]))
    if not _KNOWN[0] <= numbers <= _KNOWN[1]:
        oldest, newest = (".".join(map(str, each)) for each in _KNOWN)
        notify(
            f"runs are guarded in this process, and their rows are not journaled: that needs wandb {oldest} to"
            f" {newest}, and {wandb.__version__} is installed"
        )
        return guard_every_run()
    from ups.dropin.seam import install

    return install()
