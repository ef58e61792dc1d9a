"""One file of a run, read from its start, and again where it has grown since."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.runfile.framing import Batch, Damage, FrameReader
from ups.runfile.numbering import Numbering
from ups.runfile.records import Kind, Payloads, RunInfo, find_payloads, parse
from ups.runfile.wire import sized

__all__ = ["Piece", "Segment", "SegmentReader"]


@dataclass(frozen=True)
class Segment:
    """One ``.wandb`` file of a run: a run that was resumed, or recovered, has several.

    Attributes:
        path: the file.
        size: its length in bytes when it was read.
        damage: the ranges that hold no readable record.
        torn: bytes of an unfinished record at its end.
        finished: whether it ends with the record of an orderly exit.
    """

    path: Path
    size: int
    damage: tuple[Damage, ...]
    torn: int
    finished: bool


class Piece(NamedTuple):
    """The records of one window of the file.

    Attributes:
        batch, payloads: the records.
        fresh: bool, shape (records,): which of them are not copies of earlier ones.
        rewound_to: the ``_step`` to which this file rewinds the run, in the piece with the file's first run record.
    """

    batch: Batch
    payloads: Payloads
    fresh: NDArray[np.bool_]
    rewound_to: float | None


class SegmentReader:
    """Reads one file piece by piece; what was appended since, the next time.

    Attributes:
        finished: whether the record of an orderly exit was read; for who takes the pieces to set.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self._numbering = Numbering(path)
        self._size = self._at = self._torn = 0
        self._damage: list[Damage] = []  # with whole records behind it, so that no more bytes can mend it
        self._unsettled: list[Damage] = []
        self._named = False  # whether a run record was read

    @property
    def segment(self) -> Segment:
        """The file as far as it was read."""
        damage = self._numbering.damage([*self._damage, *self._unsettled])
        return Segment(self.path, self._size, tuple(damage), self._torn, self.finished)

    def pieces(self, *, end: int | None = None) -> Iterator[Piece]:
        """What the file holds beyond what was read, up to ``end``.

        Raises:
            RunFileError: the file cannot be read, or is not a W&B run file.
        """
        reader = FrameReader(self.path, start=self._at, end=end)
        for batch in reader:
            payloads = find_payloads(batch)
            yield Piece(batch, payloads, self._numbering.fresh(batch, payloads), self._rewound_to(payloads))
        self._size, self._at, self._torn = reader.size, reader.intact_length, reader.torn
        found = reader.damage
        self._damage += [damage for damage in found if damage.end <= reader.intact_length]
        self._unsettled = [damage for damage in found if damage.end > reader.intact_length]

    def _rewound_to(self, payloads: Payloads) -> float | None:
        if self._named:
            return None
        for index in np.flatnonzero(payloads.kind == Kind.RUN).tolist():
            self._named = True
            content = payloads.buffer[payloads.start[index] : payloads.end[index]].tobytes()
            record = parse(sized(Kind.RUN, content))
            return record.rewound_to if isinstance(record, RunInfo) else None
        return None
