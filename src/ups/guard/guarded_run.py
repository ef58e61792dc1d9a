"""A guarded run: the decisions, performed on a wandb run while its script calls ``log`` as before."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any, Self

from ups.errors import UsageError
from ups.guard.axes import Definition
from ups.guard.decisions import Actions, Decisions
from ups.guard.processes import Processes
from ups.installed_wandb import load_wandb
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
        run: The run.
        released: True once it has let go of the run.
    """

    def __init__(self, run: wandb.Run, *, from_init: bool = False) -> None:
        self.run = run
        self._processes = Processes()
        uncounted = run.settings.mode == "shared" or run.settings.sync_tensorboard  # wandb then takes no step=
        begun = 0 if uncounted else max(run.step, run.starting_step)  # run.step is 0 when a run has just been resumed
        summary = dict(run.summary) if begun else {}
        self._decisions = Decisions(None if uncounted else begun, summary, from_init=from_init)
        self._log, self._define, self._finish = run.log, run.define_metric, run.finish
        self._replaced: list[tuple[Any, str, Any]] = []
        self.released = False
        self._reported = False

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """``run.log`` of a guarded run: the same arguments, the same errors.

        Where wandb's own process has died, the call is counted and training continues.
        """
        processes = self._processes
        with processes.lock:  # wandb must be given the rows in the order in which they were judged
            if self.released:
                actions = Actions(data, step, commit, judged=False)
            else:
                if processes.are_several and not self._decisions.beside_others:
                    self._decisions.other_processes(known=processes.is_known())
                actions = self._decisions.log(data, step, commit)
                self._report(actions.notices)  # before the call, which may fail
            try:
                self._make(actions.definitions)
                self._log(actions.row, step=actions.step, commit=actions.commit)
            except ConnectionError as error:
                self._report(self._decisions.fault(error))
            else:
                self._decisions.logged(actions, data, step, commit)

    def define_metric(self, name: str, *args: Any, **options: Any) -> Any:
        """``run.define_metric`` of a guarded run: the same arguments, the same errors."""
        with self._processes.lock:
            metric = self._define(name, *args, **options)
            if not self.released:
                actions = self._decisions.define_metric(name, *args, **options)
                self._report(actions.notices)
                self._make(actions.definitions)
            return metric

    def finish(self, *args: Any, **options: Any) -> None:
        """``run.finish`` of a guarded run; it first prints the changes, as :meth:`release` does."""
        self.release()
        self._finish(*args, **options)

    def release(self) -> None:
        """Let go of the run: restore its methods, and print the changes as one line on stderr.

        The rows that W&B has stay as they are. Calling it again does nothing.
        """
        with self._processes.lock:
            self.released = True
            for holder, name, before in self._replaced:
                if getattr(getattr(holder, name, None), "__self__", None) is not self:
                    continue  # somebody has wrapped it; the wrapped guard then passes every call on
                if before is None:
                    delattr(holder, name)
                else:
                    setattr(holder, name, before)
            self._replaced.clear()
        self._report_summary()

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
        atexit.register(self._report_summary)  # 'with run:' and the end of the script finish a run by another way

    def _replace(self, holder: Any, name: str, before: Any) -> None:
        self._replaced.append((holder, name, before))
        setattr(holder, name, getattr(self, name))

    def _make(self, definitions: tuple[Definition, ...]) -> None:
        for name, options in definitions:
            self._define(name, **options)

    def _report(self, notices: tuple[str, ...]) -> None:
        for notice in notices:
            notify(notice)

    def _report_summary(self) -> None:
        """Print the changes, once, in the process that made them."""
        atexit.unregister(self._report_summary)
        summary = self._decisions.summary()
        if summary and not self._reported and not self._processes.forked:
            self._reported = True
            notify(f"guard of run {self.run.id}: {summary}")


def guard_run(run: Any, *, from_init: bool = False) -> Guard:
    """Guard a run, and return its guard; that of a run that has one already.

    Raises:
        UsageError: It is not a wandb run, or it is finished.
    """
    from ups.tracking.run_view import RunView

    run_type = load_wandb().run_type
    import wandb

    if isinstance(run, RunView):
        raise UsageError("ctx.run goes through UPS, so its charts are full already; leave the guard out")
    if not isinstance(run, run_type):
        kind = type(run)
        raise UsageError(
            f"ups.guard() takes the run that wandb.init() returns, not {kind.__module__}.{kind.__qualname__}; "
            "a logger has it as .experiment, .run or .tracker; or call ups.guard() before the run is made"
        )
    before = getattr(run.log, "__self__", None)
    if isinstance(before, Guard):
        return before
    if not run.disabled:
        try:
            run.status()
        except wandb.errors.UsageError as error:
            raise UsageError(f"run {run.id} is finished; call ups.guard(run) right after wandb.init()") from error
    guard = Guard(run, from_init=from_init)
    if not run.disabled and not getattr(run, "journaled", False):  # delivery guards the rows of a journaled run
        guard.install()
    return guard
