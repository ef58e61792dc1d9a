"""W&B's numbers: the row of a run that is open, and the ``step=`` that can still be had.

wandb-core keeps one row open and counts as follows. ``step=n`` above the open row's number closes that row and opens
row ``n``; equal to it, it adds to the row; below it, the call is dropped. A call without ``step=`` adds to the open
row and, unless ``commit=False``, closes it; so does ``commit=True``. A closed row's successor has the next number.
"""

from collections.abc import Collection, Mapping, Set
from typing import Any

__all__ = ["WandbStep", "leaves_open"]

_NONE: Set[str] = frozenset()


class WandbStep:
    """A run's open row, followed from call to call.

    A call whose ``step=`` W&B would drop is *moved*: it is given the number of another row.

    Attributes:
        current: The number of the open row, or of the next if none is open; None where W&B takes no ``step=``.
        values: The values of the open row, by the names in W&B; empty if none is open.
        moved: The names of moved calls in the open row, in W&B and in the script, with their ``step=``; None where the
            script adds no more to their row.
    """

    def __init__(self, current: int | None) -> None:
        self.current = current
        self.values: dict[str, Any] = {}
        self.moved: dict[str, int | None] = {}
        self._step: int | None = None  # that of the calls in the open row whose number it is
        self._moved_step: int | None = None  # that of the moved calls, while the script may add to their row
        self._blocked: set[str] = set()  # axes that W&B fills in for the open row
        self._cut: Set[str] = _NONE  # names of a row that a moved call closed while the script may add to it
        self._cut_step: int | None = None
        self._unknown = bool(current)  # a row that was begun before may be open

    @property
    def is_between(self) -> bool:
        """True where no row is being put together."""
        return not self.values and not self._cut

    def cut_from(self, step: int | None) -> Set[str]:
        """The names of the row that a call adds to, by the script's arguments, where a moved call has closed it."""
        return self._cut if step is None or step == self._cut_step else _NONE

    def beside(self, step: int | None) -> tuple[Mapping[str, Any], int | None]:
        """The row that a call adds to, by the script's arguments: the values in it already, and its ``step=``.

        A call without ``step=``, or with the same again, adds to a row.
        """
        values, moved = self.values, self.moved
        if not values:
            return {}, step
        if step is None or step == self.current:
            own = {name: value for name, value in values.items() if name not in moved}
            if own or step is not None:
                return own, self._step if step is None else step
            step = self._moved_step
        if step is None or not moved:
            return {}, step
        return {name: values[name] for name, of in moved.items() if of == step and name in values}, step

    def is_late(self, step: int | None, names: Collection[str]) -> bool:
        """True where W&B no longer gives the number ``step`` to a row to which the script gives these names."""
        if step is None or self.current is None:
            return False
        return step < self.current or not self.moved_to(step).isdisjoint(names)

    def moved_to(self, step: int | None) -> Set[str]:
        """The names of moved calls in the open row whose number is ``step``: a row of that step does not have them."""
        return self.moved.keys() if step is not None and step == self.current else _NONE

    def is_taken(self, names: Collection[str]) -> bool:
        """True where a call without ``step=`` would write over a moved call."""
        return bool(self.moved) and not self.moved.keys().isdisjoint(names)

    def free(self, step: int, names: Collection[str]) -> int:
        """The lowest number that a late row can have: the open row's, unless a name would stand in it twice."""
        assert self.current is not None
        if self._unknown:
            return self.current + 1
        taken = self.values.keys() | self._blocked | self.moved.keys()
        return self.current + any(name in taken and self.moved.get(name) != step for name in names)

    def skip(self) -> None:
        """Take note of a row that is one call, where none is being put together."""
        self._step = None
        self._unknown = False
        if self.current is not None:
            self.current += 1

    def logged(
        self,
        number: int | None,
        step: int | None,
        commit: bool | None,
        row: Mapping[str, Any],
        given: Collection[str],
        *,
        filled: Collection[str] = (),
        ended: bool = False,
    ) -> None:
        """Take note of a call: the script gave a ``step=`` and these names, and may have ``ended`` the row.

        wandb was given a ``number``, a ``commit=`` and a row by the names in W&B, and has ``filled`` in some axes.
        """
        if self.current is None:
            return
        if number is not None:
            moved = step is not None and number != step
            if number > self.current:
                if moved and (own := self.values.keys() - self.moved.keys()):
                    self._cut, self._cut_step = own, self._step
                self._close(number)
            if moved:
                if self._cut and step != self._cut_step and not self._cut.isdisjoint(row):
                    self._cut = _NONE  # the loop that put that row together has moved on
                self._moved_step = step
                self.moved |= dict.fromkeys((*row, *given), step)
                if ended:
                    self._moved_step = None
                    self.moved |= {name: None for name, moved in self.moved.items() if moved == step}
            else:
                self._step, self._cut = step, _NONE
        elif self._cut and commit is not False:
            self._cut = _NONE
        if leaves_open(number, commit):
            self.values.update(row)
            self._blocked.update(filled)
        else:
            self._close(self.current + 1)

    def _close(self, following: int) -> None:
        self.current = following
        if self.values or self._step is not None or self._unknown:
            self.values.clear()
            self.moved.clear()
            self._blocked.clear()
            self._step = self._moved_step = None
            self._unknown = False


def leaves_open(step: int | None, commit: bool | None) -> bool:
    """True where the row of a call with these arguments takes further calls."""
    return not commit and (step is not None or commit is False)
