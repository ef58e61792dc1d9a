"""History records, changed: the rows that a repaired run holds."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ups.repair.plan import Plan
from ups.runfile.items import name_of
from ups.runfile.records import parse_message
from ups.tracking.rows import Row

__all__ = ["Part", "RowEdits", "StepNumbers", "edit_row", "encode", "holds_values", "new_row", "set_step"]

_KEPT_IN_PARTS = ("_timestamp", "_runtime", "_step")


@dataclass
class Part:
    """What changes in one row.

    Attributes:
        values: the axes to set.
        removed: the names to take out.
        later: the names to write in a row of their own later on.
        moved: the names whose values go to the summary.
    """

    values: dict[str, float] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)

    @property
    def takes_away(self) -> bool:
        """Whether the row may be left without a value."""
        return bool(self.removed or self.later or self.moved)


@dataclass(frozen=True)
class _Change:
    """What changes in the rows ``rows``, increasing: ``names`` go, in a way; or one name gets the values ``x``."""

    rows: NDArray[np.int64]
    way: Literal["set", "removed", "later", "moved"]
    names: frozenset[str]
    x: NDArray[np.float64] | None = None


class RowEdits:
    """What a plan changes in which row, looked up some rows at a time.

    Attributes:
        behind: for a row, the rows of which a part is written behind it, in order.
    """

    def __init__(self, plan: Plan) -> None:
        self.behind: dict[int, list[int]] = {}
        self._changes = [_Change(rows, "moved", frozenset([name])) for name, rows in plan.to_summary.items()]
        for axis, mended in plan.mended.items():
            names = frozenset([axis, *mended.metrics])
            self._changes += [
                _Change(mended.rows, "set", frozenset([axis]), mended.x),
                _Change(mended.out, "removed", names),
                _Change(np.sort(mended.moved), "later", names),
                *(_Change(rows, "removed", frozenset([name])) for name, rows in mended.single.items()),
            ]
            for row, after in zip(mended.moved.tolist(), mended.after.tolist(), strict=True):
                self.behind.setdefault(after, []).append(row)

    def between(self, begin: int, end: int) -> dict[int, Part]:
        """The changes of the rows from ``begin`` up to ``end``, by row."""
        parts: dict[int, Part] = {}
        for change in self._changes:
            low, high = np.searchsorted(change.rows, (begin, end)).tolist()
            for at, row in enumerate(change.rows[low:high].tolist(), start=low):
                part = parts.setdefault(row, Part())
                if change.x is not None:
                    part.values |= dict.fromkeys(change.names, float(change.x[at]))
                elif change.way == "removed":
                    part.removed |= change.names
                elif change.way == "later":
                    part.later |= change.names
                else:
                    part.moved |= change.names
        return parts


class StepNumbers:
    """W&B's own step of one row after another, which grows: where it would not, it counts on from the row before."""

    def __init__(self) -> None:
        self._last, self._shift = -1, 0

    def next(self, step: int | None) -> int:
        """The number of the next row, which had ``step``; None for one that is written elsewhere, or had none."""
        if step is None:
            taken = self._last + 1
        else:
            taken = max(step + self._shift, self._last + 1)
            self._shift = taken - step
        self._last = taken
        return taken


def edit_row(message: Any, part: Part) -> tuple[Any | None, dict[str, str]]:
    """Carry out the changes of a row, but its later part.

    Returns:
        The row's part for later, as a message of its own, or None; and the JSON values for the summary.
    """
    history = message.history
    items = {name_of(item): item for item in history.item}
    for axis, x in part.values.items():
        _set(items[axis] if axis in items else _new_item(history, axis), encode(x))
    moved = {name: _json(items[name]) for name in part.moved if name in items}
    later = None
    if part.later:
        later = parse_message(message.SerializeToString())
        _keep_items(later, lambda name: name in part.later - part.removed or name in _KEPT_IN_PARTS)
    gone = part.removed | part.moved | part.later
    if gone:
        _keep_items(message, lambda name: name not in gone)
    return later, moved


def new_row(row: Row, runtime: float) -> Any:
    """A journal's row as a history record, without its step."""
    message = parse_message(b"")
    for name, value in {**row.values, "_timestamp": row.time, "_runtime": runtime}.items():
        _new_item(message.history, name).value_json = encode(value)
    return message


def holds_values(message: Any) -> bool:
    """Whether a row holds anything beside what W&B puts into every row."""
    return any(not name_of(item).startswith("_") for item in message.history.item)


def set_step(message: Any, step: int) -> None:
    """Give a row its ``_step``."""
    history = message.history
    history.step.num = step
    item = next((item for item in history.item if name_of(item) == "_step"), None)
    _set(_new_item(history, "_step") if item is None else item, str(step))


def encode(value: object) -> str:
    """A value as the JSON that W&B's files hold; whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _new_item(history: Any, name: str) -> Any:
    """An item of that name, its key in the form of the others."""
    plain = any(item.key for item in history.item)
    item = history.item.add()
    if plain:
        item.key = name
    else:
        item.nested_key.append(name)
    return item


def _json(item: Any) -> str:
    if item.value_json:
        return str(item.value_json)
    for form in ("boolean", "integer", "number"):
        if item.HasField(form):
            return json.dumps(getattr(item, form))
    return str(item.json) or json.dumps(item.text or None)


def _set(item: Any, value: str) -> None:
    for form in ("none", "boolean", "integer", "number", "text", "json"):
        item.ClearField(form)
    item.value_json = value


def _keep_items(message: Any, wanted: Callable[[str], bool]) -> None:
    kept = [item for item in message.history.item if wanted(name_of(item))]
    if len(kept) == len(message.history.item):
        return
    copies = [item.SerializeToString() for item in kept]
    del message.history.item[:]
    for copied in copies:
        message.history.item.add().ParseFromString(copied)
