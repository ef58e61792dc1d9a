"""W&B's numbers: which row of a run is being put together, and whether a ``step=`` can still be had.

wandb-core keeps one row open and counts as follows. ``step=n`` above the open row's number closes that row and opens
row ``n``; equal to it, it adds to the row; below it, the call is dropped. A call without ``step=`` adds to the open
row and, unless ``commit=False``, closes it; so does ``commit=True``. A closed row's successor has the next number.
"""

from collections.abc import Collection, Set
from typing import Any

from ups.guard.rows import flat

__all__ = ["Numbers", "leaves_open"]

_NONE: Set[str] = frozenset()


class Numbers:
    """A run's open row, followed from call to call.

    Attributes:
        current: the number of the open row, or of the next if none is open; None where W&B takes no ``step=``.
        keys: the names in the open row; empty if none is open.
        given: the names that the script gave for it, where the row has others in their place.
        step: the ``step=`` that the calls for the open row gave; None if they gave none.
        moved: whether the open row holds a call whose ``step=`` was below its number.
    """

    def __init__(self, current: int | None) -> None:
        self.current = current
        self.keys: set[str] = set()
        self.given: set[str] = set()
        self.step: int | None = None
        self.moved = False
        self._unknown = bool(current)  # a row that was begun before may be open

    def continues(self, step: int | None) -> bool:
        """Whether a call adds to the open row by what the script says: no ``step=``, or the same again."""
        return bool(self.keys) and (step is None or step == self.step or (step == self.current and not self.moved))

    def is_late(self, step: int | None, names: Collection[str]) -> bool:
        """Whether the number ``step`` cannot be had any more, for a row to which the script gives these names."""
        if step is None or self.current is None:
            return False
        return step < self.current or not self.moved_to(step).isdisjoint(names)

    def moved_to(self, step: int | None) -> Set[str]:
        """The names in the open row, in W&B and in the script, where its number is ``step`` though its calls gave
        another: a row of ``step`` may join it only if it has none of them.
        """
        if not self.moved or step != self.current or step == self.step:
            return _NONE
        return self.keys | self.given

    def free(self, step: int, names: Collection[str]) -> int:
        """The lowest number that a late row can have.

        It joins the open row only if its step is not below that row's, and no name stands in both. So two loops
        with counters of their own that take turns use up one number a turn, and the faster keeps its own numbers.
        """
        assert self.current is not None
        if self._unknown:
            return self.current + 1
        if not self.keys or step == self.step:
            return self.current
        goes_back = self.step is not None and step < self.step
        return self.current + (goes_back or not self.keys.isdisjoint(names))

    def logged(
        self,
        number: int | None,
        step: int | None,
        commit: bool | None,
        row: dict[str, Any],
        given: dict[str, Any],
    ) -> None:
        """Take note of a call: the ``step=`` that wandb was given, the script's own; the row, the script's."""
        if self.current is None:
            return
        if number is not None:
            if number > self.current:
                self._close(number)
            self.step = step
            self.moved = self.moved or number != step
        if not leaves_open(number, commit):
            self._close(self.current + 1)
        else:
            self.keys.update(flat(row))
            self.given.update(flat(given))

    def _close(self, following: int) -> None:
        self.current = following
        if self.keys or self.step is not None or self._unknown:
            self.keys.clear()
            self.given.clear()
            self.step = None
            self.moved = self._unknown = False


def leaves_open(step: int | None, commit: bool | None) -> bool:
    """Whether the row of a call with these arguments takes further calls."""
    return not commit and (step is not None or commit is False)
