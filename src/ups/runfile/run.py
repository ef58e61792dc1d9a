"""A run as it stands in its files: who it is, its definitions, and its rows as columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, Axis, Definitions
from ups.runfile.framing import Damage, FrameReader
from ups.runfile.history import Column, Columns, Form
from ups.runfile.logs import LostRows, lost_rows
from ups.runfile.numbering import Numbering
from ups.runfile.records import (
    ConfigChange,
    Exit,
    Kind,
    MetricDefinition,
    RunInfo,
    SummaryChange,
    find_payloads,
    parse,
)
from ups.runfile.table import to_pandas, to_polars

__all__ = ["Run", "Segment", "Series"]

_STRUCTURE = (Kind.RUN, Kind.METRIC, Kind.CONFIG, Kind.EXIT)


@dataclass(frozen=True)
class Segment:
    """One ``.wandb`` file of a run: a run that was resumed, or recovered, has several.

    Attributes:
        path: the file.
        size: its length in bytes when it was read.
        damage: the ranges that hold no readable record.
        torn: bytes of an unfinished record at its end.
        finished: whether it ends with the record of an orderly exit.
    """

    path: Path
    size: int
    damage: tuple[Damage, ...]
    torn: int
    finished: bool


@dataclass(frozen=True)
class Series:
    """One metric against its axis: the rows that hold both, in the order in which they were logged.

    Attributes:
        rows: int64, shape (rows,): the row numbers.
        steps: int64, shape (rows,): W&B's ``_step``.
        x, y: float64, shape (rows,): NaN also where a value is no number.
        held: how many rows hold the metric, with the axis or without.
        not_numeric: how many of those hold something that is no number.
        not_finite: how many of those hold NaN or an infinity.
        sample: the first value that is no number.
    """

    rows: NDArray[np.int64]
    steps: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    held: int
    not_numeric: int
    not_finite: int
    sample: Any = None


class Run:
    """A run, read from one file or more. :func:`open_run` makes one.

    Attributes:
        path: what was opened.
        run_id, name, project, entity: as in W&B; empty where the files do not say.
        tags: the run's tags.
        config: the configuration, without wandb's own ``_wandb``.
        stages: the stages that were declared, in order; empty for a run that UPS did not make.
        definitions: what ``define_metric`` said.
        exit_code: the code that the run finished with; None if it did not.
        segments: the files, oldest first.

    Args:
        steps_identify_rows: whether rows of one ``_step`` are copies of one row, as in a UPS run directory, where
            a segment begins with rows that the one before may hold as well: the first copy is kept.
        on_read: is told how many more bytes were read, again and again.
    """

    def __init__(
        self,
        path: Path,
        files: Iterable[Path],
        *,
        stages: Iterable[str] = (),
        steps_identify_rows: bool = False,
        on_read: Callable[[int], None] | None = None,
    ) -> None:
        self.path = path
        self.run_id = self.name = self.project = self.entity = ""
        self.tags: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.definitions = Definitions()
        self.exit_code: int | None = None
        self.segments: list[Segment] = []
        self._columns = Columns()
        self._steps_identify_rows = steps_identify_rows
        self._finished = False
        for file in files:
            self.segments.append(self._read(file, on_read))
        if self.segments:
            self._finished = self.segments[-1].finished
        if steps_identify_rows and len(self.segments) > 1:
            self._columns.drop_repeated_steps()
        declared = self.config.get("ups")
        named = declared.get("stages") if isinstance(declared, dict) else None
        self.stages = tuple(str(stage) for stage in stages or (named if isinstance(named, list) else ()))

    @classmethod
    def from_rows(
        cls,
        path: Path,
        rows: Iterable[Mapping[str, float]],
        *,
        run_id: str,
        name: str = "",
        definitions: Definitions | None = None,
        stages: Iterable[str] = (),
        config: Mapping[str, Any] | None = None,
        finished: bool = False,
    ) -> Self:
        """A run whose rows are in memory, as one that has only a journal.

        Args:
            rows: one mapping a row, in the order in which they were logged; gone through once. ``_step`` counts
                them where a row does not hold it.
        """
        run = cls(path, (), stages=stages)
        run.run_id, run.name, run.config = run_id, name, dict(config or {})
        run.definitions = definitions or Definitions()
        run._finished = finished
        run._columns = Columns.of_rows(rows)
        run._hidden_columns = run._columns
        return run

    @property
    def rows(self) -> int:
        """How many rows were logged."""
        return self._columns.rows

    @property
    def finished(self) -> bool:
        """Whether the last segment holds the record of an exit; if not, the run was killed, or still runs."""
        return self._finished

    @property
    def damage(self) -> list[tuple[Path, Damage]]:
        """Every range of every file that holds no readable record."""
        return [(segment.path, damage) for segment in self.segments for damage in segment.damage]

    @property
    def last_step(self) -> int | None:
        """The highest ``_step`` of a row; None without rows."""
        return int(self._columns.steps().max()) if self.rows else None

    @property
    def logged(self) -> list[str]:
        """Every name under which something was logged, media too, in order of appearance."""
        return [name for name in self._columns.names() if not name.startswith("_")]

    @cached_property
    def metrics(self) -> list[str]:
        """The names whose values a chart could show, in order of appearance: no media, no leading ``_``."""
        names = self._columns.names()
        media = tuple(name.removesuffix("_type") for name in names if name.endswith("._type"))
        return [name for name in names if not name.startswith(media or ("\0",)) and not name.startswith("_")]

    @cached_property
    def charts(self) -> list[str]:
        """The metrics that W&B draws: neither axes nor hidden."""
        axes = self.definitions.step_metrics()
        return [name for name in self.metrics if name not in axes and not self.definitions.is_hidden(name)]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run's summary, with nested dictionaries. Read on first use, since it fills most of a file."""
        summary: dict[str, Any] = {}
        for segment in self.segments:
            for change in _records(segment.path, (Kind.SUMMARY,)):
                if isinstance(change, SummaryChange):
                    _apply(summary, change)
        return summary

    @cached_property
    def lost_rows(self) -> LostRows:
        """The rows that wandb dropped, by the run's own logs."""
        return lost_rows(segment.path for segment in self.segments)

    def axis(self, metric: str) -> Axis:
        """What the metric is drawn against."""
        return self.definitions.axis(metric)

    def column(self, name: str) -> Column | None:
        """All values logged under a name, ``_step`` and ``_timestamp`` too; None if there are none."""
        if name == DEFAULT_AXIS:
            steps = self._columns.steps()
            return Column(np.arange(len(steps)), steps.astype(np.float64), np.zeros(len(steps), dtype=np.uint8))
        columns = self._hidden_columns if name.startswith("_") else self._columns
        return columns.get(name)

    def series(self, metric: str) -> Series:
        """The metric against its axis."""
        y = self.column(metric) or _EMPTY
        x = self.column(self.axis(metric).metric) or _EMPTY
        rows, x_values, y_values = y.rows, x.values, y.values
        if not np.array_equal(rows, x.rows):
            both = np.isin(rows, x.rows, assume_unique=True)
            rows, y_values = rows[both], y_values[both]
            x_values = x_values[np.searchsorted(x.rows, rows)]
        return Series(
            rows=rows,
            steps=self._columns.steps()[rows],
            x=x_values,
            y=y_values,
            held=len(y.rows),
            not_numeric=int(np.count_nonzero(y.forms != Form.NUMBER)),
            not_finite=int(np.count_nonzero((y.forms == Form.NUMBER) & ~np.isfinite(y.values))),
            sample=y.sample,
        )

    def to_polars(self) -> Any:
        """The rows as a ``polars.DataFrame``: ``_step``, ``_timestamp``, then a column a metric; null where not held.

        Raises:
            MissingDependency: polars is not installed.
        """
        return to_polars(self)

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``: ``_step``, ``_timestamp``, then a column a metric; NaN where not held.

        Raises:
            MissingDependency: pandas is not installed.
        """
        return to_pandas(self)

    @cached_property
    def _hidden_columns(self) -> Columns:
        columns = Columns(with_hidden=True)
        for segment in self.segments:
            numbering = Numbering(segment.path)
            for batch in FrameReader(segment.path, end=segment.size):
                payloads = find_payloads(batch)
                history = (payloads.kind == Kind.HISTORY) & numbering.fresh(batch, payloads)
                columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
        if self._steps_identify_rows and len(self.segments) > 1:
            columns.drop_repeated_steps()
        return columns

    def _read(self, path: Path, on_read: Callable[[int], None] | None) -> Segment:
        reader, numbering = FrameReader(path), Numbering(path)
        finished = False
        for batch in reader:
            payloads = find_payloads(batch)
            history = (payloads.kind == Kind.HISTORY) & numbering.fresh(batch, payloads)
            self._columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
            for index in np.flatnonzero(np.isin(payloads.kind, _STRUCTURE)).tolist():
                start, length = int(batch.starts[index]), int(batch.lengths[index])
                record = parse(payloads.buffer[start : start + length].tobytes())
                finished = finished or isinstance(record, Exit)
                self._take(record)
            if on_read is not None:
                on_read(len(batch.data))
        return Segment(path, reader.size, tuple(numbering.damage(reader.damage)), reader.torn, finished)

    def _take(self, record: object) -> None:
        match record:
            case RunInfo():
                self.run_id = record.run_id or self.run_id
                self.name = record.name or self.name
                self.project = record.project or self.project
                self.entity = record.entity or self.entity
                self.tags = record.tags or self.tags
                self.config |= {key: value for key, value in record.config.items() if key != "_wandb"}
            case MetricDefinition():
                self.definitions.define(
                    record.glob or record.name,
                    record.step_metric,
                    hidden=record.hidden,
                    expanded=record.expanded_from_glob,
                )
            case ConfigChange():
                _apply(self.config, record)
                self.config.pop("_wandb", None)
            case Exit():
                self.exit_code = record.exit_code


_EMPTY = Column(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.uint8))


def _records(path: Path, kinds: Iterable[Kind]) -> Iterator[object]:
    """What the records of some kinds say, one after the other."""
    wanted = [int(kind) for kind in kinds]
    for batch in FrameReader(path):
        kind = find_payloads(batch).kind
        for index in np.flatnonzero(np.isin(kind, wanted)).tolist():
            start = int(batch.starts[index])
            yield parse(batch.data[start : start + int(batch.lengths[index])])


def _apply(target: dict[str, Any], change: ConfigChange | SummaryChange) -> None:
    """Carry out a change in nested dictionaries."""
    for path, value in change.update.items():
        inner = target
        for key in path[:-1]:
            below = inner.get(key)
            if not isinstance(below, dict):
                below = inner[key] = {}
            inner = below
        inner[path[-1]] = value
    for path in change.remove:
        inner = target
        for key in path[:-1]:
            below = inner.get(key)
            inner = below if isinstance(below, dict) else {}
        inner.pop(path[-1], None)
