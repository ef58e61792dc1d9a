"""The end of a run, and its exit code: by the ends that its processes have journaled, or by their silence."""

import os
import socket
import time

import psutil

from ups.journal.run_directory import RunDirectory
from ups.journal.untrusted import open_inside

__all__ = ["RunLifetime"]

_TAIL = 256  # bytes; the record of an end has less
_MARK_GRACE = 3.0  # seconds that a process may take to hold its mark again
_RANKS_APART = 60.0  # seconds between the ends of the first and the last rank of a job


class RunLifetime:
    """Watches the processes of a run.

    Attributes:
        owner: The process whose end is the run's end; a later one after :meth:`pass_on`. Without one the run ends when
            no process of it lives.
        unknown: A process that lived when this directory was copied, so that the copy does not have its end; or None.
    """

    def __init__(self, directory: RunDirectory, owner: str | None) -> None:
        self.owner = owner
        self.unknown: str | None = None
        self._directory = directory
        self._ends: dict[str, tuple[float, int]] = {}
        self._missed: dict[str, float] = {}  # process → when its mark was first seen free

    def note(self, process: str, time: float, exit_code: int) -> None:
        """Note the end that a process of the run has journaled."""
        self._ends[process] = (time, exit_code)

    def exit_code(self) -> int | None:
        """The run's exit code, that of the process which ended last; None while the run has not ended.

        A process that is gone without an end in its journal has failed. The ranks of a job end at about the same time.
        """
        ends = [(0.0, 0)]
        for process in [self.owner] if self.owner is not None else self._directory.processes():
            if process in self._ends:
                ends.append(self._ends[process])
            elif self._directory.is_alive(process):
                self._missed.pop(process, None)
                return None
            elif self._may_come_back(process):
                return None
            else:
                copied_alive = self._directory.was_copied_alive(process)
                if copied_alive:
                    self.unknown = process
                ends.append((self._directory.journal_of(process).stat().st_mtime, 0 if copied_alive else 1))
        ended, exit_code = max(ends)
        if time.time() - ended < _RANKS_APART and self._ranks_live():
            return None
        return exit_code

    def is_near(self) -> bool:
        """True where the last record of the owner's journal is its end: then the owner waits for delivery."""
        if self.owner is None:
            return False
        with open_inside(self._directory.journal_of(self.owner), self._directory.path) as journal:
            journal.seek(max(0, journal.seek(0, os.SEEK_END) - _TAIL))
            return b'"end":' in journal.read().rstrip(b"\n").rpartition(b"\n")[2]

    def pass_on(self) -> bool:
        """Make a training that has resumed the run its owner. False if none has."""
        processes = self._directory.processes()
        later = processes[processes.index(self.owner) + 1 :] if self.owner in processes else []
        owners = [process for process in self._directory.owners() if process in later]
        if not owners:
            return False
        self.owner = owners[-1]
        return True

    def _may_come_back(self, process: str) -> bool:
        """True where a process lives without its mark, and may hold it again in a moment.

        Code that daemonises closes the mark with all other files; the process notices, and takes it again.
        """
        start = self._directory.start_of(process)
        if start is None or start.host != socket.gethostname() or not start.pid or start.pid == os.getpid():
            return False
        try:
            there = psutil.Process(start.pid)
            same = there.status() != psutil.STATUS_ZOMBIE and there.create_time() <= start.time
        except psutil.Error:
            return False
        first = self._missed.setdefault(process, time.monotonic())
        return same and time.monotonic() - first < _MARK_GRACE

    def _ranks_live(self) -> bool:
        """True where another rank of the owner's job has not ended."""
        start = self._directory.start_of(self.owner) if self.owner is not None else None
        if start is None or start.rank is None:
            return False
        for process in self._directory.processes():
            other = self._directory.start_of(process)
            of_job = other is not None and bool(other.rank) and other.time >= start.time
            if of_job and process not in self._ends and self._directory.is_alive(process):
                return True
        return False
