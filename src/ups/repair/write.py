"""A plan → a new run in W&B's own layout, ready for ``wandb sync``.

Each file of the run gives one folder, ``offline-run-<time>-<id>/`` with ``run-<id>.wandb`` and ``files/``. Records
are carried over as they are and in order, but for what the plan changes; a row that does not change is copied byte
for byte. Everything is first written to a hidden folder beside its place, so that an interrupted repair leaves no half
run behind.
"""

import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ups.charts import DEFAULT_AXIS, unescaped
from ups.errors import RunFileError, UsageError
from ups.journal.row_rule import Row
from ups.repair.encoded_records import with_number, with_run_id
from ups.repair.files import copy_files
from ups.repair.plan import Plan
from ups.repair.plan_lines import plan_lines
from ups.repair.program import Cells
from ups.repair.row_edits import EncodedRow, encode
from ups.runfile import Run
from ups.runfile.framing import Batch, FrameReader, Writer
from ups.runfile.items import are_plain, items_in
from ups.runfile.numbering import Numbering
from ups.runfile.records import Item, Kind, Payloads, Record, find_payloads, readable
from ups.runs.discovery import segment_folder_time

__all__ = ["Written", "target_folders", "write_repair"]

_NOTE = "repair.txt"
_ROWS_AT_ONCE = 4096  # rows whose edits are looked up together
_LATEST = 2**53  # seconds; a later time is not one


@dataclass(frozen=True)
class Written:
    """A repaired run.

    Attributes:
        folders: Its folders, oldest first.
        rows: The number of its rows.
        left_out: A line for each file of the run that is not in the copy, with the reason.
    """

    folders: tuple[Path, ...]
    rows: int
    left_out: tuple[str, ...] = ()


def target_folders(plan: Plan, into: Path) -> list[Path]:
    """The folders that :func:`write_repair` will make in ``into``, one per file of the run, oldest first.

    Raises:
        RunFileError: One of them exists, or a file of the run is gone.
        UsageError: ``into`` lies in a folder of the run itself.
    """
    stamps: list[str] = []
    for segment in plan.run.segments:
        own = segment.path.resolve().parent
        found = segment_folder_time(own.name)
        try:
            changed = time.gmtime(segment.path.stat().st_mtime)
        except OSError as error:
            raise RunFileError(f"{segment.path} cannot be read: {error.strerror}") from error
        stamps.append(found or time.strftime("%Y%m%d_%H%M%S", changed))
        if found and into.resolve().is_relative_to(own):
            raise UsageError(f"{into} lies in the run itself, which is never changed: name another folder")
    folders: list[Path] = []
    for at, stamp in enumerate(stamps):
        number = stamps[:at].count(stamp)  # as wandb numbers the folders of one second
        folder = into / (f"offline-run-{stamp}-{plan.run_id}" + (f"-{number}" if number else ""))
        if folder.exists() or folder.is_symlink():
            raise RunFileError(f"{folder} exists already: name another folder, or another id with --run-id")
        folders.append(folder)
    return folders


def write_repair(plan: Plan, into: str | os.PathLike[str]) -> Written:
    """Write the repaired run into a folder, which is made if it does not exist. The original is only read.

    Raises:
        RunFileError: The run's folder exists there already, or something cannot be read or written.
        UsageError: ``into`` lies in a folder of the run itself.
    """
    into = Path(into)
    folders = target_folders(plan, into)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ups-repair-", dir=into) as scratch, tempfile.TemporaryFile() as later:
            copy = _Copy(plan, later)
            left_out: list[str] = []
            for index, (segment, folder) in enumerate(zip(plan.run.segments, folders, strict=True)):
                made = Path(scratch) / folder.name
                left_out += copy_files(segment.path.parent, made / "files")
                last = index == len(folders) - 1
                with Writer(made / f"run-{plan.run_id}.wandb") as writer:
                    copy.segment(segment.path, _Numbered(writer), last=last)
                note = "\n".join([*plan_lines(plan), *(f"not copied: {line}" for line in left_out)])
                (made / _NOTE).write_text(note + "\n", encoding="utf-8", errors="backslashreplace")
            for folder in folders:
                if folder.exists():
                    raise RunFileError(f"another process has just made {folder}: name another folder")
                (Path(scratch) / folder.name).rename(folder)
    except OSError as error:
        raise RunFileError(f"the repaired run cannot be written to {into}: {error.strerror or error}") from error
    return Written(tuple(folders), copy.rows, tuple(left_out))


class _Numbered:
    """Writes records with numbers of their own, from 1 without a gap, as wandb does."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._number = 0

    def write(self, record: bytes) -> None:
        self._number += 1
        self._writer.write(with_number(record, self._number))


class _ByRow:
    """Cells by their row, for rows that are asked for in order. Some rows at a time are held."""

    def __init__(self, cells: Mapping[str, Cells]) -> None:
        self._cells = cells
        self._found: dict[int, dict[str, Any]] = {}
        self._end = 0

    def of(self, row: int) -> dict[str, Any]:
        """The value of each name that has one in a row."""
        if row >= self._end:
            self._end = row + _ROWS_AT_ONCE
            self._found = defaultdict(dict)
            for name, cells in self._cells.items():
                low, high = np.searchsorted(cells.rows, (row, self._end)).tolist()
                for at, value in zip(cells.rows[low:high].tolist(), cells.values[low:high].tolist(), strict=True):
                    self._found[at][name] = value
        return self._found.get(row, {})


class _Copy:
    """Reads a run's files one after the other, and writes what the plan makes of them.

    ``rows`` counts the rows written.
    """

    def __init__(self, plan: Plan, later: Any) -> None:
        self.rows = 0
        self._plan = plan
        self._program = plan.program
        self._moves, self._settings = _ByRow(plan.program.moves), _ByRow(plan.program.settings)
        self._row = 0  # the next row of the run
        self._ends = iter(plan.run.ends)
        self._end_of_file = 0  # the first row of the next file: what the run holds of this one is before it
        self._later = later  # a file for rows that are written later
        self._parts: dict[int, tuple[int, int]] = {}  # the parts of rows, by their rows of the copy
        self._waiting: dict[int, tuple[int, int]] = {}  # the rows before which one comes later in the files
        self._missing: Iterator[Row] = iter(()) if plan.missing is None else plan.missing.rows()
        self._clock = _start_time(plan.run) if plan.rows_back else math.inf
        steps = plan.run.column(DEFAULT_AXIS)
        self._steps = np.empty(0) if steps is None else steps.values
        self._found = np.zeros(len(self._steps), dtype=np.bool_)
        self._summary: dict[str, str] = {}

    def segment(self, path: Path, writer: _Numbered, *, last: bool) -> None:
        """Write one file's records; into the ``last`` one also what ends the run."""
        named = described = False
        end: bytes | None = None
        numbering = Numbering(path)
        self._end_of_file = next(self._ends)
        for batch in FrameReader(path):
            payloads = find_payloads(batch)
            kinds, fresh = payloads.kind.tolist(), numbering.fresh(batch, payloads).tolist()
            steps = _steps_of(payloads)
            for kind, record, first in zip(kinds, _readable(batch, payloads), fresh, strict=True):
                step = next(steps) if kind == Kind.HISTORY else 0
                if not first:  # a copy of a record before
                    continue
                if kind == Kind.RUN:
                    named = True
                elif not named and kind not in (Kind.HEADER, Kind.UNREADABLE):  # its record is damaged
                    self._name(writer)
                    named = True
                if kind in (Kind.HISTORY, Kind.EXIT) and not described:
                    self._describe(writer)
                    described = True
                match kind:
                    case Kind.HISTORY:
                        self._history(record, step, writer)
                    case Kind.EXIT:
                        end = record
                    case Kind.RUN:
                        message = Record(record)
                        message.run.run_id = self._plan.run_id
                        vars(message.run).pop("branch_point", None)  # the rows that it takes back are not in the copy
                        writer.write(message.encode())
                    case Kind.METRIC:
                        self._metric(record, writer)
                    case Kind.ARTIFACT:
                        writer.write(with_run_id(record, self._plan.run.run_id, self._plan.run_id))
                    case Kind.UNREADABLE:
                        pass  # its checksum is right, and it holds nothing
                    case _:
                        writer.write(record)
        if not described:
            self._describe(writer)
        if last:
            self._end(writer)
            if end is None:
                message = Record()
                message.exit.exit_code = 1  # what ``wandb sync`` makes of a file without an end
                end = message.encode()
        if end is not None:
            writer.write(end)

    def _name(self, writer: _Numbered) -> None:
        """Write the run's record, where its own was damaged."""
        run, message = self._plan.run, Record()
        message.run.run_id = self._plan.run_id
        message.run.project, message.run.entity, message.run.display_name = run.project, run.entity, run.name
        message.run.tags = list(run.tags)
        times = run.column("_timestamp")
        began = math.nan if times is None or self._row >= len(times.values) else times.values[self._row]
        if 0 <= began < _LATEST:  # ``wandb sync`` takes files by their time
            message.run.start_time.seconds = int(began)
        writer.write(message.encode())

    def _describe(self, writer: _Numbered) -> None:
        """Define each metric by its exact name, before the first row."""
        for axis in self._plan.hidden:
            self._define(writer, axis, "", hidden=True)
        for metric, axis in self._plan.definitions.items():
            self._define(writer, metric, axis)

    def _define(self, writer: _Numbered, name: str, axis: str, *, hidden: bool = False) -> None:
        message = Record()
        message.metric.name = name
        message.metric.step_metric = axis
        message.metric.options.defined = True
        message.metric.options.hidden = hidden
        message.metric.options.step_sync = bool(axis)
        writer.write(message.encode())

    def _metric(self, record: bytes, writer: _Numbered) -> None:
        message = Record(record)
        name = unescaped(message.metric.name)
        if (name or message.metric.glob_name) in self._plan.undefined:
            return
        if name in self._plan.definitions:
            message.metric.step_metric = self._plan.definitions[name]
            message.metric.expanded_from_glob = False
            record = message.encode()
        writer.write(record)

    def _history(self, record: bytes, step: int, writer: _Numbered) -> None:
        row = self._row_of(step)
        if row is None:
            return
        self._found[row] = True
        if row != self._row:
            self._waiting[row] = self._put(record)
            return
        self._next_row(record, writer)
        while self._row in self._waiting:
            self._next_row(self._take(self._waiting.pop(self._row)), writer)

    def _row_of(self, step: int) -> int | None:
        """The row of the run that the next history record is; None for a newer one, and for a copy."""
        if not self._plan.run.is_sorted:
            return self._row if self._row < self._end_of_file and step == self._steps[self._row] else None
        at = int(np.searchsorted(self._steps, step))
        return at if at < len(self._steps) and step == self._steps[at] and not self._found[at] else None

    def _put(self, record: bytes) -> tuple[int, int]:
        place = self._later.seek(0, os.SEEK_END)
        self._later.write(record)
        return place, len(record)

    def _take(self, place: tuple[int, int]) -> bytes:
        self._later.seek(place[0])
        record: bytes = self._later.read(place[1])
        return record

    def _next_row(self, record: bytes, writer: _Numbered) -> None:
        """Take the next row apart, and write the rows of the copy that are due."""
        rest: EncodedRow | bytes = record
        if moves := self._moves.of(self._row):
            rest = EncodedRow(record)
            parts, moved = rest.split(moves)
            self._summary |= moved
            for at, part in parts.items():
                self._parts[at] = self._put(part)
        self._write_due(rest, writer)
        self._row += 1

    def _write_due(self, rest: EncodedRow | bytes, writer: _Numbered) -> None:
        """Write the rows of the copy that are due with the next row of the run, of which ``rest`` stays."""
        program = self._program
        while self.rows < len(program.due) and program.due[self.rows] <= self._row:
            at = self.rows
            source, step = program.source[at], int(program.steps[at])
            row, settings = rest, self._settings.of(at)
            if source < 0:
                logged = next(self._missing)
                runtime = max(0.0, logged.time - self._clock)
                row, settings = b"", {**logged.values, "_timestamp": logged.time, "_runtime": runtime, **settings}
            elif at in self._parts:
                row = self._take(self._parts.pop(at))
            if settings or step != self._steps[source]:
                row = EncodedRow(row) if isinstance(row, bytes) else row
                for name, value in settings.items():
                    row.set_value(name, value)
                row.set_step(step)
            self.rows += 1
            writer.write(row if isinstance(row, bytes) else row.encode())

    def _end(self, writer: _Numbered) -> None:
        """Write the rows of the journal behind the last row, and the summary."""
        if self._row != self._plan.run.rows:
            raise RunFileError(f"{self._plan.run.path} changed while it was read: {self._row:,} of its rows were found")
        self._write_due(b"", writer)
        self._summary |= {name: encode(value) for name, value in self._program.summary.items()}
        message = Record()
        for name, value in self._summary.items():
            message.summary.update.append(Item(key=name, value_json=value))
        if self._summary:
            writer.write(message.encode())


def _readable(batch: Batch, payloads: Payloads) -> Iterator[bytes]:
    """Each record, without the items that are not messages."""
    items = (payloads.kind == Kind.HISTORY) | (payloads.kind == Kind.SUMMARY)
    checked = ~items
    checked[items] = are_plain(payloads.buffer, payloads.start[items], payloads.end[items])
    for record, is_checked in zip(batch.records(), checked.tolist(), strict=True):
        yield record if is_checked else readable(record)


def _steps_of(payloads: Payloads) -> Iterator[int]:
    """The ``_step`` of each history record of a batch."""
    history = payloads.kind == Kind.HISTORY
    return iter(items_in(payloads.buffer, payloads.start[history], payloads.end[history]).steps.tolist())


def _start_time(run: Run) -> float:
    """The time at which the run's clock, ``_runtime``, stood at 0; in seconds since 1970."""
    times, runtimes = run.column("_timestamp"), run.column("_runtime")
    if times is None or runtimes is None:
        return math.inf
    return float(times.values[0] - runtimes.values[0])
