"""Bytes ↔ records: the log format that frames a ``.wandb`` file.

The format is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) with two changes
that W&B made: the file opens with a 7-byte header (``:W&B``, 0xBEE1, version 0), and the checksum is plain
CRC-32, not masked CRC-32C. Blocks of 32 KiB are counted from the start of the file, header included. A block
holds chunks: ``<IHB`` (checksum over type and data; length of the data; type), then the data. A record is one
chunk (*full*) or a *first*, any number of *middle* and a *last*, one a block. Fewer than 7 bytes left in a
block are padding.

Reading never stops at damage. A chunk that does not match its checksum is left out; since every block begins
with a chunk, reading is in step again at the next block at the latest.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from ups.errors import RunFileError

__all__ = ["Batch", "Damage", "FrameReader", "Writer", "close_torn_segment", "intact_length"]

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 32 * 1024
WINDOW = 256 * BLOCK  # bytes held at a time: enough to keep NumPy busy, little enough to forget

_CHUNK = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass(frozen=True)
class Damage:
    """``length`` bytes from ``offset`` of the file that belong to no readable record."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True)
class Batch:
    """The records that end in one window of the file, in the order of the file.

    Attributes:
        data: the window's bytes, then the records that were put together from several chunks.
        starts: int64, shape (records,): where each record begins in ``data``.
        lengths: int64, shape (records,): its length in bytes.
        offsets: int64, shape (records,): where its first chunk begins in the file.
    """

    data: bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def records(self) -> Iterator[bytes]:
        """Each record's bytes."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield self.data[start : start + length]


class FrameReader:
    """Reads the records of one file, a batch at a time, past any damage.

    ``damage``, ``intact_length`` and ``torn`` describe what was read so far, and so the whole file once the
    iteration has ended. The file may grow meanwhile: bytes beyond its size at the start are not read; a
    second reader with ``start=intact_length`` reads them.

    Attributes:
        size: the file's size in bytes when it was opened.
        damage: the ranges that hold no readable record, in order; without the torn tail.
        intact_length: bytes up to the end of the last whole record.
        torn: bytes after ``intact_length`` that are the beginning of a record: the writer was cut off, or is
            at work.

    Args:
        path: the ``.wandb`` file.
        start: where to begin: 0, a multiple of 32 KiB, or a former ``intact_length``.

    Raises:
        RunFileError: the file cannot be opened, or is not a W&B run file.
    """

    def __init__(self, path: str | os.PathLike[str], *, start: int = 0) -> None:
        self.path = Path(path)
        self._start = max(start, len(HEADER))
        self.damage: list[Damage] = []
        self.intact_length = self._start
        self.torn = 0
        self._pieces: list[bytes] = []  # the chunks so far of a record that goes on in the next block
        self._pieces_offset = 0
        try:
            self.size = self.path.stat().st_size
            with self.path.open("rb") as file:
                head = file.read(len(HEADER))
        except OSError as error:
            raise RunFileError(f"{self.path} cannot be read: {error.strerror}") from error
        if not HEADER.startswith(head):
            raise RunFileError(f"{self.path} is not a W&B run file: it begins with {head!r}, not {HEADER!r}")
        self.intact_length = min(self.intact_length, self.size)

    def __iter__(self) -> Iterator[Batch]:
        first = self._start - self._start % BLOCK
        with self.path.open("rb") as file:
            file.seek(first)
            for base in range(first, self.size, WINDOW):
                data = file.read(min(WINDOW, self.size - base))
                yield self._batch(data, base)
                if base + WINDOW < self.size and len(data) < WINDOW:
                    break  # the file became shorter
        self._end(file_size=self.size)

    def _batch(self, data: bytes, base: int) -> Batch:
        starts: list[int] = []
        lengths: list[int] = []
        offsets: list[int] = []
        joined: list[bytes] = []
        room = len(data)
        view = memoryview(data)
        unpack, crc32, head = _CHUNK.unpack_from, zlib.crc32, _CHUNK.size
        for block in range(0, len(data), BLOCK):
            at = max(block, self._start - base)
            end = min(block + BLOCK, len(data))
            while end - at >= head:
                checksum, length, kind = unpack(data, at)
                stop = at + head + length
                if stop > end:
                    if stop > block + BLOCK:  # no chunk is that long; else it is one cut off by the end of the file
                        self._lose(base + at, base + end)
                    break
                if crc32(view[at + 6 : stop]) != checksum:
                    self._lose(base + at, base + stop)
                elif kind == _FULL:
                    if self._pieces:
                        self._lose_pieces()
                    starts.append(at + head)
                    lengths.append(length)
                    offsets.append(base + at)
                    self.intact_length = base + stop
                elif (record := self._join(kind, data[at + head : stop], base + at)) is not None:
                    joined.append(record)
                    starts.append(room)
                    lengths.append(len(record))
                    offsets.append(self._pieces_offset)
                    room += len(record)
                    self.intact_length = base + stop
                at = stop
            if self.damage and self.damage[-1].end == base + at < base + end:
                self._lose(base + at, base + end)  # too short for a chunk, and after damage no padding
        return Batch(
            data=data + b"".join(joined) if joined else data,
            starts=np.array(starts, dtype=np.int64),
            lengths=np.array(lengths, dtype=np.int64),
            offsets=np.array(offsets, dtype=np.int64),
        )

    def _join(self, kind: int, data: bytes, offset: int) -> bytes | None:
        """Add a chunk to the record in pieces; the record, if that was its last chunk."""
        if kind == _FIRST:
            self._lose_pieces()
            self._pieces = [data]
            self._pieces_offset = offset
            return None
        if kind not in (_MIDDLE, _LAST) or not self._pieces:
            # Read from the middle of a file, the first chunks may end a record that began before: no damage.
            if self.intact_length > self._start or self._start == len(HEADER):
                self._lose(offset, offset + _CHUNK.size + len(data))
            return None
        self._pieces.append(data)
        if kind == _MIDDLE:
            return None
        record = b"".join(self._pieces)
        self._pieces = []
        return record

    def _lose_pieces(self) -> None:
        """The record in pieces will not be whole: what was read of it is lost."""
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            length = sum(_CHUNK.size + len(piece) for piece in pieces)
            self._lose(self._pieces_offset, self._pieces_offset + length)

    def _lose(self, start: int, end: int) -> None:
        self._lose_pieces()
        if self.damage and self.damage[-1].end == start:
            start = self.damage.pop().offset
        self.damage.append(Damage(start, end - start))

    def _end(self, file_size: int) -> None:
        """Tell a torn tail from damage, now that the end of the file is known."""
        if self.damage and self.damage[-1].end == file_size and self._is_zero(self.damage[-1]):
            self.damage.pop()  # a file system that lost power leaves zeros where it had made room
        if not self.damage or self.damage[-1].end < file_size:
            self.torn = file_size - max([self.intact_length, *(damage.end for damage in self.damage[-1:])])

    def _is_zero(self, damage: Damage) -> bool:
        with self.path.open("rb") as file:
            file.seek(damage.offset)
            left = damage.length
            while left > 0:
                part = file.read(min(left, WINDOW))
                if part.strip(b"\0"):
                    return False
                if not part:
                    break
                left -= len(part)
        return True


class Writer:
    """Writes records to a new ``.wandb`` file; a context manager.

    Raises:
        RunFileError: the file exists already, or cannot be created.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._file: BinaryIO = Path(path).open("xb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise RunFileError(f"{path} cannot be created: {error.strerror}") from error
        self._file.write(HEADER)
        self._left = BLOCK - len(HEADER)

    def write(self, record: bytes) -> None:
        """Append one record."""
        kind, last = _FIRST, False
        rest = memoryview(record)
        while not last:
            if self._left < _CHUNK.size:
                self._file.write(bytes(self._left))
                self._left = BLOCK
            part = rest[: self._left - _CHUNK.size]
            rest = rest[len(part) :]
            last = not rest
            if last:
                kind = _FULL if kind == _FIRST else _LAST
            body = bytes([kind]) + part
            self._file.write(_CHUNK.pack(zlib.crc32(body), len(part), kind) + part)
            self._left -= _CHUNK.size + len(part)
            kind = _MIDDLE

    def close(self) -> None:
        """Finish the file, on the disk."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def intact_length(path: str | os.PathLike[str]) -> int:
    """The bytes of a ``.wandb`` file up to the end of its last whole record.

    Raises:
        RunFileError: the file cannot be opened, or is not a W&B run file.
    """
    reader = FrameReader(path)
    for _ in reader:
        pass
    return reader.intact_length


def close_torn_segment(path: str | os.PathLike[str]) -> int:
    """Cut a file whose writer is gone after its last whole record; the bytes cut, 0 for most files.

    ``wandb sync`` reports an error at an incomplete record and leaves out the run's later segments.

    Raises:
        RunFileError: the file cannot be opened or cut, or is not a W&B run file.
    """
    path = Path(path)
    length = intact_length(path)
    try:
        cut = path.stat().st_size - length
        if cut:
            with path.open("rb+") as file:
                file.truncate(length)
                os.fsync(file.fileno())
    except OSError as error:
        raise RunFileError(f"{path} cannot be cut to its last whole record: {error.strerror}") from error
    return cut
