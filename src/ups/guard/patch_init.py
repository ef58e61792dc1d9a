"""The guard of every run in this process, from ``wandb.init`` on, where runs are not journaled."""

from __future__ import annotations

import threading
from typing import Any

from ups.guard.every_run import EveryRun
from ups.guard.guarded_run import Guard, guard_run
from ups.guard.spawned import Carrier
from ups.installed_wandb import load_wandb

__all__ = ["GuardedInit", "guard_every_run"]

_lock = threading.Lock()
_active: GuardedInit | None = None


class GuardedInit(EveryRun):
    """The guard of each run from its ``wandb.init`` on, until :meth:`release`.

    ``wandb.init`` is replaced as an attribute of the module ``wandb``, which is how scripts and libraries call it.
    """

    def __init__(self) -> None:
        load_wandb()
        import wandb

        self._init = wandb.init
        self._guards: list[Guard] = []
        self._carrier = Carrier("ups.guard.patch_init:guard_every_run")
        wandb.init = self.init

    def init(self, *args: Any, **options: Any) -> Any:
        """Call ``wandb.init``, and guard the run that it returns."""
        run = self._init(*args, **options)
        self._guards = [guard for guard in self._guards if not guard.released]
        self._guards.append(guard_run(run, from_init=True))
        return run

    def release(self) -> None:
        """Restore ``wandb.init``, and release each run as :meth:`Guard.release` does."""
        import wandb

        global _active
        with _lock:
            if _active is self:
                _active = None
        if wandb.init == self.init:
            wandb.init = self._init
        self._carrier.release()
        for guard in self._guards:
            guard.release()
        self._guards.clear()


def guard_every_run() -> GuardedInit:
    """Guard every run from here on; return the :class:`GuardedInit` that exists, if one does."""
    global _active
    with _lock:
        if _active is None:
            _active = GuardedInit()
        return _active
