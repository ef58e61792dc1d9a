"""Full charts for code that calls ``wandb.init`` and ``run.log`` itself, by hand or through another library.

``ups.guard()`` and ``ups.guard(run)`` are this module, called. It is also run, for a script that cannot be edited:
``python -m ups.guard train.py …``, which is ``ups run``.
"""

import sys
from types import ModuleType
from typing import Any, overload

from ups.extras import require
from ups.guard.every_run import EveryRun
from ups.guard.guarded_run import Guard, guard_run

__all__ = ["EveryRun", "Guard", "guard"]


@overload
def guard(run: None = None) -> EveryRun: ...
@overload
def guard(run: Any) -> Guard: ...
def guard(run: Any = None) -> Guard | EveryRun:
    """Keep the charts of a wandb run full while its code calls ``run.log`` as before.

    A row that ``step=`` would drop is kept, on an axis of its own. An axis that a row lacks is put into it. A metric
    whose axis begins again enters a new part: ``part2/train/loss`` against ``part2/train/global_step``. A metric that
    several globs match is defined by its exact name. Values that no
    line can show, overwritten values, and a broken connection to wandb are reported once. Rows that are right already
    are not touched. Changes are printed on stderr.

    Args:
        run: The run that ``wandb.init`` returned; call it before ``define_metric``. It stays as it is, in this
            process. Without it, every run that ``wandb.init`` makes from here on, by hand or in a library, is
            journaled as it is logged, and another process gives it to wandb through the guard: a kill loses no row.

    Returns:
        The guard of the run, or the hold on ``wandb.init``. Its ``release()`` undoes it, and so does leaving it as a
        context manager.

    Raises:
        UsageError: ``run`` is not a wandb run, or it is finished.
        MissingDependency: wandb is not installed.
    """
    require("wandb", "wandb", user="ups.guard()")
    if run is not None:
        return guard_run(run)
    from ups.dropin.turn_on import turn_on  # which stands on the guard's parts

    return turn_on()


class _Callable(ModuleType):
    """Makes ``ups.guard(run)`` work, also where the module ``ups.guard`` has been imported."""

    def __call__(self, run: Any = None) -> Guard | EveryRun:
        kept: Guard | EveryRun = guard(run)
        return kept


_Callable.__call__.__doc__ = guard.__doc__
sys.modules[__name__].__class__ = _Callable
