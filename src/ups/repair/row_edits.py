"""History records, changed: the rows that a repaired run holds."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ups.journal.row_rule import Row
from ups.repair.plan import Plan
from ups.runfile.items import name_of
from ups.runfile.records import parse_message

__all__ = ["RowEdit", "RowEdits", "edit_row", "encode", "holds_values", "new_row", "set_step"]

_KEPT_IN_PARTS = ("_timestamp", "_runtime", "_step")


@dataclass
class RowEdit:
    """What changes in one row.

    Attributes:
        values: the axes to set.
        removed: the names to take out.
        to_summary: the names whose values go to the summary.
        parts: for each axis of which a part is written as a row of its own, that part.
    """

    values: dict[str, float] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    to_summary: set[str] = field(default_factory=set)
    parts: dict[str, "RowPart"] = field(default_factory=dict)

    @property
    def leaving(self) -> set[str]:
        """The names that are not in the row any more."""
        return self.removed | self.to_summary | {name for part in self.parts.values() for name in part.names}


@dataclass
class RowPart:
    """A part of a row, which is written as a row of its own: the names that it takes along, and its axis's value."""

    x: float
    names: set[str] = field(default_factory=set)


class RowEdits:
    """What a plan changes in which row, looked up some rows at a time.

    Attributes:
        behind: for a row, the rows and axes of which a part is written behind it, in order.
    """

    def __init__(self, plan: Plan) -> None:
        self.behind: dict[int, list[tuple[int, str]]] = {}
        self._plan = plan
        self._parts: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}  # rows increasing, and the x of each
        for axis, mended in plan.mended.items():
            order = np.argsort(mended.parts.rows)
            self._parts[axis] = mended.parts.rows[order], mended.parts.x[order]
            for row, after in zip(mended.parts.rows.tolist(), mended.parts.after.tolist(), strict=True):
                self.behind.setdefault(after, []).append((row, axis))

    def between(self, begin: int, end: int) -> dict[int, RowEdit]:
        """The changes of the rows from ``begin`` up to ``end``, by row."""
        edits: dict[int, RowEdit] = defaultdict(RowEdit)

        def within(rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
            low, high = np.searchsorted(rows, (begin, end)).tolist()
            return enumerate(rows[low:high].tolist(), start=low)

        for name, rows in self._plan.to_summary.items():
            for _, row in within(rows):
                edits[row].to_summary.add(name)
        for axis, mended in self._plan.mended.items():
            for at, row in within(mended.rows):
                edits[row].values[axis] = mended.x[at].item()
            for name, rows in mended.out.items():
                for _, row in within(rows):
                    edits[row].removed.add(name)
            rows, x = self._parts[axis]
            for at, row in within(rows):
                edits[row].parts[axis] = RowPart(x[at].item())
            for name, rows in mended.parts.names.items():
                for _, row in within(rows):
                    edits[row].parts[axis].names.add(name)
        return edits


def edit_row(message: Any, edit: RowEdit) -> tuple[dict[str, Any], dict[str, str]]:
    """Carry out the changes of a row.

    Returns:
        For each axis with a part, the part as a message of its own; and the JSON values for the summary.
    """
    history = message.history
    parts = {}
    for axis, part in edit.parts.items():
        parts[axis] = parse_message(message.SerializeToString())
        kept = {*part.names, axis, *_KEPT_IN_PARTS}
        _keep_items(parts[axis], kept.__contains__)
        _set_axis(parts[axis].history, axis, part.x)
    for axis, x in edit.values.items():
        _set_axis(history, axis, x)
    moved = {name_of(item): _json(item) for item in history.item if name_of(item) in edit.to_summary}
    leaving = edit.leaving
    if leaving:
        _keep_items(message, lambda name: name not in leaving)
    return parts, moved


def _set_axis(history: Any, axis: str, x: float) -> None:
    item = next((item for item in history.item if name_of(item) == axis), None)
    _set(_new_item(history, axis) if item is None else item, encode(x))


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
