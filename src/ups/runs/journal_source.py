"""The journals of a UPS run as its source, while W&B may lack some of their rows."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ups.charts import DEFAULT_AXIS
from ups.errors import DeliveryError, RunDirectoryError
from ups.journal.ledger import numbers_of
from ups.journal.row_numbers import RowNumbers
from ups.journal.row_reader import Entry, RowReader
from ups.journal.run_directory import RunDirectory
from ups.journal.script_summary import Change, ScriptSummary, leaves
from ups.journal.waiting import waits
from ups.nested import put
from ups.runfile import Run
from ups.runs.source import Medium, Source

__all__ = ["JournalSource", "journals_of"]

_AT_ONCE = 4000  # records
_SHOWN = {"table-file": "table", "image-file": "image", "images/separated": "image"}
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
        self._rows = RowReader(directory, manifest.repeated, guarded=manifest.guarded)
        self._in_ledger: Iterator[Entry] | None = self._rows.read_ledger()
        self._set: dict[str, Any] = {}  # by log_eval_summary
        self._media: list[Medium] = []
        self._count = 0  # rows
        try:
            self._written, self._numbers = numbers_of(directory)
        except DeliveryError:
            self._written, self._numbers = 0, RowNumbers()
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

    def settle(self) -> None:
        """Take the rows that are open, as at the end of their processes. Nothing can be read after this."""
        for process in self._directory.processes():
            self._take(self._rows.settle(process))

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
        script = self._rows.script.summary.values if self._rows.script is not None else {}
        return {**self._rows.rule.last, **script, **self._set}

    def script_summary(self) -> ScriptSummary:
        """The summary so far, to be continued by a script's next rows."""
        script = self._rows.script
        return script.summary if script is not None else ScriptSummary(self.summary())

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
            if self._rows.is_open(process) and not self._directory.is_alive(process):
                yield from self._rows.read_rest(process, _AT_ONCE)  # its last records
                yield self._rows.settle(process)

    def _take(self, entries: list[Entry]) -> None:
        if self._rows.script is not None:
            self._take_of_script(entries)
            return
        rows: list[dict[str, Any]] = []
        has_media = False
        for entry in entries:
            if entry.row is not None:
                values = entry.row.values
                if any(isinstance(value, dict) for value in values.values()):
                    self.run.add_media(self._directory.files, self._count + len(rows), values)
                    self._take_media(values, entry.row.time)
                    has_media = True
                rows.append({**values, "_timestamp": entry.row.time})
            elif entry.numbered:  # a table or an image: W&B gives it a row too
                name, place = self._rows.rule.medium(entry.record)
                rows.append({**place, "_timestamp": entry.record["time"]})
                if place:
                    rows[-1][name] = {"_type": "table-file" if "table" in entry.record else "image-file"}
                    has_media = True
                self._take_medium(name, entry.record)
            else:
                self._take_other(entry)
        self._count += len(rows)
        if has_media:
            self.run.add_values([(".".join(path), value) for path, value in leaves(row)] for row in rows)
        elif rows:
            self.run.add_rows(rows)

    def _take_of_script(self, entries: list[Entry]) -> None:
        """Take entries of a run whose script calls wandb itself: values of any kind, with numbers of its own."""
        rows: list[list[tuple[str, Any]]] = []
        for entry in entries:
            row = entry.row
            if row is not None:
                number = self._number(getattr(row, "number", 0))
                values = [(".".join(path), value) for path, value in sorted(leaves(row.values), key=_is_nested)]
                rows.append([*values, ("_timestamp", row.time), (DEFAULT_AXIS, number)])
                if any(isinstance(value, dict) for value in row.values.values()):
                    self.run.add_media(self._directory.files, number, row.values)
                    self._take_media(row.values, row.time)
            elif entry.numbered:
                name, place = self._rows.rule.medium(entry.record)
                own = [*place.items(), (f"{name}._type", "")] if place else []
                rows.append([*own, ("_timestamp", entry.record["time"]), (DEFAULT_AXIS, self._number(0))])
                self._take_medium(name, entry.record)
            else:
                self._take_other(entry)
        if rows:
            self.run.add_values(rows)
        if self._rows.script is not None and (lost := self._rows.script.lost[self.run.lost_rows.count :]):
            self.run.add_lost_calls(lost)

    @property
    def next_step(self) -> int:
        """W&B's step of the row after those that were read."""
        return self._numbers.number(self._count - 1) + 1 if self._count and self._numbers else self._count

    def _number(self, wish: int) -> int:
        """The number of the next row in W&B: that in the ledger, or the one that it will have."""
        row = self._count
        self._count += 1
        if row >= self._written or not self._numbers:
            self._numbers.give(row, [wish])
        return self._numbers.number(row)

    def _take_media(self, values: dict[str, Any], time: float, above: str = "") -> None:
        """The tables and images in the values of a row."""
        for name, value in values.items():
            if not isinstance(value, dict):
                continue
            kind = _SHOWN.get(str(value.get("_type")))
            if kind is None:
                self._take_media(value, time, f"{above}{name}.")
                continue
            paths, captions = value.get("filenames", [value.get("path")]), value.get("captions", [value.get("caption")])
            for place, path in enumerate(paths if isinstance(paths, list) else ()):
                caption = captions[place] if isinstance(captions, list) and place < len(captions) else None
                if isinstance(path, str):
                    shown = caption if isinstance(caption, str) else None
                    self._media.append(Medium(kind, f"{above}{name}", self._directory.files / path, time, shown))

    def _take_medium(self, name: str, record: dict[str, Any]) -> None:
        """Take a table or images that UPS's own calls have kept."""
        kind = "table" if "table" in record else "image"
        for each in (record, *record.get("more", ())):
            path = self._directory.path / str(each["path"])
            self._media.append(Medium(kind, name, path, float(record["time"]), each.get("caption")))

    def _take_other(self, entry: Entry) -> None:
        """Take an entry that makes no row: configuration, summary, tags, start or end."""
        record = entry.record
        if "config" in record:
            self.run.config.update(record["config"])
        elif "config_item" in record:
            item = record["config_item"]
            if item["path"][0] != "_wandb":
                put(self.run.config, item["path"], item["value"])
        elif "run" in record:
            self.run.name = record["run"].get("name") or self.run.name
            self.run.tags = tuple(record["run"].get("tags", self.run.tags))
        elif "summary" in record:
            self._set.update(record["summary"])
        elif "tags" in record:
            self.run.tags = tuple(dict.fromkeys([*self.run.tags, *map(str, record["tags"])]))
        elif "begin" in record and record["begin"].get("owner") is True:
            self.run.end(None)
        elif "end" in record and entry.process == (self._directory.owners() or self._directory.processes())[-1]:
            self.run.end(record["end"]["exit_code"])


def _is_nested(change: Change) -> bool:
    """True for a value in dictionaries: where a plain name is the same, the nested value counts."""
    return len(change[0]) > 1
