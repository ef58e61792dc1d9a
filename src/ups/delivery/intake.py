"""The intake of new records and console lines: each span is written to the ledger first, then handed over."""

import time
from collections.abc import Callable

from ups.delivery.feeder import Feeder
from ups.delivery.run_lifetime import RunLifetime
from ups.durable import sync_file, sync_folder
from ups.errors import RunDirectoryError
from ups.journal.console_log import ConsoleReader
from ups.journal.ledger import JournalSpan
from ups.journal.row_reader import Entry

__all__ = ["Intake"]

_SYNC_EVERY = 1.0  # seconds between two syncs, each of which comes before rows are handed over
_SPAN = 2_000  # records written down at once
_AT_ONCE = 4  # spans between two syncs
_NEVER = 2**62  # bytes: more than any file has


class Intake:
    """Takes a feeder, and its session, through the journals: first the spans in the ledger, then new records.

    ``on_fault`` is called with a kind, a message and a count; ``on_progress`` between two spans and console logs.
    """

    def __init__(
        self,
        feeder: Feeder,
        lifetime: RunLifetime,
        *,
        on_fault: Callable[[str, str, int], None],
        on_progress: Callable[[], None],
    ) -> None:
        self._directory, self._journals = feeder.directory, feeder.journals
        self._ledger, self._session = feeder.ledger, feeder.session
        self._feeder = feeder
        self._lifetime = lifetime
        self._on_fault = on_fault
        self._on_progress = on_progress
        self._written: list[list[Entry]] = []  # in the ledger, and not handed over yet
        self._unsynced: dict[str, None] = {}  # the processes that they are of
        self._named: set[str] = set()  # processes whose journals' names are on the disk
        self._consoles: dict[str, ConsoleReader] = {}
        self._next_sync = 0.0

    def take_ledger(self) -> None:
        """Hand over the spans of the ledger, of which W&B may lack some rows."""
        for span in self._ledger:
            for _ in self._feeder.take_span(span):
                self._on_progress()

    def take_new(self, *, ended: bool) -> bool:
        """Take up what is new in the journals and console logs. False if nothing was.

        Where the run has ``ended``, this does not wait for more rows before a sync.
        """
        moved = self._take_journals(at_once=ended)
        for process in self._directory.processes():
            moved |= self._take_console(process, ended=ended)
            self._on_progress()
        return moved

    def _take_journals(self, *, at_once: bool) -> bool:
        if not at_once and time.monotonic() < self._next_sync and not self._lifetime.is_near():
            return False
        moved = False
        for process in self._directory.processes():
            # All that is there now, since a process that began later may continue from it. The rest comes next time.
            moved |= self._take_written(process)
            if self._journals.is_open(process) and self._is_over(process, ended=at_once):
                self._take_written(process)  # what came before it was over
                self._settle(process)
                moved = True
        if self._written:
            self._hand_over()
        return moved

    def _take_written(self, process: str) -> bool:
        """Take up the records that are in a process's journal now. False if there are none."""
        size = self._directory.journal_of(process).stat().st_size
        moved = False
        while self._journals.journal(process).offset < size and self._write_down(process):
            moved = True
            if len(self._written) >= _AT_ONCE:
                self._hand_over()
        return moved

    def _write_down(self, process: str) -> bool:
        """Write the next span of a journal to the ledger. False if there is none."""
        journal = self._journals.journal(process)
        start, damaged = journal.offset, journal.damaged
        entries = self._journals.read_more(process, _SPAN)
        if journal.damaged > damaged:
            message = f"{journal.path} has damaged lines: passed over"
            self._on_fault("damaged", message, journal.damaged - damaged)
        if entries is None:
            return False
        rows = sum(entry.numbered for entry in entries)
        self._add(JournalSpan(process, start, journal.offset, rows), entries)
        return True

    def _settle(self, process: str) -> None:
        """Write down the rows that a process left open when it was gone, or its run had ended."""
        offset = self._journals.journal(process).offset
        entries = self._journals.settle(process)
        self._add(JournalSpan(process, offset, offset, len(entries), settled=True), entries)

    def _add(self, span: JournalSpan, entries: list[Entry]) -> None:
        rows = [entry.row for entry in entries if entry.numbered]
        wishes = [getattr(row, "number", 0) for row in rows] if self._journals.script is not None else []
        self._ledger.add(span, wishes if any(wishes) else ())
        self._written.append(entries)
        self._unsynced[span.process] = None

    def _is_over(self, process: str, *, ended: bool) -> bool:
        """True where a process adds no more values to its open rows: it is gone, or the run that it joined has ended.

        A training that resumes a run which has ended comes in a session of its own.
        """
        if self._directory.is_alive(process):
            return ended and process not in self._directory.owners()
        return True

    def _hand_over(self) -> None:
        """Sync the spans that were written down, and their journals, then give their entries to W&B."""
        for process in self._unsynced:
            sync_file(self._directory.journal_of(process))
        if not self._named.issuperset(self._unsynced):
            self._named.update(self._unsynced)
            sync_folder(self._directory.journal)
        self._ledger.sync()
        self._next_sync = time.monotonic() + _SYNC_EVERY
        for entries in self._written:
            self._feeder.take(entries)
            self._on_progress()
        self._written.clear()
        self._unsynced.clear()

    def _take_console(self, process: str, *, ended: bool) -> bool:
        key = f"console/{process}"
        reader = self._consoles.get(process)
        if reader is None:
            path = self._directory.console_of(process)
            reader = self._consoles[process] = ConsoleReader(path, self._ledger.cursor.get(key))
        try:
            text = reader.read(ended=ended)
        except RunDirectoryError as error:  # a link or a pipe, which is not the run's
            self._on_fault(f"console:{process}", str(error), 1)
            reader.offset = _NEVER
            return False
        if text:
            self._session.write_console(text)
            self._ledger.cursor.set(key, reader.offset)
        return bool(text)
