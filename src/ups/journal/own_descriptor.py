"""A descriptor whose number no other file gets after a bulk close.

Code that daemonises closes every descriptor of the process (``os.closerange``), and the next files that it opens get
the numbers that UPS wrote to. So UPS opens its files under numbers near the process's limit. The kernel gives out the
lowest free number: another file gets one of these only in a process that has nearly as many files open as it may. Until
then a write fails, which costs nothing to notice, and UPS opens its file again. Where time does not matter (a sync, an
error, the end) UPS also compares the number with the file.
"""

import fcntl
import os
import resource
from pathlib import Path

__all__ = ["OwnDescriptor"]

_HIGHEST = 4096  # the kernel has a table up to the highest number, and copies it at each fork
_ROOM = 64  # numbers up to the limit, for all files of UPS


class OwnDescriptor:
    """A file that is open under a high number of this process; a link is not followed.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, flags: int, mode: int = 0o644) -> None:
        self.path = path
        self._flags = flags & ~(os.O_CREAT | os.O_EXCL)
        self.number = _open_high(path, flags, mode)
        self._identity = self._seen()

    def is_own(self) -> bool:
        """True where the number still stands for the file."""
        return self.number >= 0 and self._seen() == self._identity

    def ensure(self) -> bool:
        """Open the file again if its number was closed. True if it was.

        Raises:
            OSError: The file is gone, or cannot be opened.
        """
        if self.is_own():
            return False
        number = _open_high(self.path, self._flags)
        self.number, lost = number, self.number
        if self._seen() != self._identity:
            os.close(number)
            self.number = lost
            raise FileNotFoundError(2, "its descriptor was closed and another file has its name", str(self.path))
        return True

    def close(self) -> None:
        """Close the file, and no other that has its number now."""
        if self.is_own():
            os.close(self.number)
        self.number = -1

    def _seen(self) -> tuple[int, int] | None:
        try:
            found = os.fstat(self.number)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _open_high(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file under a high number; under the lowest where the process has no high one free."""
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_HIGHEST, limit if limit != resource.RLIM_INFINITY else _HIGHEST) - _ROOM
    try:
        high = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, max(wanted, 3))
    except OSError:
        return number
    os.close(number)
    return high
