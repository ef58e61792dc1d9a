"""The trainings of a run: what a framework's trainer does one after another, each a stage.

What the integrations share: which run a training belongs to, what its stage is called, and how a row that a framework
logs becomes a row of that stage.
"""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ups.charts import check_stage_name, stage_prefix
from ups.errors import UsageError
from ups.tracking import WandBContext, create_wandb_context, join_wandb_context
from ups.tracking.config import plain_config
from ups.tracking.context import DISABLED, RUN_DIR_VARIABLE
from ups.tracking.process_end import held_here
from ups.tracking.run_directory import RunDirectory

__all__ = ["Trainings", "flattened", "go_on_in", "make_run", "must_take_rows", "open_run"]

_NAMES = "trainings"  # a file of the run's directory: a line for each training, the run's owner and the stage

_opened: list[WandBContext] = []  # a trainer that is dropped must not take its run along before that is finished


def open_run(run_id: str | None = None) -> WandBContext | None:
    """The run that is open in this process, or in the one that started it; None if there is none, or not ``run_id``."""
    place = os.environ.get(RUN_DIR_VARIABLE)
    if not place or (run_id is not None and place != DISABLED and Path(place).name != run_id):
        return None
    return go_on_in(place)


def make_run(run_id: str | None = None, **arguments: Any) -> WandBContext:
    """A new run; with a ``run_id`` that is there already, that one is gone on with.

    Args:
        run_id: W&B's id of the run.
        arguments: What else :func:`~ups.create_wandb_context` takes.
    """
    return _kept(create_wandb_context(run_id=run_id, **{"resume": run_id is not None, **arguments}))


def go_on_in(place: str | os.PathLike[str]) -> WandBContext:
    """The run in the directory ``place``: this process's own context of it, else one that joins."""
    return held_here(Path(place).absolute()) or _kept(join_wandb_context(place))


def must_take_rows(argument: str, context: WandBContext | None) -> None:
    """Raise :class:`~ups.errors.UsageError` if the run that somebody passed as ``argument`` is finished."""
    if context is not None and context.finished:
        raise UsageError(f"{argument} is the run {context.run_id}, which is finished: pass one that is not")


class Trainings:
    """A run, as an integration fills it.

    Args:
        context: The run.
        base: What a training's stage is called where nobody says: ``base``, then ``base2``, ``base3``, ….

    Attributes:
        context: The run.
        stage: The stage of the newest training; None before the first.
    """

    def __init__(self, context: WandBContext, base: str) -> None:
        check_stage_name(base)
        self.context = context
        self.stage: str | None = None
        self._base = base
        self._names: list[str] = []
        self._last: dict[tuple[str, str], tuple[int, Any]] = {}  # stage and metric → its newest step and value
        self._first_step: dict[str, int] = {}

    def begin(self, base: str | None = None) -> str:
        """A training begins. Returns its stage: ``base``, or ``base2``, ``base3``, … where there was one.

        Raises:
            UsageError: The run is finished.
        """
        self.stage = self.take_name(base or self._base)
        return self.stage

    def enter(self, stage: str) -> None:
        """Go on with a stage that there was before, or begin it.

        Raises:
            UsageError: The run is finished.
        """
        if stage not in self.names():
            self.take_name(stage)
        self.stage = stage

    def take_name(self, base: str) -> str:
        """A stage that no training has had yet.

        Raises:
            UsageError: The run is finished.
        """
        self.must_be_open()
        taken = self.names()
        stage, count = base, 1
        while stage in taken:
            count += 1
            stage = f"{base}{count}"
        self._names = [*taken, stage]
        if self.context.enabled:
            with contextlib.suppress(OSError), (self.context.dir / _NAMES).open("a", encoding="utf-8") as file:
                file.write(f"{self._owner()} {stage}\n")
        return stage

    def must_be_open(self) -> None:
        """Raise :class:`~ups.errors.UsageError` if the run is finished."""
        if self.context.finished:
            raise UsageError(
                f"the run {self.context.run_id} is finished and takes no training: finish it after the last one, or"
                " make a new one"
            )

    def names(self) -> list[str]:
        """The stages of the trainings so far, oldest first, also of those in other processes of the run.

        A training may run in a process of its own, as with Lightning's ``ddp_spawn``, so they stand in a file. A
        run that is resumed counts from its beginning again: the same trainings have the same names.
        """
        lines: list[str] = []
        if self.context.enabled:
            with contextlib.suppress(OSError):  # then those of this process have to do
                lines = (self.context.dir / _NAMES).read_text(encoding="utf-8").splitlines()
        owner = f"{self._owner()} "
        others = [line.removeprefix(owner) for line in lines if line.startswith(owner)]
        return others if len(others) > len(self._names) else self._names

    def newest(self) -> str | None:
        """The stage of the newest training, in whatever process of the run it was; None before the first."""
        return self.stage or next(reversed(self.names()), None)

    def log(self, values: Mapping[str, Any], step: int | None = None, stage: str | None = None) -> None:
        """Log a row as frameworks do.

        A nested value becomes ``<name>/<key>``, text goes to the summary. A value that says again what its chart has
        at this very step is left out: trainers repeat the epoch in each of several rows of a step.

        Args:
            values: Metric names to values.
            step: The stage's step; None for the one after its last.
            stage: By default that of the newest training.
        """
        name = stage or self.stage or self._base
        position = self._last_step(name) + 1 if step is None else step
        row: dict[str, Any] = {}
        text: dict[str, Any] = {}
        for metric, value in flattened(values).items():
            if isinstance(value, str):
                text[metric] = value
            elif type(value) not in (int, float) or self._last.get((name, metric)) != (position, value):
                row[metric] = value
        if text:
            self.context.log_eval_summary(text, prefix=stage_prefix(name))
        if row:
            self.context.log_training_metrics(name, row, position)
            self._first_step.setdefault(name, position)
            for metric, value in row.items():
                self._last[name, metric] = (position, value if type(value) in (int, float) else None)

    def log_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        data: Sequence[Sequence[Any]] | None = None,
        dataframe: Any = None,
    ) -> None:
        """Log a table, of ``columns`` and rows of ``data``, or of a pandas ``dataframe``."""
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.context.log_table(name, columns or (), data or ())

    def log_model(self, path: str | os.PathLike[str]) -> None:
        """Log a model's file or folder as the newest version of the run's one model."""
        self.context.log_artifact(path, f"model-{self.context.run_id}", "model")

    def counts_anew(self, row: Mapping[str, Any], step: int, stage: str) -> bool:
        """Whether ``row`` at ``step`` begins the stage's count again: at or before its first step, and each of its
        metrics has been beyond. A metric that only repeats a step, or has a slower count of its own, does not.
        """
        first = self._first_step.get(stage)
        return (
            bool(row)
            and first is not None
            and step <= first
            and all(self._last.get((stage, metric), (step, None))[0] > step for metric in row)
        )

    def configure(self, values: Any) -> None:
        """Add a training's parameters to the run's configuration, in which the newest stand.

        What an earlier training had otherwise is kept, under ``earlier`` and its stage.
        """
        new = plain_config(values)
        held = self.context.config
        before = {name: held[name] for name, value in new.items() if name in held and held[name] != value}
        stage = self.newest()
        if before and stage is not None:
            earlier = dict(held.get("earlier", {}))
            new["earlier"] = {**earlier, stage: {**before, **earlier.get(stage, {})}}
        if any(name not in held or held[name] != value for name, value in new.items()):
            self.context.update_config(new)

    def _last_step(self, stage: str) -> int:
        return max((step for (name, _), (step, _) in self._last.items() if name == stage), default=-1)

    def _owner(self) -> str:
        """The process whose end is the run's end: another one each time that the run is resumed."""
        return next(reversed(RunDirectory(self.context.dir).owners()), "")


def _kept(context: WandBContext) -> WandBContext:
    _opened[:] = [*(held for held in _opened if not held.finished), context]
    return context


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``{"loss": {"pde": 0.5}}`` as ``{"loss/pde": 0.5}``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{key}": inner for key, inner in flattened(value).items()})
        else:
            flat[name] = value
    return flat
