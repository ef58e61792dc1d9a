"""One file of a run, read from its start, and read on when it has grown."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.runfile.framing import Batch, Damage, FrameReader
from ups.runfile.numbering import Numbering
from ups.runfile.records import Payloads, find_payloads, first_run

__all__ = ["Piece", "Segment", "SegmentReader"]


@dataclass(frozen=True)
class Segment:
    """One ``.wandb`` file of a run. A run that was resumed or recovered has several.

    Attributes:
        path: The file.
        size: Its length in bytes when it was read.
        damage: The ranges that hold no readable record.
        torn: The bytes of an incomplete record at its end.
        finished: True where it ends with the record of an orderly exit.
    """

    path: Path
    size: int
    damage: tuple[Damage, ...]
    torn: int
    finished: bool


class Piece(NamedTuple):
    """The records of one window of the file.

    Attributes:
        batch, payloads: The records.
        fresh: True for those that are not copies of earlier ones; bool, shape (records,).
        rewound_to: The ``_step`` to which this file rewinds the run, in the piece with the file's first run record.
    """

    batch: Batch
    payloads: Payloads
    fresh: NDArray[np.bool_]
    rewound_to: float | None


class SegmentReader:
    """A reader of one file, piece by piece. The next reading returns the records that were appended since.

    Attributes:
        finished: True once the record of an orderly exit was read; the reader of the pieces sets it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self._numbering = Numbering(path)
        self._size = self._at = self._torn = 0
        self._damage: list[Damage] = []  # with whole records behind it, so more bytes cannot mend it
        self._unsettled: list[Damage] = []
        self._named = False  # a run record was read

    @property
    def segment(self) -> Segment:
        """The file as far as it was read."""
        damage = self._numbering.damage([*self._damage, *self._unsettled])
        return Segment(self.path, self._size, tuple(damage), self._torn, self.finished)

    def pieces(self, *, end: int | None = None) -> Iterator[Piece]:
        """Read the rest of the file, up to ``end``.

        Raises:
            RunFileError: The file cannot be read, or is not a W&B run file.
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
        run = None if self._named else first_run(payloads)
        self._named = self._named or run is not None
        return None if run is None else run.rewound_to
