"""The journals of a UPS run as its source, while W&B may lack some of their rows."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ups.errors import RunDirectoryError
from ups.journal.row_reader import Entry, RowReader
from ups.journal.run_directory import RunDirectory
from ups.journal.waiting import waits
from ups.runfile import Run
from ups.runs.source import Medium, Source

__all__ = ["JournalSource", "journals_of"]

_AT_ONCE = 4000  # records
_A_WHILE = 60.0  # seconds that one call reads, where no page waits for it


def journals_of(folder: Path, *, has_files: bool) -> "JournalSource | None":
    """The journals in a UPS run directory, if they are the run's source; None where W&B's files hold all of them.

    Raises:
        RunDirectoryError: The directory cannot be read.
    """
    if not RunDirectory(folder).journal.is_dir():
        return None
    directory = RunDirectory.open(folder)
    if not directory.processes():
        return None
    try:
        return JournalSource(directory) if not has_files or waits(directory) or directory.living() else None
    except OSError as error:
        raise RunDirectoryError(f"{error.filename or folder} cannot be read: {error.strerror}") from error


class JournalSource(Source):
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

    def read_all(self) -> Run:
        """Read all that the journals hold now: the run as W&B will hold it once it is delivered.

        Raises:
            RunDirectoryError: They cannot be read.
        """
        while self.advance(_A_WHILE) or self.read < 1.0:
            pass
        return self.run

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
