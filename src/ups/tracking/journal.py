"""The journal: an append-only file of JSON lines, one for each row, and its reader.

Each process of a run writes a journal of its own, so nothing is shared but the folder. A line is written with a
single ``write`` and is in the file when :meth:`Journal.append` returns; it survives the process being killed.
:meth:`Journal.sync` bounds what a power cut can take. A row whose values a device is still to bring has its place kept
by :meth:`Journal.defer`: it is written when they are there, at the latest before the next line.

A line is a JSON object with ``time`` (seconds since 1970) and one more key that tells its kind::

    {"time": 1764000000.25, "stage": "operator", "step": 7, "values": {"loss": 0.5, "lr": NaN}}
    {"time": 1764000000.25, "values": {"accuracy": 0.9}}                 a row of no stage
    {"time": 1764000000.25, "summary": {"eval/l2": 0.001}}
    {"time": 1764000000.25, "rejected": {...}, "why": "..."}             kept here, never delivered

and ``config``, ``tags``, ``table``, ``image``, ``file``, ``artifact``, ``alert``, ``begin`` and ``end`` likewise.
NaN and the infinities stand as ``NaN``, ``Infinity`` and ``-Infinity``, as Python's ``json`` reads and writes them.

A write that fails (a full disk) loses nothing at first: the bytes wait in memory, bounded by
:data:`WAITING_LIMIT`, and go out before the next line. So the file is at every moment a prefix of what was
logged, and a last line without a newline is one still to be completed.
"""

import json
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson

from ups.errors import RunDirectoryError

__all__ = ["WAITING_LIMIT", "DeferredLines", "Journal", "JournalReader", "LateJournal", "encode_record"]

WAITING_LIMIT = 64 * 1024 * 1024  # bytes kept in memory while the disk takes none

_READ_AT_ONCE = 1024 * 1024  # bytes


def encode_record(record: dict[str, Any]) -> bytes:
    """``record`` as a line of a journal."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


class DeferredLines(Protocol):
    """Lines that can be written later, when what they say is there."""

    def lines(self) -> bytes:
        """The lines, waited for. May be called by two threads at once, and again."""


class Journal:
    """Appends to one file. Safe to use from several threads and from a signal handler.

    Args:
        path: The file, which must not exist.
        on_failure: Called with the error when a line could not be written, and with None when the lines that
            waited have all been written after all.
        on_loss: Called for each line that was given up because :data:`WAITING_LIMIT` was reached.

    Raises:
        RunDirectoryError: The file cannot be created.
    """

    def __init__(
        self, path: Path, *, on_failure: Callable[[OSError | None], None], on_loss: Callable[[], None]
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
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        except OSError as error:
            raise RunDirectoryError(f"cannot write the journal {path}: {error.strerror}") from error

    def append(self, line: bytes) -> None:
        """Write ``line``, which ends with a newline, behind what is in the file."""
        with self.lock:
            if self._deferred is not None:
                self._settle()
            if self._waiting:
                self._wait(line)
                self._write_waiting()
                return
            try:
                written = os.write(self._descriptor, line)
            except OSError as error:
                self._wait(line)
                self._on_failure(error)
            else:
                if written != len(line):
                    self._wait(line[written:])

    def defer(self, deferred: DeferredLines) -> None:
        """Keep the place of lines that cannot be written yet; a thread writes them when they can be."""
        with self.lock:
            if self._deferred is not None:
                self._settle()
            self._deferred = deferred
            if self._deferrals is None:
                self._deferrals = queue.SimpleQueue()
                threading.Thread(
                    target=self._settle_each, args=(self._deferrals,), name="ups-device", daemon=True
                ).start()
            self._deferrals.put(deferred)

    def sync(self) -> None:
        """Write what waits and what was deferred, and have the operating system put the file on the disk.

        Slow: off the training thread.

        Raises:
            OSError: The disk refused; what was appended stays with the operating system or in memory.
        """
        with self.lock:
            if self._deferred is not None:
                self._settle()
            if self._waiting:
                self._write_waiting()
            if self._descriptor < 0:
                return
            size = os.fstat(self._descriptor).st_size
            if size == self._synced:
                return
            self._synced = size
            descriptor = os.dup(self._descriptor)  # closed by nobody else while it syncs, outside the lock
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> int:
        """Write what waits, sync and close. Returns how many lines could not be written."""
        with self.lock:
            if self._descriptor < 0:
                return len(self._waiting)
            if self._deferred is not None:
                self._settle()
            if self._deferrals is not None:
                self._deferrals.put(None)
            if self._waiting:
                self._write_waiting()
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self._on_failure(error)
            os.close(self._descriptor)
            self._descriptor = -1
            return len(self._waiting)

    def _settle(self) -> None:
        """Write what was deferred."""
        assert self._deferred is not None
        deferred, self._deferred = self._deferred, None
        self.append(deferred.lines())

    def _settle_each(self, deferrals: "queue.SimpleQueue[DeferredLines | None]") -> None:
        while (deferred := deferrals.get()) is not None:
            deferred.lines()  # without the lock: the training thread may log meanwhile
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
                written = os.write(self._descriptor, line)
            except OSError as error:
                self._on_failure(error)
                return
            self._waiting_bytes -= written
            if written != len(line):
                self._waiting[0] = line[written:]
            else:
                self._waiting.popleft()
        self._on_failure(None)


class LateJournal(Journal):
    """Stands in for a journal that is opened when something is to be written.

    Args:
        open_journal: Opens it.
    """

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        self.lock = threading.RLock()
        self._open = open_journal

    def append(self, line: bytes) -> None:
        """Open the journal, and append to it."""
        self._open().append(line)

    def defer(self, deferred: DeferredLines) -> None:
        """Open the journal, and defer in it."""
        self._open().defer(deferred)

    def sync(self) -> None:
        """There is nothing to sync."""

    def close(self) -> int:
        """There is nothing to close."""
        return 0


class JournalReader:
    """Follows a journal that may still be growing.

    The file is open only while it is read: a run may have more journals than a process may have open files.

    Attributes:
        path: The file.
        offset: Bytes read so far: always the end of a whole line.
        damaged: Lines so far that were no record of a journal. They are passed over.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.damaged = 0

    def read(self, until: int | None = None) -> Iterator[tuple[dict[str, Any], int]]:
        """The records behind :attr:`offset`, each with the offset at its end, as far as there are whole lines.

        Args:
            until: Stop at this offset, which is the end of a line.
        """
        while until is None or self.offset < until:
            wanted = _READ_AT_ONCE if until is None else min(_READ_AT_ONCE, until - self.offset)
            with self.path.open("rb") as file:
                file.seek(self.offset)
                chunk = file.read(wanted)
                if b"\n" not in chunk and len(chunk) == wanted:  # one line longer than a chunk
                    chunk += file.readline()
            end = chunk.rfind(b"\n") + 1
            if not end:
                return
            for line in chunk[: end - 1].split(b"\n"):
                self.offset += len(line) + 1
                record = _decode(line)
                if record is None:
                    self.damaged += 1
                else:
                    yield record, self.offset


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except ValueError:  # NaN, an infinity, half a surrogate pair, a whole number beyond 64 bits, or damage
        try:
            record = json.loads(line.decode("utf-8", "surrogatepass"))
        except ValueError:
            return None
    return record if isinstance(record, dict) and _is_record(record) else None


# What must be in a record of each kind but a row, for whoever takes it up.
_BESIDE: dict[str, dict[str, type]] = {"table": {"table": str, "path": str}, "image": {"image": str, "path": str}}
_WITHIN: dict[str, dict[str, type]] = {
    "summary": {},
    "config": {},
    "end": {"exit_code": int},
    "file": {"base": str, "name": str},
    "artifact": {"path": str, "name": str, "type": str},
    "alert": {"title": str, "text": str, "level": str},
}


def _is_record(record: dict[str, Any]) -> bool:
    """Whether an object has a time, and all that its kind must have: else it is damage."""
    if not isinstance(record.get("time"), int | float):
        return False
    if "values" in record:
        of_a_stage = isinstance(record.get("stage"), str) and isinstance(record.get("step"), int)
        return isinstance(record["values"], dict) and (of_a_stage or "stage" not in record)
    if "tags" in record:
        return isinstance(record["tags"], list)
    return all(_has(record, wanted) for kind, wanted in _BESIDE.items() if kind in record) and all(
        isinstance(record[kind], dict) and _has(record[kind], wanted)
        for kind, wanted in _WITHIN.items()
        if kind in record
    )


def _has(held: dict[str, Any], wanted: dict[str, type]) -> bool:
    return all(isinstance(held.get(name), kind) for name, kind in wanted.items())
