"""A run's journals as rows: one order, and one rule for what makes a row.

W&B is given the rows of a run in the order that its ledger has (:mod:`ups.journal.ledger`); what the ledger does not
have yet comes behind it, one journal after another. Delivery, the check, the dashboard and the repair read through
this module, so they number the rows alike.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ups.errors import DeliveryError
from ups.journal.ledger import JournalSpan, spans_of
from ups.journal.reader import JournalReader
from ups.journal.row_rule import Row, RowRule
from ups.journal.run_directory import RunDirectory

__all__ = ["Entry", "RowReader", "rows_of"]

_AT_ONCE = 4000  # records


class Entry(NamedTuple):
    """A row of a journal, or a record that makes none.

    Attributes:
        process: The process that wrote the journal.
        record: The record; of a row, the one that settled it.
        offset: Bytes of the journal up to the record's end.
        row: The row; None for any other record.
        numbered: True where W&B is given a row for it, which takes a number: a row, a table, an image.
    """

    process: str
    record: dict[str, Any]
    offset: int
    row: Row | None
    numbered: bool


class RowReader:
    """Reads the journals of a run as entries, from their start.

    Args:
        directory: The run's directory.
        repeated: What is drawn of a step that is logged again (:class:`~ups.journal.row_rule.RowRule`).

    Attributes:
        rule: Makes rows of the records.
    """

    def __init__(self, directory: RunDirectory, repeated: str) -> None:
        self.rule = RowRule(repeated)
        self._directory = directory
        self._journals: dict[str, JournalReader] = {}

    def journal(self, process: str) -> JournalReader:
        """The journal of a process, as far as it was read."""
        if process not in self._journals:
            self._journals[process] = JournalReader(self._directory.journal_of(process))
        return self._journals[process]

    @property
    def offset(self) -> int:
        """Bytes that were read of all journals."""
        return sum(journal.offset for journal in self._journals.values())

    def all(self) -> Iterator[Entry]:
        """All that the journals hold now, as W&B is given it: then every process is taken to be gone.

        Raises:
            RunDirectoryError, OSError: A journal or the ledger cannot be read.
        """
        yield from self.in_ledger()
        for process in self._directory.processes():
            for entries in self.rest(process, _AT_ONCE):
                yield from entries
            yield from self.settle(process)

    def in_ledger(self) -> Iterator[Entry]:
        """What the ledger has, in its order; reading continues behind it.

        A ledger that is damaged, or does not fit the journals, has no order: each journal then follows the one before.

        Raises:
            RunDirectoryError, OSError: A journal or the ledger cannot be read.
        """
        try:
            spans = spans_of(self._directory.ledger_file)
        except DeliveryError:
            return
        for span in spans:
            if span.start != self.journal(span.process).offset:
                return
            for entries in self.again(span):
                yield from entries

    def again(self, span: JournalSpan) -> Iterator[list[Entry]]:
        """What a span of the ledger holds, a record at each step; then the rows that were open at its end.

        Where the journal has lost records since, as in a power cut, the rows that were open before them are settled:
        the records that did it are among those.
        """
        journal = self.journal(span.process)
        journal.offset = span.start
        numbered = 0
        with contextlib.suppress(FileNotFoundError):  # all of its records are lost
            for record, offset in journal.read(until=span.end):
                entries = self._entries(span.process, record, offset)
                numbered += sum(entry.numbered for entry in entries)
                yield entries
        journal.offset = span.end
        if span.settled or (span.rows is not None and numbered < span.rows):
            yield self.settle(span.process)

    def rest(self, process: str, at_once: int) -> Iterator[list[Entry]]:
        """What a process's journal holds beyond what was read, ``at_once`` records at a time; see :meth:`more`."""
        while (entries := self.more(process, at_once)) is not None:
            yield entries

    def more(self, process: str, most: int) -> list[Entry] | None:
        """What the next records of a process's journal make, at most ``most`` records; None where it has no more yet.

        Raises:
            RunDirectoryError, OSError: The journal cannot be read.
        """
        entries: list[Entry] = []
        count = 0
        for count, (record, offset) in enumerate(self.journal(process).read(), 1):
            entries += self._entries(process, record, offset)
            if count == most:
                break
        return entries if count else None

    def settle(self, process: str) -> list[Entry]:
        """The rows that a process left open: it gives them no more values."""
        offset = self.journal(process).offset
        return [Entry(process, {}, offset, row, numbered=True) for row in self.rule.settle(process)]

    def _entries(self, process: str, record: dict[str, Any], offset: int) -> list[Entry]:
        entries = [Entry(process, record, offset, row, numbered=True) for row in self.rule.rows(record, process)]
        if "values" not in record:
            entries.append(Entry(process, record, offset, None, "table" in record or "image" in record))
        return entries


def rows_of(entries: Iterable[Entry]) -> Iterator[Row]:
    """The rows among entries."""
    return (entry.row for entry in entries if entry.row is not None)
