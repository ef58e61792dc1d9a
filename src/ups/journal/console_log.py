"""The console log of a process, followed as it grows."""

from pathlib import Path

from ups.journal.untrusted import open_inside

__all__ = ["ConsoleReader"]

_READ_AT_ONCE = 256 * 1024  # bytes


class ConsoleReader:
    """Follows the console log of one process, whole lines at a time.

    Attributes:
        offset: The bytes that :meth:`read` has given out.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self.offset = offset

    def read(self, *, ended: bool) -> str:
        """Read the lines that were printed since; where the process has ``ended``, also a last one without a break."""
        try:
            if self._path.stat().st_size <= self.offset:
                return ""
            with open_inside(self._path, self._path.parent.parent) as file:
                file.seek(self.offset)
                chunk = file.read(_READ_AT_ONCE)
        except FileNotFoundError:
            return ""
        if not ended or len(chunk) == _READ_AT_ONCE:
            whole = chunk.rfind(b"\n") + 1
            chunk = chunk[:whole] if whole or len(chunk) < _READ_AT_ONCE else chunk
        self.offset += len(chunk)
        return chunk.decode("utf-8", "replace")
