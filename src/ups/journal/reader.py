"""A reader of a journal that grows; :mod:`ups.journal.writer` describes the format."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ups.journal.record_types import decode_record
from ups.journal.untrusted import open_inside

__all__ = ["JournalReader"]

_READ_AT_ONCE = 1024 * 1024  # bytes
_LONGEST_LINE = 16 * 1024 * 1024  # bytes; a longer one is damage


class JournalReader:
    """Follows a journal that may still be growing.

    The file is open only while it is read: a run may have more journals than a process may have open files.

    Attributes:
        path: The file.
        offset: The bytes read so far: up to the end of a line, or of a part that is too long for a line.
        damaged: The number of lines so far that were not records, which are passed over, or had values left out.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.damaged = 0
        self._unfinished = -1

    def read(self, until: int | None = None) -> Iterator[tuple[dict[str, Any], int]]:
        """The records behind :attr:`offset`, each with the offset at its end, as far as there are whole lines.

        Raises:
            RunDirectoryError: The journal is a link out of the run, or not a regular file.
            OSError: It cannot be read.
        """
        while until is None or self.offset < until:
            chunk = self._whole_lines(until)
            if chunk is None:
                return
            for line in chunk.split(b"\n"):
                self.offset += len(line) + 1
                record = decode_record(line)
                if record is None or "damaged" in record:
                    self.damaged += 1
                if record is not None:
                    yield record, self.offset

    def _whole_lines(self, until: int | None) -> bytes | None:
        """Read the next lines, without the last line break; None where there is no whole line.

        Bytes that are too many for a line, such as the zeros that a power cut leaves, are passed over.
        """
        with open_inside(self.path, self.path.parent.parent) as file:
            size = os.fstat(file.fileno()).st_size
            if size == self._unfinished:
                return None
            while until is None or self.offset < until:
                file.seek(self.offset)
                chunk = file.read(_READ_AT_ONCE if until is None else min(_READ_AT_ONCE, until - self.offset))
                if b"\n" not in chunk and len(chunk) == _READ_AT_ONCE:
                    chunk += file.readline(_LONGEST_LINE - len(chunk))
                end = chunk.rfind(b"\n")
                if end >= 0:
                    return chunk[:end]
                if len(chunk) < _LONGEST_LINE:
                    self._unfinished = size  # nothing is new until it grows
                    return None
                self.offset += len(chunk)
                self.damaged += 1
        return None
