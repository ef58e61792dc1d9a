"""A run's journals as rows: the one order, by the one rule.

Delivery gives W&B the rows of a run in the order of its ledger (:mod:`ups.journal.ledger`). Records that the ledger
does not have yet follow, one journal after another. Delivery, check, dashboard and repair all read journals through
this module, so they number the rows alike.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ups.errors import DeliveryError
from ups.journal.ledger import JournalSpan, spans_of
from ups.journal.reader import JournalReader
from ups.journal.row_rule import Row, RowRule
from ups.journal.run_directory import RunDirectory

if TYPE_CHECKING:
    from ups.guard.axes import Definition
    from ups.journal.script_rows import ScriptRows

__all__ = ["Entry", "RowReader", "rows_of"]

_AT_ONCE = 4000  # records


class Entry(NamedTuple):
    """A row of a journal, or a record that makes none.

    Attributes:
        record: The record; of a row, the one that settled it.
        offset: The bytes of the journal up to the record's end.
        row: The row; None for any other record.
        numbered: True where W&B is given a row for it, which takes a number: for a row, a table or an image.
    """

    process: str
    record: dict[str, Any]
    offset: int
    row: Row | None
    numbered: bool


class RowReader:
    """Reads the journals of a run as entries, from their start, by a :class:`~ups.journal.row_rule.RowRule`.

    Args:
        directory: The run's directory.
        repeated: The attempts that are drawn of a step that is logged again.
        guarded: False where a script's rows are those of plain wandb.

    Attributes:
        script: Makes rows of the calls of a script's own; None while no journal has any.
    """

    def __init__(self, directory: RunDirectory, repeated: str, *, guarded: bool = True) -> None:
        self.rule = RowRule(repeated)
        self._guarded = guarded
        self.script: ScriptRows | None = None
        self._directory = directory
        self._journals: dict[str, JournalReader] = {}

    def journal(self, process: str) -> JournalReader:
        """The reader of a process's journal."""
        if process not in self._journals:
            self._journals[process] = JournalReader(self._directory.journal_of(process))
        return self._journals[process]

    @property
    def offset(self) -> int:
        """The bytes that were read of all journals."""
        return sum(journal.offset for journal in self._journals.values())

    def read_all(self) -> Iterator[Entry]:
        """Read everything that the journals hold now, as W&B is given it once every process is gone.

        Raises:
            RunDirectoryError, OSError: A journal or the ledger cannot be read.
        """
        yield from self.read_ledger()
        for process in self._directory.processes():
            for entries in self.read_rest(process, _AT_ONCE):
                yield from entries
            yield from self.settle(process)

    def read_ledger(self) -> Iterator[Entry]:
        """Read the spans of the ledger, in its order.

        A ledger that is damaged, or does not fit the journals, ends there: the rest is read by :meth:`read_more`.

        Raises:
            RunDirectoryError, OSError: A journal or the ledger cannot be read.
        """
        try:
            spans = spans_of(self._directory)
        except DeliveryError:
            return
        for span in spans:
            if span.start != self.journal(span.process).offset:
                return
            for entries in self.read_span(span):
                yield from entries

    def read_span(self, span: JournalSpan) -> Iterator[list[Entry]]:
        """Read a span of the ledger, a record at each step; then settle the rows that were open at its end, if it did.

        Where the journal has lost records since, as in a power cut, the rows that were open before them are settled
        too: a record that settled them is among the lost ones.
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

    def read_rest(self, process: str, at_once: int) -> Iterator[list[Entry]]:
        """Read the rest of a process's journal, ``at_once`` records at a time; see :meth:`read_more`."""
        while (entries := self.read_more(process, at_once)) is not None:
            yield entries

    def read_more(self, process: str, most: int) -> list[Entry] | None:
        """Read the next records of a process's journal, at most ``most``; None where it has no more yet.

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
        """Settle the rows that a process left open: no more values join them."""
        return self._settle(process, {}, self.journal(process).offset)

    def is_open(self, process: str) -> bool:
        """True where a row of the process is still to be settled."""
        return self.rule.is_open(process) or (self.script is not None and self.script.is_open(process))

    def _entries(self, process: str, record: dict[str, Any], offset: int) -> list[Entry]:
        if "values" in record:
            return [Entry(process, record, offset, row, numbered=True) for row in self.rule.rows(record, process)]
        if "log" in record:
            return self._call(process, record, offset)
        entries = self._settle(process, record, offset) if "settled" in record or "end" in record else []
        entries.append(Entry(process, record, offset, None, "table" in record or "image" in record))
        if "metric" in record:
            made = self._scripts().define(record["metric"])
            entries += self._definitions(made, process, record, offset)
        elif "summary_items" in record:
            changes = record["summary_items"]
            self._scripts().summary.change(changes.get("update", ()), changes.get("remove", ()))
        elif "begin" in record and self.script is not None:
            self.script.begin(owner=record["begin"].get("owner") is True)
        return entries

    def _call(self, process: str, record: dict[str, Any], offset: int) -> list[Entry]:
        """The entries of a call of a script's ``log``: definitions that the guard makes, then rows."""
        made, rows = self._scripts().log(
            record["log"], record.get("step"), record.get("commit"), record["time"], process
        )
        entries = self._definitions(made, process, record, offset) if made else []
        entries += [Entry(process, record, offset, row, numbered=True) for row in rows]
        return entries

    def _definitions(self, made: "list[Definition]", process: str, record: dict[str, Any], offset: int) -> list[Entry]:
        """Definitions of the guard, as entries like those that the script makes."""
        return [
            Entry(process, {"time": record["time"], "metric": {"name": name, **options}}, offset, None, numbered=False)
            for name, options in made
        ]

    def _settle(self, process: str, record: dict[str, Any], offset: int) -> list[Entry]:
        rows: list[Row] = self.rule.settle(process)
        if self.script is not None:
            rows += self.script.settle(process)
        return [Entry(process, record, offset, row, numbered=True) for row in rows]

    def _scripts(self) -> "ScriptRows":
        """The rule of a script's rows, loaded for the run of a script alone."""
        if self.script is None:
            from ups.journal.script_rows import ScriptRows

            self.script = ScriptRows(self.rule.definitions, guarded=self._guarded)
        return self.script


def rows_of(entries: Iterable[Entry]) -> Iterator[Row]:
    """The rows among entries."""
    return (entry.row for entry in entries if entry.row is not None)
