"""Where a row belongs, by what the script says and by W&B's numbers."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

__all__ = ["ALONE", "Place"]


class Place(NamedTuple):
    """Where a row belongs.

    Attributes:
        step: the script's ``step=`` for it; None if there is none.
        late: True where W&B's number for that step cannot be had any more.
        beside: what is in the same row already.
        open: True where another call may add to the row.
        moved: names that are in W&B's row of this number already, for another step: with one of them, it is late.
        cut: names that were in the row before W&B's was closed for another step.
    """

    step: int | None
    late: bool
    beside: Mapping[str, Any]
    open: bool
    moved: Collection[str] = ()
    cut: Collection[str] = ()


ALONE = Place(None, False, {}, False)
"""The place of a row that is one call, without ``step=``."""
