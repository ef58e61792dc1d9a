"""A wandb run whose charts are kept full while its script goes on calling ``log`` as it did."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, Self

from ups.errors import UsageError
from ups.guard.axes import Definition
from ups.guard.decisions import Actions, Decisions
from ups.guard.processes import Processes
from ups.journal.faults import notify

if TYPE_CHECKING:
    import wandb

__all__ = ["Guard", "guard_run"]


class Guard:
    """The hold on one run, from :func:`ups.guard` to :meth:`release`. As a context manager it releases at the end.

    The run's public methods ``log``, ``define_metric`` and ``finish`` are replaced on the run itself, not on its
    class: other runs, and wandb, stay as they are. ``wandb.log`` and ``wandb.define_metric`` are replaced where
    they are those of this run.

    Attributes:
        run: the run.
        released: whether it has let go of the run.
    """

    def __init__(self, run: wandb.Run, *, from_init: bool = False) -> None:
        self.run = run
        self._processes = Processes()
        self._several = False
        uncounted = run.settings.mode == "shared" or run.settings.sync_tensorboard  # wandb then takes no step=
        begun = 0 if uncounted else max(run.step, run.starting_step)  # run.step is 0 when a run has just been resumed
        summary = dict(run.summary) if begun else {}
        self._decisions = Decisions(None if uncounted else begun, summary, from_init=from_init)
        self._log, self._define, self._finish = run.log, run.define_metric, run.finish
        self._replaced: list[tuple[Any, str, Any]] = []
        self.released = False
        self._told = False

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """``run.log`` of a guarded run: the same arguments, the same errors.

        Where wandb's own process has died, the call is counted and training continues.
        """
        processes = self._processes
        with processes.lock:  # wandb must be given the rows in the order in which they were judged
            if self.released:
                actions = Actions(data, step, commit, judged=False)
            else:
                if (processes.forked or processes.others[0]) and not self._several:
                    self._several = True
                    self._decisions.other_processes(known=processes.is_known())
                actions = self._decisions.log(data, step, commit)
                if actions.notices:
                    self._say(actions.notices)
            try:
                if actions.definitions:
                    self._make(actions.definitions)
                self._log(actions.row, step=actions.step, commit=actions.commit)
            except ConnectionError as error:
                self._say(self._decisions.fault(error))
            else:
                self._decisions.logged(actions, data, step, commit)

    def define_metric(self, name: str, *args: Any, **options: Any) -> Any:
        """``run.define_metric`` of a guarded run: the same arguments, the same errors."""
        with self._processes.lock:
            metric = self._define(name, *args, **options)
            if not self.released:
                actions = self._decisions.define_metric(name, *args, **options)
                self._say(actions.notices)
                self._make(actions.definitions)
            return metric

    def finish(self, *args: Any, **options: Any) -> None:
        """``run.finish`` of a guarded run; prints first what was changed, as :meth:`release` does."""
        self.release()
        self._finish(*args, **options)

    def release(self) -> None:
        """Let go of the run: its methods are what they were, and what was changed is printed as one line on stderr.

        The rows that W&B has stay as they are. Calling it again does nothing.
        """
        with self._processes.lock:
            self.released = True
            for holder, name, before in self._replaced:
                if getattr(getattr(holder, name, None), "__self__", None) is not self:
                    continue  # somebody has put something over it, which calls a guard that lets all pass
                if before is None:
                    delattr(holder, name)
                else:
                    setattr(holder, name, before)
            self._replaced.clear()
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def install(self) -> None:
        """Put the guard's methods in the place of the run's."""
        import wandb

        for name in ("log", "define_metric", "finish"):
            self._replace(self.run, name, vars(self.run).get(name))
        if wandb.run is self.run:
            for name in ("log", "define_metric"):
                self._replace(wandb, name, getattr(wandb, name))
        atexit.register(self._tell)  # 'with run:' and the end of the script finish a run by another way

    def _replace(self, holder: Any, name: str, before: Any) -> None:
        self._replaced.append((holder, name, before))
        setattr(holder, name, getattr(self, name))

    def _make(self, definitions: tuple[Definition, ...]) -> None:
        for name, options in definitions:
            self._define(name, **options)

    def _say(self, notices: tuple[str, ...]) -> None:
        for notice in notices:  # before the call is made, since that may fail
            notify(notice)

    def _tell(self) -> None:
        """Say what was changed, once; in the process that did it."""
        atexit.unregister(self._tell)
        summary = self._decisions.summary()
        if summary and not self._told and not self._processes.forked:
            self._told = True
            notify(f"guard of run {self.run.id}: {summary}")


def guard_run(run: Any, *, from_init: bool = False) -> Guard:
    """The guard of a run; the one that it has, if it has one.

    Raises:
        UsageError: it is no wandb run, or it is finished.
    """
    import wandb

    from ups.tracking.run_view import RunView

    if isinstance(run, RunView):
        raise UsageError("ctx.run goes through UPS, so its charts are full already: leave the guard out")
    if not isinstance(run, wandb.Run):
        kind = type(run)
        raise UsageError(
            f"ups.guard() takes the run that wandb.init() returns, not {kind.__module__}.{kind.__qualname__}: "
            "a logger has it as .experiment, .run or .tracker; or call ups.guard() before the run is made"
        )
    before = getattr(run.log, "__self__", None)
    if isinstance(before, Guard):
        return before
    if not run.disabled:
        try:
            run.status()
        except wandb.errors.UsageError as error:
            raise UsageError(f"run {run.id} is finished: call ups.guard(run) right after wandb.init()") from error
    guard = Guard(run, from_init=from_init)
    if not run.disabled:
        guard.install()
    return guard
