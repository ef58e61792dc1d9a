"""A run's one source: W&B's files, or the run's journals while W&B may lack some of their rows.

Each source grows one :class:`~ups.Run` in memory, so check, dashboard, report and export read a run alike.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ups.errors import RunDirectoryError, RunFileError
from ups.journal.row_reader import Entry, RowReader
from ups.journal.run_directory import RunDirectory
from ups.journal.waiting import waits
from ups.runfile import Run
from ups.runs.discovery import FoundRun, find_run, find_runs
from ups.text import command_line

__all__ = [
    "FileSource",
    "JournalSource",
    "Medium",
    "Source",
    "journaled_run",
    "open_files",
    "open_run",
    "open_runs",
    "open_source",
    "read_run",
]

_AT_ONCE = 4000  # records
_A_WHILE = 60.0  # seconds that one call reads, where no page waits for it
_HIDDEN = frozenset(["_timestamp"])


@dataclass(frozen=True)
class Medium:
    """A table or an image that a run logged.

    Attributes:
        kind: ``table`` or ``image``.
        time: Seconds since 1970.
    """

    kind: str
    name: str
    path: Path
    time: float
    caption: str | None = None


class Source(Protocol):
    """The one place from which a run is read.

    Attributes:
        run: The run as far as it was read; it grows.
        generation: Changes when rows of the run were replaced, not only added.
        journaled: Whether the rows come from the journals, so that each chart is as it was meant.
    """

    run: Run
    generation: int
    journaled: bool

    @property
    def read(self) -> float:
        """The share of the run that was read, from 0 to 1."""

    def advance(self, seconds: float) -> bool:
        """Read for about ``seconds``. False if nothing was new.

        Raises:
            RunFileError, RunDirectoryError: The run cannot be read.
        """

    def summary(self) -> dict[str, Any]:
        """The run's summary, with nested dictionaries."""

    def media(self) -> list[Medium]:
        """The tables and images that the run logged, oldest first."""

    def close(self) -> None:
        """Close open files."""


def open_source(found: FoundRun) -> Source:
    """Open the source of a run, without reading it yet.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """
    directory = _journaled(found)
    return FileSource(found, hidden=_HIDDEN) if directory is None else JournalSource(directory)


def read_run(found: FoundRun, on_read: Callable[[int], None] | None = None) -> Run:
    """Read the run as it is now, from its source.

    Args:
        found: The run.
        on_read: Called with the number of bytes, for each part of its files that is read.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """
    directory = _journaled(found)
    return open_files(found, on_read) if directory is None else journaled_run(directory)


def open_run(path: str | os.PathLike[str]) -> Run:
    """Read the one run at ``path``: a ``.wandb`` file, or a run's directory, W&B's or UPS's.

    A UPS run is read from its journals while W&B's files may lack some of its rows.

    Raises:
        RunFileError: There is no run, or more than one, or a file of it cannot be read.
        RunDirectoryError: Its journals cannot be read.
    """
    return read_run(find_run(path))


def open_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Read every run at ``path``; see :func:`~ups.runs.find_runs`.

    Raises:
        RunFileError, RunDirectoryError: There is no run, or one of them cannot be read.
    """
    return [read_run(found) for found in find_runs(path)]


def open_files(found: FoundRun, on_read: Callable[[int], None] | None = None) -> Run:
    """Read the run from W&B's own files, also where its journals hold more.

    Raises:
        RunFileError: The run has no file, all of them are empty, or one cannot be read or is not W&B's.
    """
    if not found.files:
        raise RunFileError(
            f"{found.path} holds a journal and no .wandb file: deliver it first with:"
            f" {command_line('ups', 'deliver', found.path)}"
        )
    run = _of_files(found, on_read=on_read)
    if not any(segment.size for segment in run.segments):
        raise RunFileError(f"{found.files[-1]} is empty: the run has only just begun, or the file was not copied")
    return run


def journaled_run(directory: RunDirectory) -> Run:
    """Read the run from its journals, as W&B will hold it once it is delivered.

    Raises:
        RunDirectoryError: They cannot be read.
    """
    source = JournalSource(directory)
    while source.advance(_A_WHILE) or source.read < 1.0:
        pass
    return source.run


def _journaled(found: FoundRun) -> RunDirectory | None:
    """The directory whose journals are the run's source; None where W&B's files are.

    Raises:
        RunDirectoryError: The directory cannot be read.
    """
    if found.directory is None:
        return None
    if not RunDirectory(found.directory).journal.is_dir():
        return None
    directory = RunDirectory.open(found.directory)
    if not directory.processes():
        return None
    try:
        return directory if not found.files or waits(directory) or directory.living() else None
    except OSError as error:
        raise RunDirectoryError(f"{error.filename or directory.path} cannot be read: {error.strerror}") from error


def _of_files(found: FoundRun, **options: Any) -> Run:
    """Make the run of some files.

    Raises:
        RunDirectoryError, RunFileError: Its manifest cannot be read.
    """
    stages: tuple[str, ...] = ()
    if found.directory is not None:
        directory = RunDirectory(found.directory)
        manifest = directory.read_manifest()
        if manifest.unreadable is not None:
            raise RunFileError(
                f"{directory.manifest_file} cannot be read as a UPS run's manifest: {manifest.unreadable}"
            )
        stages = manifest.stages
    return Run(found.path, found.files, stages=stages, steps_identify_rows=found.directory is not None, **options)


class _Reading:
    """The share of a source that was read."""

    _caught_up = False
    _taken = 0  # bytes
    _total = 0

    @property
    def read(self) -> float:
        """As for :class:`Source`."""
        if self._caught_up:
            return 1.0
        return min(0.99, self._taken / self._total) if self._total else 0.0


class FileSource(_Reading):
    """A run read from its ``.wandb`` files."""

    journaled = False

    def __init__(self, found: FoundRun, *, hidden: Iterable[str] = ()) -> None:
        self._found = found
        self._hidden = frozenset(hidden)
        self._pieces: Iterator[int] | None = None
        self.generation = 0
        self.run = self._begin()

    def _begin(self) -> Run:
        return _of_files(self._found, hidden=self._hidden, with_summary=True, read=False)

    def advance(self, seconds: float) -> bool:
        """As for :class:`Source`."""
        until = time.monotonic() + seconds
        if self._pieces is None:
            try:
                sizes = [file.stat().st_size for file in self._found.files]
            except OSError as error:
                raise RunFileError(f"{error.filename} cannot be read: {error.strerror}") from error
            before = [segment.size for segment in self.run.segments]
            if sizes == before:
                return False
            if any(size < was for size, was in zip(sizes, before, strict=False)):
                self.run = self._begin()  # a file was replaced
                self.generation += 1
                self._caught_up, self._taken = False, 0
            self._total = max(sum(sizes), 1)
            self._pieces = self.run.read_more()
        rows = self.run.rows
        pieces, self._pieces = self._pieces, None  # a piece that fails is read again
        for size in pieces:
            self._taken += size
            if time.monotonic() > until:
                self._pieces = pieces
                return True
        if self.run.rows < rows:
            self.generation += 1  # rows were in two segments
        self._caught_up = True
        return True

    def summary(self) -> dict[str, Any]:
        """As for :class:`Source`."""
        return dict(self.run.summary)

    def media(self) -> list[Medium]:
        """As for :class:`Source`."""
        found = []
        for segment in self._found.files:
            folder = segment.parent / "files" / "media"
            for kind, below, pattern in (("table", "table", "*.table.json"), ("image", "images", "*.*")):
                for path in (folder / below).rglob(pattern) if (folder / below).is_dir() else ():
                    name = path.relative_to(folder / below).as_posix().removesuffix(".table.json")
                    name = name if kind == "table" else name.rpartition(".")[0]
                    with contextlib.suppress(OSError):  # a link that leads nowhere
                        found.append(Medium(kind, _without_step(name), path, path.stat().st_mtime))
        return sorted(found, key=lambda medium: (medium.time, medium.name))

    def close(self) -> None:
        """As for :class:`Source`."""
        self._pieces = None


def _without_step(name: str) -> str:
    """The name that was logged, of a file that wandb named ``<name>_<step>_<hash>``."""
    parts = name.rsplit("_", 2)
    return parts[0] if len(parts) == 3 and parts[1].isdigit() else name


class JournalSource(_Reading):
    """A run read from its journals: a row is there as soon as ``log()`` has returned."""

    journaled = True

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        manifest = directory.read_manifest()
        self._rows = RowReader(directory, manifest.repeated)
        self._in_ledger: Iterator[Entry] | None = self._rows.read_ledger()
        self._set: dict[str, Any] = {}  # by log_eval_summary
        self._media: list[Medium] = []
        self.generation = 0
        self.run = Run.from_rows(
            directory.path,
            (),
            run_id=manifest.run_id,
            name=manifest.name or "",
            definitions=self._rows.rule.definitions,
            stages=manifest.stages,
            config=manifest.config,
        )
        self.run.project, self.run.entity = manifest.project or "", manifest.entity or ""
        self.run.tags = manifest.tags

    def advance(self, seconds: float) -> bool:
        """As for :class:`Source`."""
        until = time.monotonic() + seconds
        try:
            if not self._caught_up:
                self._total = self._directory.journaled_bytes()
            moved = False
            for entries in self._new_entries():
                self._take(entries)
                moved = True
                if time.monotonic() > until:
                    self._taken = self._rows.offset
                    return True
        except OSError as error:
            raise RunDirectoryError(f"{error.filename or self._directory.path} cannot be read: {error}") from error
        moved = moved or not self._caught_up
        self._caught_up = True
        return moved

    def summary(self) -> dict[str, Any]:
        """As for :class:`Source`."""
        return {**self._rows.rule.last, **self._set}

    def media(self) -> list[Medium]:
        """As for :class:`Source`."""
        return list(self._media)

    def close(self) -> None:
        """Do nothing: a journal is open only while it is read."""

    def _new_entries(self) -> Iterator[list[Entry]]:
        """Read the rest of the journals, some thousand records at a time."""
        if self._in_ledger is not None:
            while entries := list(islice(self._in_ledger, _AT_ONCE)):
                yield entries
            self._in_ledger = None
        for process in self._directory.processes():
            yield from self._rows.read_rest(process, _AT_ONCE)
            if self._rows.rule.is_open(process) and not self._directory.is_alive(process):
                yield from self._rows.read_rest(process, _AT_ONCE)  # its last records
                yield self._rows.settle(process)

    def _take(self, entries: list[Entry]) -> None:
        rows: list[dict[str, Any]] = []
        for entry in entries:
            if entry.row is not None:
                rows.append({**entry.row.values, "_timestamp": entry.row.time})
            elif entry.numbered:
                rows.append({"_timestamp": entry.record["time"]})  # of a table or an image: W&B gives it a row too
                self._take_medium(entry.record)
            else:
                self._take_other(entry)
        if rows:
            self.run.add_rows(rows)

    def _take_medium(self, record: dict[str, Any]) -> None:
        kind = "table" if "table" in record else "image"
        path = self._directory.path / str(record["path"])
        caption = record.get("caption")
        shown = None if caption is None else str(caption)
        self._media.append(Medium(kind, str(record[kind]), path, float(record["time"]), shown))

    def _take_other(self, entry: Entry) -> None:
        """Take an entry that makes no row: configuration, summary, tags, start or end."""
        record = entry.record
        if "config" in record:
            self.run.config.update(record["config"])
        elif "summary" in record:
            self._set.update(record["summary"])
        elif "tags" in record:
            self.run.tags = tuple(dict.fromkeys([*self.run.tags, *map(str, record["tags"])]))
        elif "begin" in record and record["begin"].get("owner") is True:
            self.run.end(None)
        elif "end" in record and entry.process == (self._directory.owners() or self._directory.processes())[-1]:
            self.run.end(record["end"]["exit_code"])
