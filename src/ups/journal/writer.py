"""The journal: an append-only file of JSON lines, one per row.

Each process of a run writes a journal of its own, so processes share only the folder. A line is written with a single
``write`` and is in the file when :meth:`Journal.append` returns; it survives the process being killed.
:meth:`Journal.sync` bounds what a power cut can take. :meth:`Journal.defer` keeps the place of a row whose values a
device is still to bring: it is written when they are there, at the latest before the next line.

A line is a JSON object with ``time`` (seconds since 1970) and one more key, which is its kind::

    {"time": 1764000000.25, "stage": "operator", "step": 7, "values": {"loss": 0.5, "lr": NaN}}
    {"time": 1764000000.25, "values": {"accuracy": 0.9}}                 a row of no stage
    {"time": 1764000000.25, "summary": {"eval/l2": 0.001}}
    {"time": 1764000000.25, "rejected": {...}, "why": "..."}             kept here, never delivered

and ``config``, ``tags``, ``table``, ``image``, ``file``, ``artifact``, ``alert``, ``begin`` and ``end`` likewise.
NaN and the infinities stand as ``NaN``, ``Infinity`` and ``-Infinity``, as Python's ``json`` reads and writes them.

Where a write fails (a full disk), the bytes wait in memory, up to :data:`WAITING_LIMIT`, and are written before the
next line. So the file is always a prefix of the lines that were logged, and a last line without a newline is still to
be completed.
"""

import contextlib
import errno
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ups.durable import sync_folder, sync_open
from ups.errors import RunDirectoryError
from ups.journal.own_descriptor import OwnDescriptor

__all__ = ["WAITING_LIMIT", "DeferredLines", "Journal", "LateJournal"]

WAITING_LIMIT = 64 * 1024 * 1024  # bytes kept in memory while the disk takes none


class DeferredLines(Protocol):
    """Lines that are written later, when their values are there."""

    def lines(self) -> bytes:
        """Wait for the lines. Two threads may call this at once, and more than once."""


class Journal:
    """Appends to one file. Safe to use from several threads and from a signal handler.

    Args:
        path: The file, which must not exist.
        on_failure: Called with the error when a line cannot be written, and with None once all lines that waited have
            been written.
        on_loss: Called for each line that is given up because :data:`WAITING_LIMIT` is reached.
        on_reopening: Called when the file is opened again, since the process's own code has closed it.

    Raises:
        FileExistsError: A file has that name.
        RunDirectoryError: The file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_failure: Callable[[OSError | None], None],
        on_loss: Callable[[], None],
        on_reopening: Callable[[], None],
    ) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._on_failure = on_failure
        self._on_loss = on_loss
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._synced = 0
        self._deferred: DeferredLines | None = None
        self._deferrals: queue.SimpleQueue[DeferredLines | None] | None = None
        self._on_reopening = on_reopening
        self._closed = self._failing = False
        try:
            self._file = OwnDescriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
            self._number = self._file.number
        except FileExistsError:
            raise
        except OSError as error:
            raise RunDirectoryError(f"cannot write the journal {path}: {error.strerror}") from error

    def append(self, line: bytes) -> None:
        """Append ``line``, which ends with a newline."""
        with self.lock:
            if self._deferred is not None:
                self._settle()
            if self._waiting:
                self._wait(line)
                self._write_waiting()
                return
            try:
                written = os.write(self._number, line)
            except OSError:
                self._wait(line)
                self._write_waiting()
            else:
                if written != len(line):
                    self._wait(line[written:])

    def defer(self, deferred: DeferredLines) -> None:
        """Keep the place of lines that cannot be written yet; a thread writes them when they can be."""
        with self.lock:
            self._settle()
            self._deferred = deferred
            if self._deferrals is None:
                self._deferrals = queue.SimpleQueue()
                threading.Thread(
                    target=self._settle_each, args=(self._deferrals,), name="ups-device", daemon=True
                ).start()
            self._deferrals.put(deferred)

    def sync(self) -> None:
        """Write the lines that wait or were deferred, and put the file on the disk.

        Slow: not for the training thread.

        Raises:
            OSError: The disk refused; the lines stay with the operating system or in memory.
        """
        with self.lock:
            self._settle()
            self._write_waiting()
            if self._closed:
                return
            self._ensure()
            size = os.fstat(self._number).st_size
            if size == self._synced:
                return
            descriptor = os.dup(self._number)  # stays open while it syncs, outside the lock
            first = not self._synced
        try:
            sync_open(descriptor)
        finally:
            os.close(descriptor)
        if first:
            sync_folder(self.path.parent)
        self._synced = size

    def close(self) -> int:
        """Write the lines that wait, sync and close. Returns the number of lines that could not be written."""
        with self.lock:
            if self._closed:
                return len(self._waiting)
            self._settle()
            if self._deferrals is not None:
                self._deferrals.put(None)
            self._write_waiting()
            try:
                self._ensure()
                sync_open(self._number)
            except OSError as error:
                self._on_failure(error)
            with contextlib.suppress(OSError):  # the code that needs a folder reports that it is gone
                sync_folder(self.path.parent)
            self._closed = True
            self._file.close()
            self._number = -1
            return len(self._waiting)

    def _ensure(self) -> None:
        """Open the file again if its descriptor was closed.

        Raises:
            OSError: It cannot be opened, or the journal is closed.
        """
        if self._closed:
            raise OSError(errno.EBADF, "the journal is closed", str(self.path))
        if self._file.ensure():
            self._number = self._file.number
            self._on_reopening()

    def _settle(self) -> None:
        """Write the deferred lines, if there are any."""
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            self.append(deferred.lines())

    def _settle_each(self, deferrals: "queue.SimpleQueue[DeferredLines | None]") -> None:
        while (deferred := deferrals.get()) is not None:
            deferred.lines()  # without the lock, so that the training thread can log
            with self.lock:
                if self._deferred is deferred:
                    self._settle()

    def _wait(self, line: bytes) -> None:
        if self._waiting_bytes + len(line) > WAITING_LIMIT:
            self._on_loss()
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    def _write_waiting(self) -> None:
        while self._waiting:
            line = self._waiting[0]
            try:
                self._ensure()
                written = os.write(self._number, line)
            except OSError as error:
                self._failing = True
                self._on_failure(error)
                return
            self._waiting_bytes -= written
            if written != len(line):
                self._waiting[0] = line[written:]
            else:
                self._waiting.popleft()
        if self._failing:
            self._failing = False
            self._on_failure(None)


class LateJournal(Journal):
    """A journal that is opened by the first line that is written to it."""

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        self.lock = threading.RLock()
        self._open = open_journal
        self._opened: Journal | None = None

    def append(self, line: bytes) -> None:
        """Open the journal, and append to it."""
        self._journal().append(line)

    def defer(self, deferred: DeferredLines) -> None:
        """Open the journal, and defer in it."""
        self._journal().defer(deferred)

    def _journal(self) -> Journal:
        """The journal; the first thread opens it."""
        with self.lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def sync(self) -> None:
        """Do nothing: no line was written yet."""

    def close(self) -> int:
        """Do nothing: no line was written yet."""
        return 0
