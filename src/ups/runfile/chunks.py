"""Bytes → chunks: the content of one window of a ``.wandb`` file.

Each block of 32 KiB begins with a chunk, so the blocks of a window are walked in step, one NumPy operation for
all of them. If that meets anything but valid chunks, the window is read again byte by byte. Every chunk that
matches its checksum is then found, also where damage has moved it.
"""

import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "CHUNK_HEAD",
    "CHUNK_STRUCT",
    "FIRST",
    "FULL",
    "LAST",
    "MIDDLE",
    "Chunks",
    "find_chunks",
    "next_chunk",
]

BLOCK = 32 * 1024
CHUNK_STRUCT = struct.Struct("<IHB")
CHUNK_HEAD = CHUNK_STRUCT.size
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4

_HEAD = np.dtype([("checksum", "<u4"), ("length", "<u2"), ("kind", "u1")])
_WORTH_WALKING = 16 * BLOCK
_MOST_SUMMED = 1 << 31  # bytes in one window: about a second
_NEAR = 2 * BLOCK  # as far, every possible place is tried for the next chunk; farther, only the likely ones


class Chunks(NamedTuple):
    """The valid chunks of a window, in order.

    Attributes:
        at: Where the head of each chunk begins in the window; int64, shape (chunks,).
        stop: Where each chunk ends; int64, shape (chunks,).
        kind: :data:`FULL`, :data:`FIRST`, :data:`MIDDLE` or :data:`LAST`; uint8, shape (chunks,).
        lost: The ranges of the window, padding excepted, that belong to no valid chunk.
        read: The bytes of the window that were handled; the rest belongs to the next window, or is a torn tail.
    """

    at: NDArray[np.int64]
    stop: NDArray[np.int64]
    kind: NDArray[np.uint8]
    lost: list[tuple[int, int]]
    read: int


def find_chunks(data: bytes, base: int, *, last: bool) -> Chunks:
    """Find the chunks of ``data``, which begins at ``base`` of the file and, if ``last``, ends with the file."""
    if len(data) >= _WORTH_WALKING and (chunks := _walk(data, base)):
        return chunks
    return _salvage(data, base, last=last)


def _walk(data: bytes, base: int) -> Chunks | None:
    """Find all chunks if each is valid and each block is filled; otherwise return None."""
    size = len(data)
    if size < CHUNK_HEAD:
        return None
    heads = _heads(data)
    starts = np.arange(-(base % BLOCK), size, BLOCK, dtype=np.int64)
    ends = np.minimum(starts + BLOCK, size)
    at = np.maximum(starts, 0)
    places: list[NDArray[np.int64]] = []
    while True:
        inside = ends - at >= CHUNK_HEAD
        if not inside.any():
            break
        here = np.where(inside, at, -1)
        if not places and (heads["kind"][at[inside]] == 0).any():
            return None  # zeros, which would be chunks of no length
        places.append(here)
        at = np.where(inside, at + CHUNK_HEAD + heads["length"][here], at)
        if (at > ends).any():
            return None
    if (ends[-1] - at[-1]) and (base + size) % BLOCK:
        return None  # the beginning of a chunk
    begins = np.stack(places).T.ravel()
    begins = begins[begins >= 0]
    found = heads[begins]
    kind = found["kind"].copy()
    if kind.min() < FULL or kind.max() > LAST:
        return None
    stops = begins + CHUNK_HEAD + found["length"]
    view, crc32 = memoryview(data), zlib.crc32
    sums = [crc32(view[low:high]) for low, high in zip((begins + 6).tolist(), stops.tolist(), strict=True)]
    if (np.array(sums, dtype=np.uint32) != found["checksum"]).any():
        return None
    return Chunks(begins, stops, kind, [], size)


def _heads(data: bytes) -> NDArray[Any]:
    """The head that a chunk would have at each place."""
    return np.ndarray((max(0, len(data) - CHUNK_HEAD + 1),), dtype=_HEAD, buffer=data, strides=(1,))


def _salvage(data: bytes, base: int, *, last: bool) -> Chunks:
    """Find every chunk that matches its checksum, and the ranges between them."""
    view, unpack, crc32 = memoryview(data), CHUNK_STRUCT.unpack_from, zlib.crc32
    found: list[int] = []
    lost: list[tuple[int, int]] = []
    at, size = 0, len(data)
    search = _Search(data, base)
    while size - at >= CHUNK_HEAD:
        checksum, length, kind = unpack(data, at)
        stop = at + CHUNK_HEAD + length
        if crc32(view[at + 6 : stop]) == checksum and stop <= size and FULL <= kind <= LAST:
            found.append(at)
            at = stop
            continue
        padding = -(base + at) % BLOCK
        if padding < CHUNK_HEAD and not any(data[at : at + padding]) and padding:
            at += padding
            continue
        after = search.next(at + 1)
        if after is not None:
            if after - at >= CHUNK_HEAD or any(data[at:after]):
                lost.append((at, after))
            at = after
        elif last:
            if stop <= size or stop > at - (base + at) % BLOCK + BLOCK:
                lost.append((at, size))
                at = size
            break  # else it is a chunk cut off by the end of the file
        else:
            rest = max(at, size - BLOCK - CHUNK_HEAD)  # a chunk that begins here may end in the next window
            if rest > at:
                lost.append((at, rest))
            at = rest
            break
    begins = np.array(found, dtype=np.int64)
    heads = _heads(data)[begins]
    return Chunks(begins, begins + CHUNK_HEAD + heads["length"], heads["kind"], lost, at)


def next_chunk(data: bytes, at: int, base: int = 0) -> int | None:
    """Return where the first valid chunk at or after ``at`` begins; None unless one ends in ``data``."""
    return _Search(data, base).next(at)


class _Search:
    """A search for the chunks of one window.

    Hostile bytes look like the beginning of a chunk at each place. So after many failed checksums, only the
    beginnings of blocks are tried.
    """

    def __init__(self, data: bytes, base: int) -> None:
        self._data, self._base = data, base
        self._left = _MOST_SUMMED

    def next(self, at: int) -> int | None:
        """Return where the first valid chunk at or after ``at`` begins; None without one."""
        data, base = self._data, self._base
        view = np.frombuffer(data, dtype=np.uint8)
        size = len(view)
        for low, high in ((at, at + _NEAR), (at + _NEAR, size)):
            kind = view[low + 6 : high + 6]
            places = np.flatnonzero((kind >= FULL) & (kind <= LAST)) + low
            stops = places + CHUNK_HEAD + view[places + 4] + view[places + 5].astype(np.int64) * 256
            fits = (stops <= size) & (stops - places <= BLOCK)
            if low > at:
                follows = view[np.minimum(stops + 6, size - 1)]
                fits &= (follows <= LAST) | ((base + places) % BLOCK == 0)
            for place, stop in zip(places[fits].tolist(), stops[fits].tolist(), strict=True):
                if self._left < 0 and (base + place) % BLOCK:
                    continue
                if _is_valid(data, place, stop):
                    return int(place)
                self._left -= stop - place
        return None


def _is_valid(data: bytes, at: int, stop: int) -> bool:
    return zlib.crc32(memoryview(data)[at + 6 : stop]) == int.from_bytes(data[at : at + 4], "little")
