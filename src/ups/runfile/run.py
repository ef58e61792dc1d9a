"""A run as it stands in its files: who it is, its definitions, and its rows as columns."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, Axis, Definitions
from ups.errors import RunFileError
from ups.runfile.framing import BLOCK, WINDOW, Damage, FrameReader
from ups.runfile.history import Column, Columns, Form
from ups.runfile.logs import LostRows, lost_rows
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

__all__ = ["Run", "Segment", "Series", "last_step", "open_run", "open_runs"]

_SEGMENT_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)\Z")
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
    """

    def __init__(self, path: Path, files: Iterable[Path], *, stages: Iterable[str] = ()) -> None:
        self.path = path
        self.run_id = self.name = self.project = self.entity = ""
        self.tags: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.definitions = Definitions()
        self.exit_code: int | None = None
        self.segments: list[Segment] = []
        self._columns = Columns()
        for file in files:
            self.segments.append(self._read(file))
        declared = self.config.get("ups")
        named = declared.get("stages") if isinstance(declared, dict) else None
        self.stages = tuple(str(stage) for stage in stages or (named if isinstance(named, list) else ()))

    @property
    def rows(self) -> int:
        """How many rows were logged."""
        return self._columns.rows

    @property
    def finished(self) -> bool:
        """Whether the last segment holds the record of an exit; if not, the run was killed, or still runs."""
        return bool(self.segments) and self.segments[-1].finished

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
        return self._columns.names()

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

    @cached_property
    def _hidden_columns(self) -> Columns:
        columns = Columns(with_hidden=True)
        for segment in self.segments:
            for batch in FrameReader(segment.path):
                payloads = find_payloads(batch)
                history = payloads.kind == Kind.HISTORY
                columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
        return columns

    def _read(self, path: Path) -> Segment:
        reader = FrameReader(path)
        finished = False
        for batch in reader:
            payloads = find_payloads(batch)
            history = payloads.kind == Kind.HISTORY
            self._columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
            for index in np.flatnonzero(np.isin(payloads.kind, _STRUCTURE)).tolist():
                start, length = int(batch.starts[index]), int(batch.lengths[index])
                record = parse(payloads.buffer[start : start + length].tobytes())
                finished = finished or isinstance(record, Exit)
                self._take(record)
        return Segment(path, reader.size, tuple(reader.damage), reader.torn, finished)

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


def open_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Every run at ``path``: a ``.wandb`` file, a run's directory (W&B's or UPS's), or a ``wandb`` folder.

    Several files of one run id become one run. Runs are ordered by the time of their first file.

    Raises:
        RunFileError: there is no run, or a file of it cannot be read.
    """
    path = Path(path)
    if path.is_file():
        return [Run(path, [path])]
    if not path.is_dir():
        raise RunFileError(f"{path} does not exist")
    stages = _declared_stages(path / "run.json")
    by_id: dict[str, list[Path]] = {}
    for file in _segment_files(path):
        by_id.setdefault(file.stem, []).append(file)
    if not by_id:
        raise RunFileError(f"{path} holds no .wandb file: name a run's directory, a wandb folder or a .wandb file")
    return [Run(path if len(by_id) == 1 else files[0].parent, files, stages=stages) for files in by_id.values()]


def open_run(path: str | os.PathLike[str]) -> Run:
    """The one run at ``path``; see :func:`open_runs`.

    Raises:
        RunFileError: there is no run, or more than one, or a file of it cannot be read.
    """
    runs = open_runs(path)
    if len(runs) > 1:
        found = ", ".join(str(run.path) for run in runs)
        raise RunFileError(f"{path} holds {len(runs)} runs; name one of them: {found}")
    return runs[0]


def last_step(path: str | os.PathLike[str]) -> int | None:
    """The highest ``_step`` of the rows in one ``.wandb`` file, or of a run's directory; None without rows.

    Reads the ends of the files only, so it takes as long for a long run as for a short one.

    Raises:
        RunFileError: a file cannot be read, or is not a W&B run file.
    """
    path = Path(path)
    files = _segment_files(path) if path.is_dir() else [path]
    return max((step for file in files if (step := _last_step_of_file(file)) is not None), default=None)


def _last_step_of_file(path: Path) -> int | None:
    size = path.stat().st_size if path.exists() else 0
    tail = WINDOW // 8
    while True:
        start = max(0, size - tail)
        columns = Columns()
        for batch in FrameReader(path, start=start - start % BLOCK):
            payloads = find_payloads(batch)
            history = payloads.kind == Kind.HISTORY
            columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
        if columns.rows:
            return int(columns.steps().max())
        if start == 0:
            return None
        tail *= 4


def _segment_files(path: Path) -> list[Path]:
    """The ``.wandb`` files in a run directory or ``wandb`` folder, oldest first."""
    for pattern in ("run-*.wandb", "*run-*/run-*.wandb", "wandb/*run-*/run-*.wandb"):
        files = [file for file in path.glob(pattern) if not file.parent.is_symlink() or file.parent == path]
        if files:
            return sorted(files, key=_age)
    return []


def _age(file: Path) -> tuple[str, str]:
    named = _SEGMENT_FOLDER.match(file.parent.resolve().name)
    return (named[1] if named else "", str(file))


def _declared_stages(path: Path) -> tuple[str, ...]:
    try:
        stages = json.loads(path.read_text(encoding="utf-8")).get("stages", [])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, AttributeError) as error:
        raise RunFileError(f"{path} cannot be read as a UPS run's description: {error}") from error
    return tuple(str(stage) for stage in stages)


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
