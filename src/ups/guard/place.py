"""The place of a row, by the script's arguments and by W&B's numbers."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

__all__ = ["ALONE", "Place"]


class Place(NamedTuple):
    """The place of a row.

    Attributes:
        step: The script's ``step=`` for it; None without one.
        late: True where W&B's number for that step cannot be had any more.
        beside: The values that are in the same row already.
        open: True where another call may add to the row.
        moved: Names that are in W&B's row of this number already, for another step: with one of them, it is late.
        cut: Names that were in the row before W&B's was closed for another step.
    """

    step: int | None
    late: bool
    beside: Mapping[str, Any]
    open: bool
    moved: Collection[str] = ()
    cut: Collection[str] = ()


ALONE = Place(None, False, {}, False)
"""The place of a row that is one call, without ``step=``."""
