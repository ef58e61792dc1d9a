"""A delivery's report of itself: its status and its faults, written where anyone may read them."""

import time
from collections.abc import Callable

from ups.journal.faults import Faults
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, write_status

__all__ = ["StatusReport"]

_EVERY = 0.25  # seconds between two reports of one state


class StatusReport:
    """Keeps ``delivery/status.json`` up to date, and calls ``on_progress`` with each status that is reported.

    Attributes:
        status: The status as it is now; change it, then call :meth:`write`.
    """

    def __init__(self, directory: RunDirectory, status: Status, on_progress: Callable[[Status], None]) -> None:
        self.status = status
        self._directory = directory
        self._on_progress = on_progress
        self._faults = Faults(quiet=True)
        self._next = 0.0

    def is_due(self) -> bool:
        """True where the newest report is so old that progress is worth another."""
        return time.monotonic() >= self._next

    def write(self, state: str | None = None) -> None:
        """Report the status, in a new ``state`` if one is given; a new one is on the disk when this returns."""
        changed = state is not None and state != self.status.state
        self.status.state = state or self.status.state
        self.status.faults = self._faults.as_dict()
        self._next = time.monotonic() + _EVERY
        try:
            write_status(self._directory, self.status, sync=changed)
        except OSError as error:
            self._faults.add("status", f"delivery cannot write its status: {error.strerror}")
        self._on_progress(self.status)

    def fault(self, kind: str, message: str, count: int = 1) -> None:
        """Count a fault, and report it."""
        self.note(kind, message, count)
        self.write()

    def note(self, kind: str, message: str, count: int = 1) -> None:
        """Count a fault; the next report has it."""
        self._faults.add(kind, message, count)

    def note_once(self, kind: str, message: str) -> None:
        """Count a fault that stays the same, once; the next report has it."""
        if kind not in self._faults.as_dict():
            self.note(kind, message)
