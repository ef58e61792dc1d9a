"""Where an opened run comes from: its ``.wandb`` files, or its journals while it lives. Both grow one run in memory."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ups.dashboard.found import Found
from ups.dashboard.media import Medium
from ups.errors import RunDirectoryError, RunFileError
from ups.runfile import Run, RunFiles
from ups.tracking.journal import JournalReader
from ups.tracking.rows import Row, RowRule
from ups.tracking.run_directory import RunDirectory
from ups.tracking.status import may_lack_rows

__all__ = ["FileSource", "JournalSource", "Source", "open_source"]

_HIDDEN = frozenset(["_timestamp"])
_ROWS_AT_ONCE = 4000  # less than are added at once, so that all are or none


class Source(Protocol):
    """What an opened run is read from.

    Attributes:
        run: the run as far as it was read; it grows.
        generation: changes where the run's rows were replaced rather than added to.
        journaled: whether the rows come from the journals, so that each chart is as it was meant.
    """

    run: Run
    generation: int
    journaled: bool

    @property
    def read(self) -> float:
        """The share that was read of what is there, from 0 to 1."""

    def advance(self, seconds: float) -> bool:
        """Read on for about as long; whether anything was new.

        Raises:
            RunFileError, RunDirectoryError: the run cannot be read.
        """

    def summary(self) -> dict[str, Any]:
        """The run's summary, with nested dictionaries."""

    def media(self) -> list[Medium]:
        """The tables and images that it logged, oldest first."""

    def close(self) -> None:
        """Let go of open files."""


def open_source(found: Found) -> Source:
    """What to read a run from: the journals of a UPS run until W&B's files hold every row.

    Raises:
        RunDirectoryError, RunFileError: the run cannot be read.
    """
    if found.directory is None:
        assert found.files is not None
        return FileSource(found.files)
    directory = RunDirectory.open(found.directory)
    journaled = directory.journal.is_dir() and bool(directory.processes())
    if found.files is not None and not (journaled and may_lack_rows(directory)):
        return FileSource(found.files)
    return JournalSource(directory)


class _Reading:
    """How much was read of what there was."""

    _caught_up = False
    _taken = 0  # bytes
    _total = 0

    @property
    def read(self) -> float:
        if self._caught_up:
            return 1.0
        return min(0.99, self._taken / self._total) if self._total else 0.0


class FileSource(_Reading):
    """A run read from its ``.wandb`` files."""

    journaled = False

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._pieces: Iterator[int] | None = None
        self.generation = 0
        self.run = files.begin(hidden=_HIDDEN)

    def advance(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        if self._pieces is None:
            try:
                sizes = [file.stat().st_size for file in self._files.files]
            except OSError as error:
                raise RunFileError(f"{error.filename} cannot be read: {error.strerror}") from error
            before = [segment.size for segment in self.run.segments]
            if sizes == before:
                return False
            if any(size < was for size, was in zip(sizes, before, strict=False)):
                self.run = self._files.begin(hidden=_HIDDEN)  # written anew
                self.generation += 1
                self._caught_up, self._taken = False, 0
            self._total = max(sum(sizes), 1)
            self._pieces = self.run.read_more()
        rows = self.run.rows
        pieces, self._pieces = self._pieces, None  # what fails is begun anew
        for size in pieces:
            self._taken += size
            if time.monotonic() > until:
                self._pieces = pieces
                return True
        if self.run.rows < rows:
            self.generation += 1  # rows that stood in two segments
        self._caught_up = True
        return True

    def summary(self) -> dict[str, Any]:
        return dict(self.run.summary)

    def media(self) -> list[Medium]:
        found = []
        for segment in self._files.files:
            folder = segment.parent / "files" / "media"
            for kind, below, pattern in (("table", "table", "*.table.json"), ("image", "images", "*.*")):
                for path in (folder / below).rglob(pattern) if (folder / below).is_dir() else ():
                    name = path.relative_to(folder / below).as_posix().removesuffix(".table.json")
                    name = name if kind == "table" else name.rpartition(".")[0]
                    with contextlib.suppress(OSError):  # a link that leads nowhere
                        found.append(Medium(kind, _without_step(name), path, path.stat().st_mtime))
        return sorted(found, key=lambda medium: (medium.time, medium.name))

    def close(self) -> None:
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
        described = directory.describe()
        self._rule = RowRule(described.repeated)
        self._readers: dict[str, JournalReader] = {}
        self._set: dict[str, Any] = {}  # what log_eval_summary set
        self._media: list[Medium] = []
        self.generation = 0
        self.run = Run.from_rows(
            directory.path,
            (),
            run_id=described.run_id,
            name=described.name or "",
            definitions=self._rule.definitions,
            stages=described.stages,
            config=described.config,
        )
        self.run.project, self.run.entity = described.project or "", described.entity or ""
        self.run.tags = described.tags

    def advance(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        moved = False
        try:
            for process in self._directory.processes():
                if process not in self._readers:
                    self._readers[process] = JournalReader(self._directory.journal_of(process))
            if not self._caught_up:
                self._total = sum(reader.path.stat().st_size for reader in self._readers.values())
            for process, reader in self._readers.items():
                while self._take_some(process, reader):
                    moved = True
                    if time.monotonic() > until:
                        self._taken = sum(each.offset for each in self._readers.values())
                        return True
                if self._rule.is_open(process) and not self._directory.is_alive(process):
                    while self._take_some(process, reader):  # what came before it was gone
                        pass
                    self._add(self._rule.settle(process))
                    moved = True
        except OSError as error:
            raise RunDirectoryError(f"{error.filename or self._directory.path} cannot be read: {error}") from error
        moved = moved or not self._caught_up
        self._caught_up = True
        return moved

    def summary(self) -> dict[str, Any]:
        return {**self._rule.last, **self._set}

    def media(self) -> list[Medium]:
        return list(self._media)

    def close(self) -> None:
        """Nothing: a journal is open only while it is read."""

    def _take_some(self, process: str, reader: JournalReader) -> bool:
        """Take some thousand records of a process's journal; whether there was any."""
        rows: list[Row] = []
        start = reader.offset
        for count, (record, _) in enumerate(reader.read()):
            rows += self._rule.rows(record, process)
            if "values" not in record:
                self._take_other(record)
            if count == _ROWS_AT_ONCE:
                break
        self._add(rows)
        return reader.offset > start

    def _add(self, rows: Iterable[Row]) -> None:
        values = [{**row.values, "_timestamp": row.time} for row in rows]
        if values:
            try:
                self.run.add_rows(values)
            except (TypeError, OverflowError):  # a value that is no number, or too large for one
                self.run.add_rows([_numbers_of(row) for row in values])

    def _take_other(self, record: dict[str, Any]) -> None:
        """Take what is no row: configuration, summary, tags, media, the end."""
        if "config" in record:
            self.run.config.update(record["config"])
        elif "summary" in record:
            self._set.update(record["summary"])
        elif "tags" in record:
            self.run.tags = tuple(dict.fromkeys([*self.run.tags, *map(str, record["tags"])]))
        elif "table" in record or "image" in record:
            kind = "table" if "table" in record else "image"
            path = self._directory.path / str(record["path"])
            caption = record.get("caption")
            shown = None if caption is None else str(caption)
            self._media.append(Medium(kind, str(record[kind]), path, float(record["time"]), shown))
        elif "end" in record:
            self.run.end(record["end"]["exit_code"])


def _numbers_of(row: dict[str, Any]) -> dict[str, float]:
    """What of a row can be drawn."""
    numbers = {}
    for name, value in row.items():
        if isinstance(value, int | float):
            try:
                numbers[name] = float(value)
            except OverflowError:
                continue
    return numbers
