"""History records → columns: the rows of a run as NumPy arrays.

A run has as many history records as rows, each with a dozen items in an order that changes from record to
record, and a Python loop over items would take seconds for every 100,000 rows. So the records of a batch are
taken apart in step: one NumPy operation moves through all of them, item by item, and the values are converted
a column's worth at a time.
"""

from array import array
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.runfile.items import hashes_of, name_in, number_in, numbers, take_apart, value_in
from ups.runfile.wire import MARGIN, Bytes, Positions, read_fields, read_varints

__all__ = ["Column", "Columns", "last_rows"]

_LONGEST_KEY = MARGIN - 8
_FIRST_ROOM = 16  # values
_ROWS_AT_ONCE = 4096


@dataclass
class Column:
    """The values logged under one name.

    Attributes:
        rows: int64, shape (values,): the row of each value, increasing; rows count from 0 in a run.
        values: float64, shape (values,): NaN where the form is not a number.
        forms: uint8, shape (values,): numbers of :class:`~ups.runfile.items.Form`.
        sample: the first value that is not a number, as it was logged; None if there is none.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    forms: NDArray[np.uint8]
    sample: Any = None


class _Growing:
    """An array that values are appended to. What was read from it stays as it is."""

    def __init__(self, kind: type[np.generic], held: NDArray[Any] | None = None) -> None:
        self._held: NDArray[Any] = np.empty(_FIRST_ROOM, dtype=kind) if held is None else held
        self._size = 0 if held is None else len(held)

    def append(self, values: NDArray[Any]) -> None:
        size = self._size + len(values)
        if size > len(self._held):
            held = np.empty(max(size, 2 * len(self._held)), dtype=self._held.dtype)
            held[: self._size] = self._held[: self._size]
            self._held = held
        self._held[self._size : size] = values
        self._size = size

    def read(self) -> NDArray[Any]:
        """What was appended so far: a view that later values do not change."""
        return self._held[: self._size]


class _Parts:
    """A column that still grows."""

    def __init__(self) -> None:
        self.rows, self.values, self.forms = _Growing(np.int64), _Growing(np.float64), _Growing(np.uint8)
        self.sample: Any = None
        self.last = -1  # the row of the last value
        self.in_order = True  # whether each value's row is above the one before

    def append(self, rows: NDArray[np.int64], values: NDArray[np.float64], forms: NDArray[np.uint8]) -> None:
        self.in_order = self.in_order and rows[0] > self.last and bool((np.diff(rows) > 0).all())
        self.last = int(rows[-1])
        self.rows.append(rows)
        self.values.append(values)
        self.forms.append(forms)

    def replace(self, rows: NDArray[np.int64], values: NDArray[np.float64], forms: NDArray[np.uint8]) -> None:
        """Hold these instead; their rows increase."""
        self.rows, self.values, self.forms = (
            _Growing(np.int64, rows),
            _Growing(np.float64, values),
            _Growing(np.uint8, forms),
        )
        self.last, self.in_order = int(rows[-1]) if len(rows) else -1, True


class Columns:
    """Collects rows, batch by batch, and holds them as columns.

    Args:
        hidden: which columns to keep of those whose name begins with ``_`` (``_runtime``, ``_timestamp``); None: all.
    """

    def __init__(self, *, hidden: Container[str] | None = ()) -> None:
        self.rows = 0
        self._hidden = hidden
        self._parts: dict[str, _Parts] = {}
        self._steps = _Growing(np.int64)
        self._names: list[str] = []  # by key number
        self._hashes = np.empty(0, dtype=np.uint64)  # sorted
        self._numbers = np.empty(0, dtype=np.int64)  # the key number of each hash

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, float]]) -> Self:
        """The columns of rows that are in memory, hidden ones too; ``_step`` counts rows that do not hold it."""
        columns = cls(hidden=None)
        columns.add_rows(rows)
        return columns

    def add_rows(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Add rows that are in memory; ``_step`` counts rows that do not hold it.

        Raises:
            TypeError, OverflowError: a value is no number, or too large for one. Rows before it may have been added.
        """
        remaining = iter(rows)
        while batch := list(islice(remaining, _ROWS_AT_ONCE)):
            self._add_some(batch)

    def _add_some(self, rows: list[Mapping[str, float]]) -> None:
        """Add rows, all those of the same names at once."""
        places: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(tuple(row), []).append(place)
        parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
        steps = np.arange(self.rows, self.rows + len(rows), dtype=np.int64)
        for names, held in places.items():
            values = array("d", chain.from_iterable(rows[place].values() for place in held))
            table = np.frombuffer(values, dtype=np.float64).reshape(len(held), len(names))
            at = np.array(held, dtype=np.int64)
            for name, column in zip(names, table.T, strict=True):
                parts.setdefault(name, []).append((at, column))
                if name == DEFAULT_AXIS:
                    steps[at] = column
        for name, found in parts.items():
            at, column = found[0] if len(found) == 1 else map(np.concatenate, zip(*found, strict=True))
            if len(found) > 1:
                order = np.argsort(at)
                at, column = at[order], column[order]
            growing = self._parts.setdefault(name, _Parts())
            growing.append(at + self.rows, column, np.zeros(len(at), dtype=np.uint8))
        self._steps.append(steps)
        self.rows += len(rows)

    def as_they_are(self) -> "Columns":
        """The columns that there are, which stay so when more rows are added to these. Nothing is copied."""
        columns = Columns(hidden=self._hidden)
        columns.rows = self.rows
        columns._steps = _Growing(np.int64, self.steps())
        for name in self._parts:
            column = self.get(name)
            assert column is not None
            parts = columns._parts[name] = _Parts()
            parts.replace(column.rows, column.values, column.forms)
            parts.sample = column.sample
        return columns

    def put(self, name: str, column: Column) -> None:
        """Hold a column under a name, in place of one that is there."""
        parts = self._parts.setdefault(name, _Parts())
        parts.replace(column.rows, column.values, column.forms)
        parts.sample = column.sample

    def put_steps(self, steps: NDArray[np.int64]) -> None:
        """Hold as many rows as there are steps; ``_step`` of each, shape (rows,)."""
        self._steps = _Growing(np.int64, steps)
        self.rows = len(steps)

    def drop_repeated_steps(self) -> None:
        """Keep the first row of each ``_step``, in the order of the steps."""
        _, first = np.unique(self.steps(), return_index=True)
        place = np.full(self.rows, -1, dtype=np.int64)
        place[first] = np.arange(len(first))
        for name in list(self._parts):
            column = self.get(name)
            assert column is not None
            rows = place[column.rows]
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] >= 0]
            self._parts[name].replace(rows[order], column.values[order], column.forms[order])
            if not len(order):
                del self._parts[name]
        self._steps = _Growing(np.int64, self.steps()[first])
        self.rows = len(first)

    def names(self) -> list[str]:
        """The names in the order in which they first appeared."""
        return list(self._parts)

    def steps(self) -> NDArray[np.int64]:
        """W&B's own ``_step`` of each row; int64, shape (rows,)."""
        return self._steps.read()

    def get(self, name: str) -> Column | None:
        """The column of that name; None if there is none."""
        parts = self._parts.get(name)
        if parts is None:
            return None
        rows, values, forms = parts.rows.read(), parts.values.read(), parts.forms.read()
        if not parts.in_order:
            order = np.argsort(rows, kind="stable")  # a file that has the name in both forms of a key
            rows, values, forms = rows[order], values[order], forms[order]
            last = np.append(np.diff(rows) > 0, True)  # 'a.b' beside {'a': {'b': …}} in one row: the last counts
            rows, values, forms = rows[last], values[last], forms[last]
            parts.replace(rows, values, forms)
        return Column(rows, values, forms, parts.sample)

    def add(self, buffer: Bytes, start: Positions, end: Positions) -> None:
        """Add the history records whose content lies between ``start`` and ``end``, one row each."""
        if not len(start):
            return
        row, item_start, item_end = self._items(buffer, start, end)
        key_end, value_start, value_end = take_apart(buffer, item_start, item_end)
        key = self._key_numbers(buffer, row, item_start, key_end)
        order = np.argsort(key * len(start) + row, kind="stable")
        order = order[np.searchsorted(key[order], 0) :]  # without the keys that are not kept
        values, forms = numbers(buffer, value_start[order], value_end[order])
        for at in np.flatnonzero(value_start[order] < 0).tolist():  # no JSON form
            values[at], forms[at] = number_in(buffer[item_start[order[at]] : item_end[order[at]]].tobytes())
        bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            item = order[low]
            parts = self._parts.setdefault(self._names[key[item]], _Parts())
            parts.append(row[order[low:high]] + self.rows, values[low:high], forms[low:high])
            if parts.sample is None and forms[low:high].any():
                item = order[low + int(np.argmax(forms[low:high]))]
                parts.sample = value_in(buffer[item_start[item] : item_end[item]].tobytes())
        self.rows += len(start)

    def _items(self, buffer: Bytes, start: Positions, end: Positions) -> tuple[Positions, Positions, Positions]:
        """The row, start and end of every item of the records; takes the records' steps on the way."""
        steps = np.zeros(len(start), dtype=np.int64)
        rows: list[Positions] = []
        starts: list[Positions] = []
        ends: list[Positions] = []
        at = start.copy()
        left = np.flatnonzero(at < end)
        while left.size:
            found = read_fields(buffer, at[left], end[left])
            item = found.number == 1
            rows.append(left[item])
            starts.append(found.start[item])
            ends.append(found.end[item])
            step = np.flatnonzero((found.number == 2) & (found.end > found.start))
            if step.size:
                number = read_fields(buffer, found.start[step], found.end[step])
                steps[left[step]] = read_varints(buffer, number.start)[0]
            at[left] = np.where(found.number > 0, found.end, end[left])
            left = left[at[left] < end[left]]
        self._steps.append(steps)
        return _joined(rows), _joined(starts), _joined(ends)

    def _key_numbers(self, buffer: Bytes, row: Positions, start: Positions, end: Positions) -> Positions:
        """The key number of each item, -1 for those that are not kept.

        Two keys are the same if a 64-bit hash of their bytes is: for 10,000 names the odds of a mix-up are 1
        in 10¹¹.
        """
        size = np.minimum(end - start, _LONGEST_KEY)
        hashes = hashes_of(buffer, start, size)
        place = np.searchsorted(self._hashes, hashes)
        place[place == len(self._hashes)] = 0
        new = np.flatnonzero(self._hashes[place] != hashes) if len(self._hashes) else np.arange(len(hashes))
        if new.size:
            new = new[np.argsort(row[new], kind="stable")]  # names are learned in the order of the rows
            _, first = np.unique(hashes[new], return_index=True)
            for item in new[np.sort(first)].tolist():
                self._learn(hashes[item], buffer[start[item] : end[item]].tobytes())
            place = np.searchsorted(self._hashes, hashes)
        return self._numbers[place]

    def _learn(self, hashed: np.uint64, raw: bytes) -> None:
        name = name_in(raw)
        number = -1
        if name is not None and (not name.startswith("_") or self._hidden is None or name in self._hidden):
            number = len(self._names)
            self._names.append(name)
        place = np.searchsorted(self._hashes, hashed)
        self._hashes = np.insert(self._hashes, place, hashed)
        self._numbers = np.insert(self._numbers, place, number)


def last_rows(buffer: Bytes, start: Positions, end: Positions) -> tuple[Positions, Positions]:
    """Of the records whose content lies between ``start`` and ``end``: the last that holds each name, by number.

    Returns:
        int64 arrays: those records, increasing; and the records that have a step.
    """
    columns = Columns(hidden=None)
    row, item_start, item_end = columns._items(buffer, start, end)
    key_end, _, _ = take_apart(buffer, item_start, item_end)
    key = columns._key_numbers(buffer, row, item_start, key_end)
    last = np.zeros(len(columns._names), dtype=np.int64)
    np.maximum.at(last, key[key >= 0], row[key >= 0])
    return np.unique(last), np.flatnonzero(columns.steps())


def _joined(parts: list[Positions]) -> Positions:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
