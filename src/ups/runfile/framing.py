"""Bytes ↔ records: the log format that frames a ``.wandb`` file.

The format is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) with two changes
that W&B made: the file opens with a 7-byte header (``:W&B``, 0xBEE1, version 0), and the checksum is plain
CRC-32, not masked CRC-32C. Blocks of 32 KiB are counted from the start of the file, header included. A block
holds chunks: ``<IHB`` (checksum over type and data; length of the data; type), then the data. A record is one
*full* chunk, or a *first*, any number of *middle* and a *last*, one chunk per block. If fewer than 7 bytes remain
in a block, they are padding.

Reading never stops at damage: it skips the bytes that match no checksum and continues with the next chunk that
does (:mod:`ups.runfile.chunks`).
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
from ups.regular_file import open_regular
from ups.runfile.chunks import (
    BLOCK,
    CHUNK_HEAD,
    CHUNK_STRUCT,
    FIRST,
    FULL,
    LAST,
    MIDDLE,
    Chunks,
    find_chunks,
    next_chunk,
)
from ups.runfile.wire import MARGIN

__all__ = ["Batch", "Damage", "FrameReader", "Writer", "close_torn_segment", "intact_length"]

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
WINDOW = 256 * BLOCK  # bytes in memory at a time: enough to keep NumPy busy


@dataclass(frozen=True)
class Damage:
    """A range of a file that belongs to no readable record, or repeats earlier records.

    Attributes:
        offset: The place of its first byte in the file.
        length: Its bytes.
        missing: The count of records that are gone there, by the numbers of those around it; 0 if unknown.
        repeated: The count of records in the range that the file already holds; 0 if the range is unreadable.
    """

    offset: int
    length: int
    missing: int = 0
    repeated: int = 0

    @property
    def end(self) -> int:
        """The place after its last byte."""
        return self.offset + self.length


@dataclass(frozen=True)
class Batch:
    """The records that end in one window of the file, in the order of the file.

    Attributes:
        data: The window's bytes, then the records that were joined from several chunks, then some spare bytes.
        starts: Where each record begins in ``data``; int64, shape (records,).
        lengths: Its length in bytes; int64, shape (records,).
        offsets: Where its first chunk begins in the file; int64, shape (records,).
    """

    data: bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def record(self, index: int) -> bytes:
        """One record's bytes."""
        start = int(self.starts[index])
        return self.data[start : start + int(self.lengths[index])]

    def records(self) -> Iterator[bytes]:
        """Each record's bytes."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield self.data[start : start + length]


class FrameReader:
    """A reader of one file's records that returns a batch at a time and continues past any damage.

    ``damage``, ``intact_length`` and ``torn`` describe the bytes read so far, and the whole file once the iteration
    has ended. The file may grow while it is read: bytes beyond its size at the start are not read. A second reader
    with ``start=intact_length`` reads them.

    Attributes:
        size: The file's size in bytes when it was opened, at most ``end``.
        intact_length: The bytes up to the end of the last whole record.
        torn: The bytes of an incomplete record at the end: the writer was cut off, or is still writing.

    Args:
        path: The ``.wandb`` file.
        start: Where to begin: 0, a multiple of 32 KiB, or an earlier reader's ``intact_length``.
        end: Where to stop; by default at the end of the file.

    Raises:
        RunFileError: The file cannot be opened, or is not a W&B run file.
    """

    def __init__(self, path: str | os.PathLike[str], *, start: int = 0, end: int | None = None) -> None:
        self.path = Path(path)
        self.torn = 0
        self._lost: list[tuple[int, int]] = []
        self._pieces: list[bytes] = []  # the chunks so far of a record that continues in the next block
        self._pieces_range = (0, 0)
        try:
            self.size = self.path.stat().st_size if end is None else min(end, self.path.stat().st_size)
            with open_regular(self.path) as file:
                head = file.read(len(HEADER))
                if not HEADER.startswith(head) and next_chunk(head + file.read(WINDOW), 0) is None:
                    raise RunFileError(f"{self.path} is not a W&B run file: it begins with {head!r}, not {HEADER!r}")
        except OSError as error:
            raise RunFileError(f"{self.path} cannot be read: {error.strerror}") from error
        whole = HEADER.startswith(head)
        self._from_start = start <= len(HEADER)
        self._start = max(start, len(HEADER) if whole else 0)
        self.intact_length = min(self._start, self.size)

    @property
    def damage(self) -> list[Damage]:
        """The ranges that hold no readable record, in order, without the torn tail."""
        merged: list[list[int]] = []
        for low, high in sorted(self._lost):
            if merged and low <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        return [Damage(low, high - low) for low, high in merged]

    def __iter__(self) -> Iterator[Batch]:
        try:
            with open_regular(self.path) as file:
                file.seek(self._start)
                at, rest = self._start, b""
                while at + len(rest) < self.size:
                    # The first window may begin inside a block. All others begin with one, unless damage moved them.
                    wanted = WINDOW - (at + len(rest)) % BLOCK
                    part = file.read(min(wanted, self.size - at - len(rest)))
                    if not part:
                        self.size = at + len(rest)  # the file has become shorter
                    data = rest + part
                    chunks = find_chunks(data, at, last=at + len(data) >= self.size)
                    yield self._batch(data, at, chunks)
                    at, rest = at + chunks.read, data[chunks.read :]
        except OSError as error:
            raise RunFileError(f"{self.path} cannot be read: {error.strerror}") from error
        self._end()

    def _batch(self, data: bytes, base: int, chunks: Chunks) -> Batch:
        """Return the records that end in these chunks, and note what is lost."""
        self._lost += [(base + low, base + high) for low, high in chunks.lost]
        breaks = np.searchsorted(chunks.at, [high for _, high in chunks.lost])  # the chunks right after damage
        whole = chunks.kind == FULL
        starts, stops = chunks.at[whole] + CHUNK_HEAD, chunks.stop[whole]
        offsets = base + chunks.at[whole]
        joined: list[bytes] = []
        joined_offsets: list[int] = []
        seen = 0  # chunks handled
        for index in np.flatnonzero(~whole).tolist():
            if index > seen or (breaks == index).any():
                self._lose_pieces()
            seen = index + 1
            at, stop = int(chunks.at[index]), int(chunks.stop[index])
            record = self._join(int(chunks.kind[index]), data[at + CHUNK_HEAD : stop], base + at)
            if record is not None:
                joined.append(record)
                joined_offsets.append(self._pieces_range[0])
                self.intact_length = max(self.intact_length, base + stop)
        if len(chunks.at) > seen or (breaks == len(chunks.at)).any():
            self._lose_pieces()
        if len(stops):
            self.intact_length = max(self.intact_length, base + int(stops[-1]))
        if joined:
            sizes = np.array([len(record) for record in joined], dtype=np.int64)
            places = len(data) + np.cumsum(sizes) - sizes
            order = np.argsort(np.concatenate([offsets, joined_offsets]), kind="stable")
            starts = np.concatenate([starts, places])[order]
            stops = np.concatenate([stops, places + sizes])[order]
            offsets = np.concatenate([offsets, np.array(joined_offsets, dtype=np.int64)])[order]
        data = b"".join([data, *joined, bytes(MARGIN)])
        return Batch(data=data, starts=starts, lengths=stops - starts, offsets=offsets)

    def _join(self, kind: int, data: bytes, offset: int) -> bytes | None:
        """Add a chunk to the record in pieces, and return the record if this chunk is its last."""
        end = offset + CHUNK_HEAD + len(data)
        if kind == FIRST:
            self._lose_pieces()
            self._pieces, self._pieces_range = [data], (offset, end)
            return None
        if not self._pieces:
            # From the middle of a file, the first chunks may end a record that began earlier: that is not damage.
            if self._from_start or self.intact_length > self._start:
                self._lost.append((offset, end))
            return None
        self._pieces.append(data)
        self._pieces_range = (self._pieces_range[0], end)
        if kind == MIDDLE:
            return None
        record = b"".join(self._pieces)
        self._pieces = []
        return record

    def _lose_pieces(self) -> None:
        """Give up the record in pieces: the rest of it does not come."""
        if self._pieces:
            self._pieces = []
            self._lost.append(self._pieces_range)

    def _end(self) -> None:
        """Separate a torn tail from damage, at the end of the file."""
        damage = self.damage
        if damage and damage[-1].end == self.size and self._is_zero(damage[-1]):
            damage.pop()  # after a power cut, a file system leaves zeros where it had made room
            self._lost = [(each.offset, each.end) for each in damage]
        self.torn = max(0, self.size - max([self.intact_length, *(each.end for each in damage[-1:])]))

    def _is_zero(self, damage: Damage) -> bool:
        with open_regular(self.path) as file:
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
    """A context manager that writes records to a new ``.wandb`` file.

    Raises:
        RunFileError: The file already exists, or cannot be created.
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
        kind, last = FIRST, False
        rest = memoryview(record)
        while not last:
            if self._left < CHUNK_HEAD:
                self._file.write(bytes(self._left))
                self._left = BLOCK
            part = rest[: self._left - CHUNK_HEAD]
            rest = rest[len(part) :]
            last = not rest
            if last:
                kind = FULL if kind == FIRST else LAST
            body = bytes([kind]) + part
            self._file.write(CHUNK_STRUCT.pack(zlib.crc32(body), len(part), kind) + part)
            self._left -= CHUNK_HEAD + len(part)
            kind = MIDDLE

    def close(self) -> None:
        """Finish the file and sync it to the disk."""
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
    """Count the bytes of a ``.wandb`` file up to the end of its last whole record.

    Raises:
        RunFileError: The file cannot be opened, or is not a W&B run file.
    """
    reader = FrameReader(path)
    for _ in reader:
        pass
    return reader.intact_length


def close_torn_segment(path: str | os.PathLike[str]) -> int:
    """Cut a file whose writer is gone after its last whole record.

    At an incomplete record, ``wandb sync`` reports an error and skips the run's later segments.

    Returns:
        The bytes that were cut; 0 for most files.

    Raises:
        RunFileError: The file cannot be opened or cut, or is not a W&B run file.
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
