"""The trainings of a run: those of a framework's trainer, one after another, each a stage.

The integrations share this: the run that a training belongs to, the name of its stage, and the row of that stage that a
framework's row becomes.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ups.charts import check_stage_name, stage_prefix
from ups.errors import InvalidStep, UsageError
from ups.journal.run_directory import RunDirectory
from ups.text import shown
from ups.tracking import WandBContext, create_wandb_context, join_wandb_context
from ups.tracking.config import plain_config
from ups.tracking.context import DISABLED, RUN_DIR_VARIABLE, held_here
from ups.tracking.values import whole_number

__all__ = ["Trainings", "make_run", "must_take_rows", "name_text", "open_run", "resume_in"]

_NAMES = "trainings"  # a file of the run's directory: a line for each training, the run's owner and the stage

_opened: list[WandBContext] = []  # a trainer that is dropped must not take its run along before that is finished


def open_run(run_id: str | None = None) -> WandBContext | None:
    """The run that is open in this process, or in the one that started it; None if there is none, or not ``run_id``."""
    place = os.environ.get(RUN_DIR_VARIABLE)
    if not place or (run_id is not None and place != DISABLED and Path(place).name != run_id):
        return None
    return resume_in(place)


def make_run(run_id: str | None = None, **arguments: Any) -> WandBContext:
    """Make a run by :func:`~ups.create_wandb_context`; with the ``run_id`` of an existing run, resume that one."""
    return _kept(create_wandb_context(run_id=run_id, **{"resume": run_id is not None, **arguments}))


def resume_in(place: str | os.PathLike[str]) -> WandBContext:
    """The run in the directory ``place``: this process's own context of it, else one that joins."""
    return held_here(Path(place).absolute()) or _kept(join_wandb_context(place))


def must_take_rows(argument: str, context: WandBContext | None) -> None:
    """Raise :class:`~ups.errors.UsageError` if the run that was passed as ``argument`` is finished."""
    if context is not None and context.finished:
        raise UsageError(f"{argument} is the run {context.run_id}, which is finished; pass one that is open")


class _Count(NamedTuple):
    """The count of a stage: the last step, and the next at the pace so far; None where that is not known.

    ``single`` is true where there was only one step.
    """

    last: int
    next: int | None
    single: bool


class Trainings:
    """A run, as an integration fills it.

    A training's stage has the name ``base`` unless it is given another, then ``base2``, ``base3``, ….

    Attributes:
        stage: The stage of the newest training; None before the first.
    """

    def __init__(self, context: WandBContext, base: str) -> None:
        check_stage_name(base)
        self.context = context
        self.stage: str | None = None
        self._base = base
        self._names: list[str] = []
        self._last: dict[tuple[str, str], tuple[int, Any]] = {}  # stage and metric → its newest step and value
        self._pace: dict[tuple[str, str], int] = {}  # stage and metric → from its last step but one to its last
        self._counts: dict[str, list[str]] = {}  # what a stage is called → the stages that count so, newest last

    def begin(self, base: str | None = None) -> str:
        """Begin a training. Return its stage: ``base``, or ``base2``, ``base3``, … where that one exists.

        Raises:
            UsageError: The run is finished.
        """
        base = base or self._base
        self.stage = self.take_name(base)
        self._counts.setdefault(base, []).append(self.stage)
        return self.stage

    def enter(self, stage: str) -> None:
        """Resume a stage that exists, or begin it.

        Raises:
            UsageError: The run is finished.
        """
        if stage not in self.names():
            self.take_name(stage)
        counts = self._counts.setdefault(stage, [])
        if stage not in counts:
            counts.append(stage)
        self.stage = stage

    def place(self, metrics: Iterable[str], step: Any, base: str) -> str:
        """Return the stage of a row: the one whose count it continues, the current one if it may be, or a new one.

        A count that goes back has begun again, or is another counter of the loop's, which takes turns with the first:
        training steps in fours and evaluations in ones. Each gets a stage, so that x grows in all charts.
        """
        current = self.stage
        if current is None:
            return self.begin(base)
        try:
            at = whole_number(step)
        except InvalidStep:  # the stage reports it
            return current
        names = tuple(metrics)
        others = [stage for stage in reversed(self._counts.get(base, [])) if stage != current]
        here = self._count_of(current, names)
        if here is None:
            return current
        counts = {stage: count for stage in others if (count := self._count_of(stage, names)) is not None}
        if here.last <= at:
            if at == here.last or at == here.next:
                return current
            single = here.single  # so both may be counters that take turns, each with its first step so far
            for stage, count in counts.items():
                if at == count.next or (single and count.single and here.last < count.last < at):
                    return self._take_turn(base, stage)
            return current
        for stage, count in counts.items():
            if at == count.next or (count.single and count.last < at):
                return self._take_turn(base, stage)
        return self.begin(base)

    def take_name(self, base: str) -> str:
        """Return a stage that no training has had yet.

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
                f"the run {self.context.run_id} is finished and takes no training; finish it after the last one, or"
                " make a new one"
            )

    def names(self) -> list[str]:
        """The stages of the trainings so far, oldest first, also of those in other processes of the run.

        A training may run in a process of its own, as with Lightning's ``ddp_spawn``, so they stand in a file. A
        run that is resumed counts from its beginning again: the same trainings have the same names.
        """
        lines: list[str] = []
        if self.context.enabled:
            with contextlib.suppress(OSError):  # then it knows those of this process only
                lines = (self.context.dir / _NAMES).read_text(encoding="utf-8").splitlines()
        owner = f"{self._owner()} "
        others = [line.removeprefix(owner) for line in lines if line.startswith(owner)]
        return others if len(others) > len(self._names) else self._names

    def newest(self) -> str | None:
        """The stage of the newest training, in whatever process of the run it was; None before the first."""
        return self.stage or next(reversed(self.names()), None)

    def log(
        self, values: Mapping[str, Any], step: int | None = None, stage: str | None = None, *, is_open: bool = False
    ) -> None:
        """Log a row as frameworks do.

        A nested value becomes ``<name>/<key>``, text goes to the summary. A value that its chart has at this very
        step already is left out: trainers repeat the epoch in each of several rows of a step.

        Without ``step``, it is the one after the stage's last; without ``stage``, that of the newest training. Later
        rows of the same step join a row that ``is_open``: each metric keeps its last value.
        """
        name = stage or self.stage or self._base
        position = self._last_step(name) + 1 if step is None else step
        row: dict[str, Any] = {}
        text: dict[str, Any] = {}
        for metric, value in self.flat(values).items():
            if isinstance(value, str):
                text[metric] = value
            elif type(value) not in (int, float) or self._last.get((name, metric)) != (position, value):
                row[metric] = value
        if text:
            self.context.log_eval_summary(text, prefix=stage_prefix(name))
        if row:
            if is_open:
                self.context.log_open_row(name, row, position)
            else:
                self.context.log_training_metrics(name, row, position)
            self._note_steps(name, row, position)

    def log_images(
        self, name: str, images: Sequence[Any], captions: Sequence[str | None], stage: str | None, step: int | None
    ) -> None:
        """Log images that W&B shows beside each other: at a step of a ``stage``, if both are given."""
        if images:
            own = None if step is None else stage
            self.context.log_image(name, list(images), captions, stage=own, step=step)

    def log_table(
        self,
        name: str,
        columns: Sequence[str] | None,
        data: Sequence[Sequence[Any]] | None,
        dataframe: Any,
        stage: str | None,
        step: int | None,
    ) -> None:
        """Log a table, of ``columns`` and rows of ``data``, or of a pandas ``dataframe``; as for :meth:`log_images`."""
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.context.log_table(name, columns or (), data or (), stage=None if step is None else stage, step=step)

    def log_model(self, path: str | os.PathLike[str]) -> None:
        """Log a model's file or folder as the newest version of the run's one model."""
        self.context.log_artifact(path, f"model-{self.context.run_id}", "model")

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

    def flat(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """``values`` with ``{"loss": {"pde": 0.5}}`` as ``{"loss/pde": 0.5}``; reports names that are not strings."""
        flat: dict[str, Any] = {}
        for name, value in values.items():
            text = name_text(name)
            if not isinstance(name, str):
                self.context.sink.note(
                    "names",
                    f"the name {shown(name)} is not a string: its values are logged as {text!r}, and those of other"
                    " such names in the same way",
                )
            if isinstance(value, Mapping):
                flat.update({f"{text}/{key}": inner for key, inner in self.flat(value).items()})
            else:
                flat[text] = value
        return flat

    def _note_steps(self, stage: str, row: Mapping[str, Any], position: Any) -> None:
        """Note the step and the pace of the metrics of a row."""
        try:
            at = whole_number(position)
        except InvalidStep:
            return
        for metric, value in row.items():
            before = self._last.get((stage, metric))
            if before is not None and at > before[0]:
                self._pace[stage, metric] = at - before[0]
            if before is None or at >= before[0]:
                self._last[stage, metric] = (at, value if type(value) in (int, float) else None)

    def _count_of(self, stage: str, metrics: Iterable[str]) -> _Count | None:
        """The count of a stage, by those of the metrics that it has logged; None if it has logged no such metric."""
        known = [metric for metric in metrics if (stage, metric) in self._last]
        if not known:
            return None
        paces = {metric: pace for metric in known if (pace := self._pace.get((stage, metric))) is not None}
        coming = {self._last[stage, metric][0] + pace for metric, pace in paces.items()}
        last = max(self._last[stage, metric][0] for metric in known)
        return _Count(last, coming.pop() if len(coming) == 1 else None, single=not paces)

    def _take_turn(self, base: str, stage: str) -> str:
        """Make another count the current one."""
        counts = self._counts[base]
        counts.remove(stage)
        counts.append(stage)
        self.stage = stage
        return stage

    def _last_step(self, stage: str) -> int:
        return max((step for (name, _), (step, _) in self._last.items() if name == stage), default=-1)

    def _owner(self) -> str:
        """The process whose end is the run's end: a new one each time that the run is resumed."""
        return next(reversed(RunDirectory(self.context.dir).owners()), "")


def _kept(context: WandBContext) -> WandBContext:
    _opened[:] = [*(held for held in _opened if not held.finished), context]
    return context


def name_text(name: Any) -> str:
    """The name under which something is logged; of an enumeration's member that is a string, that string."""
    if isinstance(name, str):
        return str.__str__(name)
    try:
        return str(name)
    except Exception:  # noqa: BLE001 - a name's own text may fail in any way, and its value is kept
        return shown(name)
