"""Handing a session what W&B does not hold yet: records in order → numbered rows, summary, media and the rest."""

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ups.tracking.rows import RowRule
from ups.tracking.run_directory import RunDirectory, write_atomically
from ups.tracking.sequence import Sequence
from ups.tracking.session import Refused, Session

__all__ = ["Cursor", "Handover"]


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
        on_refusal: Called with what wandb would not take, though it goes on taking the rest.

    Attributes:
        rule: Makes rows of the records.
        rows: How many rows there were so far, up to the last that W&B holds or has taken.
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
        self.rows = 0
        self._seen = 0
        self._held = held
        self._summary: dict[str, Any] = {}

    def take(self, process: str, records: Iterable[tuple[dict[str, Any], int]]) -> None:
        """Hand over the records of a process's journal, each with the offset at its end."""
        for record, offset in records:
            try:
                if "values" in record:
                    self._take_row(record)
                elif "table" in record or "image" in record:
                    self._take_media(record)
                else:
                    self._take_other(process, record, offset)
            except Refused as refused:
                self._on_refusal(refused)

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

    def _take_row(self, record: dict[str, Any]) -> None:
        row = self.rule.row(record)
        if row is not None:
            number = self._next()
            if number is not None:
                self._session.log(row, number)
                self.rows = self._seen

    def _take_media(self, record: dict[str, Any]) -> None:
        number = self._next()
        if number is None:
            return
        path = self._directory.path / record["path"]
        if "table" in record:
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
            self._session.alert(**record["alert"])
        elif "artifact" in record:
            artifact = record["artifact"]
            self._session.log_artifact(self._directory.path / artifact["path"], artifact["name"], artifact["type"])
        elif "file" in record:
            base = self._directory.path / record["file"]["base"]
            self._session.save_file(base / record["file"]["name"], base)


class Cursor:
    """How far each source has been given out, for what is delivered at least once; a small file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._offsets: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):  # lost: given again, from the start
            self._offsets = json.loads(path.read_text(encoding="utf-8"))

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
