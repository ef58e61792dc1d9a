"""Handing a session what W&B does not hold yet: records in order → numbered rows, summary, media and the rest."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ups.errors import RunDirectoryError
from ups.tracking.durable import write_atomically
from ups.tracking.rows import Row, RowRule
from ups.tracking.run_directory import RunDirectory
from ups.tracking.sequence import Sequence, Stretch
from ups.tracking.session import EVERY_ROW, Refused, Session
from ups.tracking.untrusted import LARGEST, check_folder, open_regular, parse, path_inside

__all__ = ["Cursor", "Handover"]


class Prepared(NamedTuple):
    """A row, or a record that is none, with what it comes to.

    Attributes:
        record: The record; of a row, the one that settled it.
        offset: Bytes of its journal up to its end.
        row: The row, if it is one.
        numbered: Whether W&B is given a row for it, which takes a number.
    """

    record: dict[str, Any]
    offset: int
    row: Row | None
    numbered: bool


class Handover:
    """Takes records in order and gives a session what W&B does not hold yet.

    Args:
        session: Takes it.
        rule: Makes rows of the records; fresh, since the records come from the start.
        directory: Where media lie.
        sequence: Has the number of each row.
        cursor: How far went what would show twice if it were given twice.
        held: How many rows W&B holds.
        on_end: Called with a process, a time and an exit code when the process has said that it is done.
        on_refusal: Called with what wandb would not take, though it takes the rest.

    Attributes:
        rule: Makes rows of the records.
        rows: How many rows there were so far, up to the last that W&B holds or has taken.
        gone: How many of them the journals have lost since they were taken up.
        expected: In how many of them each metric stands, and their number, tables and images apart.
    """

    def __init__(
        self,
        session: Session,
        rule: RowRule,
        directory: RunDirectory,
        sequence: Sequence,
        cursor: "Cursor",
        held: int,
        *,
        on_end: Callable[[str, float, int], None],
        on_refusal: Callable[[Refused], None],
    ) -> None:
        self.rule = rule
        self._on_end = on_end
        self._on_refusal = on_refusal
        self._session = session
        self._directory = directory
        self._sequence = sequence
        self._cursor = cursor
        self.rows = self.gone = 0
        self.expected: Counter[str] = Counter()
        self._seen = 0
        self._held = held
        self._summary: dict[str, Any] = {}

    def prepare(self, process: str, record: dict[str, Any], offset: int) -> list[Prepared]:
        """Prepare the next record of a process's journal, which ends at ``offset``, to be taken in the same order."""
        prepared = [Prepared(record, offset, row, numbered=True) for row in self.rule.rows(record, process)]
        if "values" not in record:
            prepared.append(Prepared(record, offset, None, "table" in record or "image" in record))
        return prepared

    def settle(self, process: str, offset: int) -> list[Prepared]:
        """Prepare the rows that a process left open, whose journal ends at ``offset``."""
        return [Prepared({}, offset, row, numbered=True) for row in self.rule.settle(process)]

    def take(self, process: str, records: Iterable[Prepared]) -> None:
        """Hand over what was prepared of a process's journal."""
        for prepared in records:
            try:
                if prepared.row is not None:
                    self._take_row(prepared.row)
                elif prepared.numbered:
                    self._take_media(prepared.record)
                else:
                    self._take_other(process, prepared.record, prepared.offset)
            except Refused as refused:
                self._on_refusal(refused)

    def take_again(self, stretch: Stretch, records: Iterable[tuple[dict[str, Any], int]]) -> Iterator[None]:
        """Hand over a stretch that was written down before, a record at each step.

        Rows that the journal has lost since keep their numbers: W&B may hold them.
        """
        first = self._seen
        for record, offset in records:
            self.take(stretch.process, self.prepare(stretch.process, record, offset))
            yield
        missing = stretch.rows is not None and self._seen < first + stretch.rows
        if stretch.settled or missing:  # what is missing has settled, before its own rows, those that were open
            self.take(stretch.process, self.settle(stretch.process, stretch.end))
        if stretch.rows is not None and self._seen < first + stretch.rows:
            self.gone += first + stretch.rows - self._seen
            self.rows = self._seen = first + stretch.rows

    def restore_summary(self) -> None:
        """After a cut: set the summary of what earlier sessions delivered, which a new session does not know."""
        if self._held:
            try:
                self._session.update_summary({**self.rule.last, **self._summary})
            except Refused as refused:
                self._on_refusal(refused)

    def _next(self) -> int | None:
        """The next row's number; None where W&B holds that row already."""
        row = self._seen
        self._seen += 1
        if row < self._held:
            self.rows = self._seen
            return None
        return self._sequence.number(row)

    def _take_row(self, row: Row) -> None:
        self.expected.update((EVERY_ROW, *row.values))
        number = self._next()
        if number is not None:
            self._session.log(row, number)
            self.rows = self._seen

    def _take_media(self, record: dict[str, Any]) -> None:
        number = self._next()
        if number is None:
            return
        kind = "table" if "table" in record else "image"
        path = self._inside(record["path"], f"the {kind} {record[kind]!r}")
        if kind == "table":
            self._session.log_table(record["table"], path, number)
        else:
            self._session.log_image(record["image"], path, record.get("caption"), number)
        self.rows = self._seen

    def _take_other(self, process: str, record: dict[str, Any], offset: int) -> None:
        if "summary" in record:
            self._summary.update(record["summary"])
            self._session.update_summary(record["summary"])
        elif "config" in record:
            self._session.update_config(record["config"])
        elif "tags" in record:
            self._session.add_tags(record["tags"])
        elif "end" in record:
            self._on_end(process, record["time"], record["end"]["exit_code"])
        elif offset > self._cursor.get(f"journal/{process}"):
            self._take_once(record)
            self._cursor.set(f"journal/{process}", offset)

    def _take_once(self, record: dict[str, Any]) -> None:
        """What would show twice if it were given twice."""
        if "alert" in record:
            alert = record["alert"]
            self._session.alert(alert["title"], alert["text"], alert["level"])
        elif "artifact" in record:
            artifact = record["artifact"]
            path = self._inside(artifact["path"], f"the artifact {artifact['name']!r}")
            self._session.log_artifact(path, artifact["name"], artifact["type"])
        elif "file" in record:
            base, name = record["file"]["base"], record["file"]["name"]
            path = self._inside(f"{base}/{name}", f"the file {name!r}")
            self._session.save_file(path, self._inside(base, "its folder"))

    def _inside(self, relative: str, what: str) -> Path:
        """A file or folder of the run by its path in there: nothing else is given to W&B, whatever the journal names.

        Raises:
            Refused: It leads out of the run's directory, or is not there.
        """
        path = self._directory.path / relative
        try:
            if Path(relative).is_absolute():
                raise RunDirectoryError(f"{relative} is not a path in the run's directory")
            resolved = path_inside(path, self._directory.path)
            if resolved.is_dir():
                check_folder(path, self._directory.path)
            elif not resolved.is_file():
                raise RunDirectoryError(f"{path} is not a regular file: it is left alone")
        except (OSError, RunDirectoryError) as error:
            raise Refused(what, str(error)) from error
        return resolved


class Cursor:
    """How far each source has been given out, for what is delivered at least once; a small file, replaced whole.

    One that is lost or damaged is begun again: what it guarded is given again, from the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._offsets: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError, RunDirectoryError):
            with open_regular(path, path.parent.parent) as file:
                held = parse(file.read(LARGEST))
            if isinstance(held, dict):
                self._offsets = {name: at for name, at in held.items() if type(at) is int and at >= 0}

    def get(self, source: str) -> int:
        """Bytes of a source that were given out."""
        return self._offsets.get(source, 0)

    def set(self, source: str, offset: int) -> None:
        """Note that a source was given out up to ``offset``."""
        self._offsets[source] = offset
        self._changed = True

    def save(self) -> None:
        """Write what was noted."""
        if self._changed:
            write_atomically(self._path, json.dumps(self._offsets) + "\n")
            self._changed = False
