"""The numbers of a run's rows in W&B: each above the one before, and a script's own where that is free."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Numbering", "RowNumbers"]

_WIDEST = 2**32  # between two rows of a numbering: those of many rows stay far below W&B's highest number


@dataclass(frozen=True, slots=True)
class Numbering:
    """The numbers from a row on: the ``row``-th has ``number``, each further one ``every`` more."""

    row: int
    number: int
    every: int = 1

    def at(self, row: int) -> int:
        """The number of a row from this one on."""
        return self.number + self.every * (row - self.row)


class RowNumbers:
    """Numberings, in the order in which they were written down: a later one counts for all rows from its own on."""

    def __init__(self) -> None:
        self._written: list[Numbering] = []
        self._valid: list[Numbering] = []  # those that count, by row
        self._begins: list[int] = []  # the row of each

    def __bool__(self) -> bool:
        return bool(self._written)

    def add(self, numbering: Numbering) -> None:
        """Add a numbering behind the others."""
        self._written.append(numbering)
        while self._begins and self._begins[-1] >= numbering.row:
            self._begins.pop()
            self._valid.pop()
        self._begins.append(numbering.row)
        self._valid.append(numbering)

    def number(self, row: int) -> int:
        """The number of the ``row``-th row, from 0; there must be a numbering for it."""
        return self._valid[bisect_right(self._begins, row) - 1].at(row)

    def counts(self, row: int) -> bool:
        """True where the rows from the ``row``-th on are numbered one by one."""
        return self._valid[bisect_right(self._begins, row) - 1].every == 1

    def rows_up_to(self, number: int) -> int:
        """The number of rows that are numbered ``number`` or lower, if there are so many."""
        following = None
        for since in reversed(self._written):
            if number >= since.number:
                rows = since.row + (number - since.number) // since.every + 1
                return rows if following is None else min(rows, following)
            following = since.row
        return 0

    def give(self, row: int, wishes: Iterable[int], lowest: int = 0) -> list[Numbering]:
        """Number the rows from the ``row``-th on.

        Args:
            row: The first of them; those before it have their numbers.
            wishes: The number that each of them has where that is free; 0 where any will do.
            lowest: The lowest number that W&B still takes.

        Returns:
            The numberings that this takes; they have been added.
        """
        previous = self.number(row - 1) if row and self._written else -1
        begun: list[Numbering] = []
        current = self._valid[bisect_right(self._begins, row) - 1] if self._written else None
        if current is not None and current.row == row:
            lowest = max(lowest, current.number)  # that W&B took when it was written
        for at, wish in enumerate(wishes, row):
            number = max(wish, previous + 1, lowest)
            if current is None or current.at(at) != number:
                if begun and begun[-1].row == at - 1 and number - previous < _WIDEST:
                    current = begun[-1] = Numbering(at - 1, previous, number - previous)
                else:
                    current = Numbering(at, number)
                    begun.append(current)
            previous = number
        for numbering in begun:
            self.add(numbering)
        return begun
