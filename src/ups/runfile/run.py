"""A run as its files hold it: its identity, its definitions, and its rows as columns."""

import copy
import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, Axis, Definitions
from ups.runfile.digits import Values, may_be_rounded
from ups.runfile.framing import Damage
from ups.runfile.history import Column, Columns
from ups.runfile.items import Form
from ups.runfile.logged_media import LoggedMedia, MediaReader
from ups.runfile.logs import LostCall, LostRows, lost_rows
from ups.runfile.records import ConfigChange, Exit, Kind, MetricDefinition, RunInfo, parse
from ups.runfile.segment import Piece, Segment, SegmentReader
from ups.runfile.summary import SummaryReader, apply_change
from ups.runfile.table import to_pandas, to_polars

__all__ = ["Run", "Segment", "Series", "Session"]


class Session(NamedTuple):
    """The rows of a run that one of its files holds: from ``begin`` up to ``end``, without rewound rows."""

    begin: int
    end: int


@dataclass(frozen=True)
class Series:
    """One metric against its axis: the rows that hold both, in the order in which they were logged.

    Attributes:
        rows: The row numbers; int64, shape (rows,).
        steps: W&B's ``_step``; int64, shape (rows,).
        x, y: The values, NaN also for a value that is not a number; float64, shape (rows,). int64 where float64 would
            round whole numbers: see ``ups/runfile/digits.py``.
        is_number: True where the metric's value is a number, NaN and infinities too; bool, shape (rows,).
        held: The count of rows that hold the metric, with the axis or without.
        not_numeric: The count of those rows whose value is not a number.
        not_finite: The count of those rows whose value is NaN or an infinity.
        sample: The first value that is not a number.
    """

    rows: NDArray[np.int64]
    steps: NDArray[np.int64]
    x: Values
    y: Values
    is_number: NDArray[np.bool_]
    held: int
    not_numeric: int
    not_finite: int
    sample: Any = None

    @property
    def finite(self) -> int:
        """The count of rows that hold the metric as a finite number, with the axis or without."""
        return self.held - self.not_numeric - self.not_finite


class Run:
    """A run, read from its files. :func:`open_run` makes one.

    Attributes:
        path: The path that was opened.
        run_id, name, project, entity: As in W&B; empty where the files do not hold them.
        tags: The run's tags.
        config: The configuration, without wandb's own ``_wandb``.
        definitions: The definitions that ``define_metric`` made.
        exit_code: The code that the run ended with; None for a run without an end.
        segments: The files, oldest first.

    Args:
        path: The path to report.
        files: The ``.wandb`` files of the run, oldest first.
        stages: The declared stages, where they are known from elsewhere.
        steps_identify_rows: True where rows of one ``_step`` are copies of one row, of which the first is kept. In a
            UPS run directory, a segment may begin with rows that the one before holds.
        hidden: The names with a leading ``_`` to hold from the start; others are read on first use.
        with_summary: True to read the summary with the rows, rather than on first use.
        on_read: Called with the count of bytes after each piece that was read.
        read: False to read the files only in :meth:`read_more`.
    """

    def __init__(
        self,
        path: Path,
        files: Iterable[Path],
        *,
        stages: Iterable[str] = (),
        steps_identify_rows: bool = False,
        hidden: Container[str] = (),
        with_summary: bool = False,
        on_read: Callable[[int], None] | None = None,
        read: bool = True,
    ) -> None:
        self.path = path
        self.run_id = self.name = self.project = self.entity = ""
        self.tags: tuple[str, ...] = ()
        self.config: dict[str, Any] = {}
        self.definitions = Definitions()
        self.exit_code: int | None = None
        self.segments: list[Segment] = []
        self._columns = Columns(hidden=hidden)
        self._media = MediaReader()
        self._hidden = hidden
        self._with_summary = with_summary
        self._steps_identify_rows = steps_identify_rows
        self._finished = False
        self._stages = tuple(dict.fromkeys(stages))
        self._lost_calls: list[LostCall] = []
        self._begins: list[int] = []  # the first row of each file
        self._readers = [SegmentReader(file) for file in files]
        self._summary_reader = SummaryReader(reader.path for reader in self._readers)
        for size in self.read_more() if read else ():
            if on_read is not None:
                on_read(size)

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
        """Make a run whose rows are in memory, as for a run that has only a journal.

        ``rows`` holds one mapping per row, in the order of logging, and is iterated once. ``_step`` counts the rows
        that do not hold it.
        """
        run = cls(path, (), stages=stages)
        run.run_id, run.name, run.config = run_id, name, dict(config or {})
        run.definitions = definitions or Definitions()
        run._finished = finished
        run._columns = Columns.of_rows(rows)
        run._hidden_columns = run._columns
        return run

    def read_more(self) -> Iterator[int]:
        """Read the rest of the files, a piece at a time.

        Yields:
            The bytes of each piece, once its rows are there.

        Raises:
            RunFileError: A file cannot be read, or is not a W&B run file.
        """
        for index, reader in enumerate(self._readers):
            if index == len(self._begins):
                self._begins.append(self.rows)
            for piece in reader.pieces():
                self._take_piece(reader, piece)
                self.segments[index:] = [reader.segment]
                yield len(piece.batch.data)
            self.segments[index:] = [reader.segment]
            self._finished = reader.finished
        if self.is_sorted:
            self._columns.drop_repeated_steps()
        self._forget()

    def add_rows(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Add rows to a run whose rows are in memory."""
        self._columns.add_rows(rows)
        self._forget()

    def add_values(self, rows: Iterable[Iterable[tuple[str, Any]]]) -> None:
        """Add rows with values of any kind to a run whose rows are in memory: the name and the value of each."""
        self._columns.add_values(rows)
        self._forget()

    def add_lost_calls(self, calls: Iterable[tuple[int, int]]) -> None:
        """Add calls that wandb drops to a run whose rows are in memory: ``step=``, and W&B's own step, of each."""
        self._lost_calls += itertools.starmap(LostCall, calls)
        self._forget()

    def add_media(self, home: Path, step: int, values: dict[str, Any]) -> None:
        """Add the media in the values of a row to a run whose rows are in memory; their files are below ``home``."""
        self._media.take_values(home, step, values)

    def end(self, exit_code: int | None) -> None:
        """Note that a run whose rows are in memory has ended, or with None that a training has resumed it."""
        self.exit_code, self._finished = exit_code, exit_code is not None

    def as_it_is(self) -> "Run":
        """Return the run so far, which does not change when this run grows. No values are copied."""
        still = copy.copy(self)
        still._forget()
        still._columns, still._media = self._columns.as_they_are(), self._media.as_it_is()
        if "_hidden_columns" in self.__dict__ and not self._readers:
            still._hidden_columns = still._columns
        still.definitions = copy.deepcopy(self.definitions)
        still.config, still.segments = copy.deepcopy(self.config), list(self.segments)
        still._begins, still._lost_calls = list(self._begins), list(self._lost_calls)
        return still

    def with_columns(self, columns: Columns, steps: NDArray[np.int64], definitions: Definitions) -> "Run":
        """Return the run with other rows, hidden names too, other ``_step`` of each row, and other definitions."""
        view = self.with_definitions(definitions)
        view._forget()
        columns.put_steps(steps)
        view._columns = columns
        view.__dict__["_hidden_columns"] = columns
        return view

    def with_definitions(self, definitions: Definitions) -> "Run":
        """Return the run with other definitions and the same rows."""
        view = copy.copy(self)
        for name in ("charts", "_axes"):
            view.__dict__.pop(name, None)
        view.definitions = definitions
        return view

    @property
    def stages(self) -> tuple[str, ...]:
        """The declared stages, each once, in order; empty for a run that UPS did not make."""
        declared = self.config.get("ups")
        named = declared.get("stages") if isinstance(declared, dict) else None
        return self._stages or tuple(dict.fromkeys(map(str, named if isinstance(named, list) else ())))

    @property
    def rows(self) -> int:
        """The count of rows."""
        return self._columns.rows

    @property
    def finished(self) -> bool:
        """True where the last segment holds the record of an exit; False for a run that was killed or still runs."""
        return self._finished

    @property
    def is_journaled(self) -> bool:
        """True where the rows come from a UPS journal, of which W&B's files may lack some."""
        return not self._readers

    @property
    def is_sorted(self) -> bool:
        """True where the rows are in the order of their ``_step``, one per step, rather than in that of the files."""
        return self._steps_identify_rows and len(self.segments) > 1

    @property
    def sessions(self) -> list[Session]:
        """The rows of each file that holds rows, oldest first; one session of all rows where they are sorted."""
        begins = [0] if self.is_sorted or not self._begins else self._begins
        ends = [self.rows] if self.is_sorted or not self._begins else self.ends
        return [Session(begin, end) for begin, end in zip(begins, ends, strict=True) if begin < end]

    @property
    def ends(self) -> list[int]:
        """The count of rows in each file and those before it; where rows are sorted, that of all rows."""
        if self.is_sorted:
            return [self.rows] * len(self.segments)
        return [*self._begins[1:], self.rows]

    @property
    def damage(self) -> list[tuple[Path, Damage]]:
        """Every range of every file that holds no readable record."""
        return [(segment.path, damage) for segment in self.segments for damage in segment.damage]

    @property
    def nameless(self) -> int:
        """The count of values that were left out because their names cannot be read."""
        return self._columns.nameless

    @property
    def last_step(self) -> int | None:
        """The highest ``_step`` of a row; None without rows."""
        return int(self._columns.steps().max()) if self.rows else None

    @property
    def logged(self) -> list[str]:
        """Every name that was logged, media too, in order of appearance."""
        return [name for name in self._columns.names() if not name.startswith("_")]

    @cached_property
    def metrics(self) -> list[str]:
        """The names that a chart could show, in order of appearance: without media and without a leading ``_``."""
        names = self._columns.names()
        media = tuple(name.removesuffix("_type") for name in names if name.endswith("._type"))
        return [name for name in names if not name.startswith(media or ("\0",)) and not name.startswith("_")]

    @property
    def media(self) -> tuple[LoggedMedia, ...]:
        """The media of its rows, in order: tables, images and other files; of copies of one row, the first."""
        if not self.is_sorted:
            return self._media.logged
        first: dict[tuple[str, int], LoggedMedia] = {}
        for each in self._media.logged:
            first.setdefault((each.key, each.step), each)
        return tuple(first.values())

    @cached_property
    def charts(self) -> list[str]:
        """The metrics that W&B draws: neither axes nor hidden names."""
        axes = self.definitions.step_metrics()
        return [name for name in self.metrics if name not in axes and not self.definitions.is_hidden(name)]

    @cached_property
    def step_like(self) -> list[str]:
        """The metrics whose name says that they count steps, in order of appearance."""
        return [name for name in self.metrics if _STEP_LIKE.search(name)]

    @property
    def summary(self) -> dict[str, Any]:
        """The run's summary, with nested dictionaries. It fills most of a file, so it is read on first use."""
        return self._summary_reader.taken if self._with_summary else self._summary_reader.read()

    @cached_property
    def lost_rows(self) -> LostRows:
        """The calls that wandb dropped, by the run's own logs; of a run whose rows are in memory, by its calls."""
        in_logs = lost_rows(segment.path for segment in self.segments)
        return LostRows(in_logs.count + len(self._lost_calls), (*in_logs.calls, *self._lost_calls))

    def axis(self, metric: str) -> Axis:
        """The axis that the metric is drawn against."""
        found = self._axes.get(metric)
        if found is None:
            found = self._axes[metric] = self.definitions.axis(metric)
        return found

    def column(self, name: str) -> Column | None:
        """All values logged under a name, ``_step`` and ``_timestamp`` too; None without any."""
        if name == DEFAULT_AXIS:
            steps = self._columns.steps()
            values = steps if may_be_rounded(steps).any() else steps.astype(np.float64)
            return Column(np.arange(len(steps)), values, np.zeros(len(steps), dtype=np.uint8))
        columns = self._hidden_columns if name.startswith("_") and name not in self._hidden else self._columns
        return columns.get(name)

    def series(self, metric: str, *, axis: str | None = None, since: int = 0) -> Series:
        """The metric against its axis or another one, without the first ``since`` rows that hold the metric."""
        y = self.column(metric) or _EMPTY
        x = self.column(axis or self.axis(metric).metric) or _EMPTY
        if since:
            y = Column(y.rows[since:], y.values[since:], y.forms[since:], y.sample)
            first = np.searchsorted(x.rows, y.rows[0]) if len(y.rows) else len(x.rows)
            x = Column(x.rows[first:], x.values[first:], x.forms[first:])
        rows, x_values, y_values = y.rows, x.values, y.values
        is_number = y.forms == _NUMBER
        numbers = np.count_nonzero(is_number)
        finite = np.count_nonzero(np.isfinite(y_values))  # a value that is not a number is NaN here
        if not np.array_equal(rows, x.rows):
            both = np.isin(rows, x.rows, assume_unique=True)
            rows, y_values, is_number = rows[both], y_values[both], is_number[both]
            x_values = x_values[np.searchsorted(x.rows, rows)]
        return Series(
            rows=rows,
            steps=self._columns.steps()[rows],
            x=x_values,
            y=y_values,
            is_number=is_number,
            held=len(y.rows),
            not_numeric=int(len(y.rows) - numbers),
            not_finite=int(numbers - finite),
            sample=y.sample,
        )

    def to_polars(self) -> Any:
        """The rows as a ``polars.DataFrame``: ``_step``, ``_timestamp``, then a column per metric, with nulls.

        Raises:
            MissingDependency: The package polars is not installed.
        """
        return to_polars(self)

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``: ``_step``, ``_timestamp``, then a column per metric.

        An empty cell is NaN, or ``<NA>`` in a column of whole numbers that float64 would round.

        Raises:
            MissingDependency: The package pandas is not installed.
        """
        return to_pandas(self)

    @cached_property
    def _axes(self) -> dict[str, Axis]:
        """The axes so far."""
        return {}

    @cached_property
    def _hidden_columns(self) -> Columns:
        columns = Columns(hidden=None)
        for segment in self.segments:
            for piece in SegmentReader(segment.path).pieces(end=segment.size):
                if piece.rewound_to is not None:
                    columns.rewind(piece.rewound_to)
                _add_rows(columns, piece)
        if self.is_sorted:
            columns.drop_repeated_steps()
        return columns

    def _take_piece(self, reader: SegmentReader, piece: Piece) -> None:
        batch, payloads = piece.batch, piece.payloads
        if piece.rewound_to is not None:
            self._columns.rewind(piece.rewound_to)
            self._media.rewind(piece.rewound_to)
            self._begins = [min(begin, self._columns.rows) for begin in self._begins]
        history = _add_rows(self._columns, piece)
        self._media.take(reader.path, batch, payloads, history)
        if self._with_summary:
            self._summary_reader.take(batch, payloads)
        for message in payloads.structure.values():
            record = parse(message)
            reader.finished = reader.finished or isinstance(record, Exit)
            self._take(record)
        self._forget()

    def _forget(self) -> None:
        """Forget what was computed from the rows, so that the next use computes it again."""
        hidden = ["_hidden_columns"] if self._readers else []
        for name in ("metrics", "charts", "step_like", "lost_rows", "_axes", *hidden):
            self.__dict__.pop(name, None)

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
                    overwrite=record.overwrite,
                )
            case ConfigChange():
                apply_change(self.config, record)
                self.config.pop("_wandb", None)
            case Exit():
                self.exit_code = record.exit_code


def _add_rows(columns: Columns, piece: Piece) -> NDArray[np.bool_]:
    """Add the rows of a piece, and mark its records that are rows."""
    payloads = piece.payloads
    history: NDArray[np.bool_] = (payloads.kind == Kind.HISTORY) & piece.fresh
    columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
    return history


_STEP_LIKE = re.compile(
    r"(?:^|[/_.])(?:steps?|iters?|iterations?|epochs?|batch(?:es)?|samples|tokens|frames|episodes?|updates?)\Z",
    re.IGNORECASE,
)
_NUMBER = int(Form.NUMBER)  # looking up a member takes longer than comparing a column
_EMPTY = Column(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.uint8))
