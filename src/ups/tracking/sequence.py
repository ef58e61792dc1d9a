"""The sequence: which row of which journal has which number in W&B, written down before the row is handed over.

The file has a line for each stretch of a journal that was taken up: ``{"journal": ..., "start": ..., "end": ...}``
in bytes. Going through the same stretches in the same order counts the same rows, and ``{"row": ..., "number": ...}``
says from which row on which numbers are used: the first such line begins the sequence, and another is added only
where a server will take no more the numbers that come next. So after a crash the last number that W&B holds says
where to go on.
"""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.errors import DeliveryError

__all__ = ["Sequence", "Stretch", "stretches", "taken_up"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines of one process's journal, from byte ``start`` to byte ``end``."""

    process: str
    start: int
    end: int


class Sequence:
    """The file ``delivery/sequence.jsonl``.

    Raises:
        DeliveryError: The file is not what this class writes.
        OSError: The file cannot be read or written; what is in it stays whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbering: list[tuple[int, int]] = []  # (row, number), both increasing
        self._stretches: list[Stretch] = []
        self._read()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._unsynced = False

    def __iter__(self) -> Iterator[Stretch]:
        return iter(tuple(self._stretches))

    def number(self, row: int) -> int:
        """The number of the ``row``-th row, from 0. The sequence must have begun."""
        for since, number in reversed(self._numbering):
            if row >= since:
                return number + row - since
        raise DeliveryError(f"{self.path} has no numbers yet")

    def rows_up_to(self, number: int) -> int:
        """How many rows have a number of at most ``number``."""
        rows = 0
        for index, (since, first) in enumerate(self._numbering):
            if number >= first:
                rows = since + number - first + 1
                if index + 1 < len(self._numbering):
                    rows = min(rows, self._numbering[index + 1][0])
        return rows

    def go_on(self, held: int, lowest: int) -> int:
        """Settle the numbers of the rows that W&B does not hold: at least ``lowest``. Returns how many rows it holds.

        Args:
            held: The last number that W&B holds; -1 for none.
            lowest: The lowest number that it still takes.
        """
        rows = self.rows_up_to(held)
        if not self._numbering or self.number(rows) < lowest:
            self._write({"row": rows, "number": lowest})
            self._numbering.append((rows, lowest))
        return rows

    def add(self, stretch: Stretch) -> None:
        """Write a stretch down, behind the others."""
        self._write({"journal": stretch.process, "start": stretch.start, "end": stretch.end})
        self._join(stretch)

    def offsets(self) -> dict[str, int]:
        """How far each process's journal has been taken up, in bytes."""
        return {stretch.process: stretch.end for stretch in self._stretches}

    def sync(self) -> None:
        """Have the operating system put what was written on the disk."""
        if self._unsynced:
            os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)

    def _join(self, stretch: Stretch) -> None:
        newest = self._stretches[-1] if self._stretches else None
        if newest is not None and newest.process == stretch.process and newest.end == stretch.start:
            self._stretches[-1] = Stretch(stretch.process, newest.start, stretch.end)
        else:
            self._stretches.append(stretch)

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        size = os.fstat(self._descriptor).st_size
        if os.write(self._descriptor, line) != len(line):
            os.ftruncate(self._descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._unsynced = True

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):  # the write was cut off, so nothing of that stretch was handed over
            os.truncate(self.path, whole)
        try:
            for line in content[:whole].splitlines():
                entry = json.loads(line)
                if "row" in entry:
                    self._numbering.append((int(entry["row"]), int(entry["number"])))
                else:
                    self._join(_stretch(entry))
        except (ValueError, KeyError, TypeError) as error:
            raise DeliveryError(
                f"{self.path} is damaged ({error}), so it is not known which rows W&B has. The rows are all in"
                f" {self.path.parent.parent / 'journal'}"
            ) from error


def stretches(path: Path) -> list[Stretch]:
    """What was taken up by the sequence in ``path``, in order; only reads. Empty without one.

    Raises:
        DeliveryError: The file is damaged.
        OSError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        entries = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
        return [_stretch(entry) for entry in entries if "journal" in entry]
    except (ValueError, KeyError, TypeError) as error:
        raise DeliveryError(f"{path} is damaged ({error})") from error


def taken_up(path: Path) -> dict[str, int]:
    """How far each process's journal has been taken up, in bytes, by the sequence in ``path``.

    Raises:
        DeliveryError, OSError: As for :func:`stretches`.
    """
    return {stretch.process: stretch.end for stretch in stretches(path)}


def _stretch(entry: dict[str, Any]) -> Stretch:
    return Stretch(entry["journal"], int(entry["start"]), int(entry["end"]))
