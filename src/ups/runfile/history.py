"""History records → columns: the rows of a run as NumPy arrays.

A run has as many history records as rows, each with a dozen items in an order that changes from record to
record. A Python loop over items would take seconds per 100,000 rows. So the records of a batch are taken apart in
step: one NumPy operation moves through all of them, item by item, and values are converted a column at a time.
"""

import math
from array import array
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.runfile.digits import Values, may_be_rounded, of_one_type, with_all_digits, with_digits_of
from ups.runfile.items import (
    Form,
    hashes_of,
    is_nested,
    items_in,
    logged_number,
    name_in,
    number_in,
    numbers,
    take_apart,
    value_in,
)
from ups.runfile.wire import MARGIN, Bytes, Positions

__all__ = ["Column", "Columns", "last_rows"]

_LONGEST_KEY = MARGIN - 8
_ROWS_AT_ONCE = 4096
_HASH_BITS = 2**64 - 1
_HIDDEN, _NAMELESS = -1, -2  # in place of a key number
_NUMBER_TEXTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # W&B's JSON has them so


@dataclass
class Column:
    """The values logged under one name.

    Attributes:
        rows: The row of each value, increasing; int64, shape (values,). Rows count from 0 in a run.
        values: The numbers, NaN where the form is another; float64, shape (values,). int64 where
            :mod:`~ups.runfile.digits` chooses it: each is a whole number and float64 would round some.
        forms: Numbers of :class:`~ups.runfile.items.Form`; uint8, shape (values,).
        sample: The first value that is not a number, as it was logged; None without one.
        twice: The count of rows that hold the name in both forms, ``a.b`` and ``b`` in a dictionary ``a``. The second
            form counts: wandb looks an axis up by its dots, does not find ``a.b``, and fills in a value of its own.
    """

    rows: NDArray[np.int64]
    values: Values
    forms: NDArray[np.uint8]
    sample: Any = None
    twice: int = 0


class _Growing:
    """An array that grows by appending. A view that was read from it does not change."""

    __slots__ = ("_held", "_size")

    def __init__(self, held: NDArray[Any]) -> None:
        self._held = held
        self._size = len(held)

    def append(self, values: NDArray[Any]) -> None:
        size = self._size + len(values)
        if size > len(self._held):
            held = np.empty(max(size, 2 * len(self._held)), dtype=self._held.dtype)
            held[: self._size] = self._held[: self._size]
            self._held = held
        self._held[self._size : size] = values
        self._size = size

    def read(self) -> NDArray[Any]:
        """Return a view of the values so far."""
        return self._held[: self._size]


_NO_ROWS, _NO_VALUES, _NO_FORMS = np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.uint8)


class _Parts:
    """A column that still grows."""

    __slots__ = ("forms", "in_order", "last", "rows", "sample", "twice", "values")

    def __init__(self) -> None:
        self.rows, self.values, self.forms = _Growing(_NO_ROWS), _Growing(_NO_VALUES), _Growing(_NO_FORMS)
        self.sample: Any = None
        self.last = -1  # the row of the last value
        self.in_order = True  # each value's row is above the one before
        self.twice = 0  # rows that hold the name in both forms

    def append(self, rows: NDArray[np.int64], values: Values, forms: NDArray[np.uint8]) -> None:
        held = self.values.read()
        if values.dtype != held.dtype:
            was = held.dtype
            held, values = of_one_type(held, values)
            if held.dtype != was:
                self.values = _Growing(held)
        self.in_order = self.in_order and rows[0] > self.last and bool((np.diff(rows) > 0).all())
        self.last = int(rows[-1])
        self.rows.append(rows)
        self.values.append(values)
        self.forms.append(forms)

    def replace(self, rows: NDArray[np.int64], values: Values, forms: NDArray[np.uint8]) -> None:
        """Hold these values instead; their rows increase."""
        self.rows, self.values, self.forms = _Growing(rows), _Growing(values), _Growing(forms)
        self.last, self.in_order = int(rows[-1]) if len(rows) else -1, True


class Columns:
    """Rows, collected batch by batch and held as columns.

    Of the names that begin with ``_`` (``_runtime``, ``_timestamp``) those in ``hidden`` are kept; None keeps all.

    Attributes:
        rows: The count of rows.
        nameless: The count of values that were left out because their names cannot be read.
    """

    def __init__(self, *, hidden: Container[str] | None = ()) -> None:
        self.rows = self.nameless = 0
        self._hidden = hidden
        self._parts: dict[str, _Parts] = {}
        self._steps = _Growing(_NO_ROWS)
        self._names: list[str] = []  # by key number
        self._nested: set[int] = set()  # the keys of values in dictionaries
        self._hashes = np.empty(0, dtype=np.uint64)  # sorted
        self._numbers = np.empty(0, dtype=np.int64)  # the key number of each hash

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, float]]) -> Self:
        """Make columns of rows in memory, hidden columns too. ``_step`` counts the rows that do not hold it."""
        columns = cls(hidden=None)
        columns.add_rows(rows)
        return columns

    def add_rows(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Add rows that are in memory. ``_step`` counts the rows that do not hold it.

        Raises:
            TypeError: A value is not a number. Rows before it may have been added.
            OverflowError: A value is too large for a float. Rows before it may have been added.
        """
        remaining = iter(rows)
        while batch := list(islice(remaining, _ROWS_AT_ONCE)):
            self._add_some(batch)

    def add_values(self, rows: Iterable[Iterable[tuple[str, Any]]]) -> None:
        """Add rows that are in memory, with values of any kind: the name and the value of each."""
        numbers: list[dict[str, float]] = []
        others: dict[str, list[int]] = {}
        for place, row in enumerate(rows, self.rows):
            held: dict[str, float] = {}
            for name, value in row:
                if name in held:  # the second time in dictionaries
                    self._parts.setdefault(name, _Parts()).twice += 1
                if isinstance(value, str) and value in _NUMBER_TEXTS:
                    held[name] = _NUMBER_TEXTS[value]
                elif isinstance(value, int | float):
                    held[name] = value if isinstance(value, float) or abs(value) < 2**63 else _as_float(value)
                else:
                    others.setdefault(name, []).append(place)
                    parts = self._parts.setdefault(name, _Parts())
                    parts.sample = value if parts.sample is None else parts.sample
            numbers.append(held)
        self.add_rows(numbers)
        for name, places in others.items():
            forms = np.full(len(places), Form.OTHER, dtype=np.uint8)
            self._parts[name].append(np.array(places, dtype=np.int64), np.full(len(places), np.nan), forms)

    def _add_some(self, rows: list[Mapping[str, float]]) -> None:
        """Add rows, all those of the same names at once."""
        places: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(tuple(row), []).append(place)
        parts: dict[str, list[tuple[NDArray[np.int64], Values]]] = {}
        steps = np.arange(self.rows, self.rows + len(rows), dtype=np.int64)
        for names, held in places.items():
            values = array("d", chain.from_iterable(rows[place].values() for place in held))
            table = np.frombuffer(values, dtype=np.float64).reshape(len(held), len(names))
            at = np.array(held, dtype=np.int64)
            rounded = np.any(may_be_rounded(table), axis=0)
            for name, column, is_rounded in zip(names, table.T, rounded, strict=True):
                if is_rounded:
                    column = with_digits_of(column, [rows[place][name] for place in held])
                parts.setdefault(name, []).append((at, column))
                if name == DEFAULT_AXIS:
                    steps[at] = column
        for name, found in parts.items():
            at, column = found[0]
            if len(found) > 1:
                at = np.concatenate([each for each, _ in found])
                column = np.concatenate(of_one_type(*(each for _, each in found)))
                order = np.argsort(at)
                at, column = at[order], column[order]
            growing = self._parts.setdefault(name, _Parts())
            growing.append(at + self.rows, column, np.zeros(len(at), dtype=np.uint8))
        self._steps.append(steps)
        self.rows += len(rows)

    def as_they_are(self) -> "Columns":
        """Return the columns so far, which stay the same when rows are added to these. No values are copied."""
        columns = Columns(hidden=self._hidden)
        columns.rows, columns.nameless = self.rows, self.nameless
        columns._steps = _Growing(self.steps())
        for name in self._parts:
            column = self.get(name)
            assert column is not None
            columns.put(name, column)
        return columns

    def put(self, name: str, column: Column) -> None:
        """Hold a column under a name, in place of an earlier one."""
        parts = self._parts.setdefault(name, _Parts())
        parts.replace(column.rows, column.values, column.forms)
        parts.sample, parts.twice = column.sample, column.twice

    def put_steps(self, steps: NDArray[np.int64]) -> None:
        """Hold a row for each of ``steps``, the ``_step`` of each row; shape (rows,)."""
        self._steps = _Growing(steps)
        self.rows = len(steps)

    def drop_repeated_steps(self) -> None:
        """Keep the first row of each ``_step``, in the order of the steps."""
        self._keep(np.unique(self.steps(), return_index=True)[1])

    def rewind(self, step: float) -> None:
        """Keep the rows up to a ``_step``."""
        self._keep(np.flatnonzero(self.steps() <= step))

    def _keep(self, kept: NDArray[np.int64]) -> None:
        """Keep some rows, in the order of ``kept``."""
        place = np.full(self.rows, -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        for name in list(self._parts):
            column = self.get(name)
            assert column is not None
            rows = place[column.rows]
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] >= 0]
            self._parts[name].replace(rows[order], column.values[order], column.forms[order])
            if not len(order):
                del self._parts[name]
        self._steps = _Growing(self.steps()[kept])
        self.rows = len(kept)

    def names(self) -> list[str]:
        """The names in the order in which they first appeared."""
        return list(self._parts)

    def steps(self) -> NDArray[np.int64]:
        """W&B's own ``_step`` of each row; int64, shape (rows,)."""
        return self._steps.read()

    def get(self, name: str) -> Column | None:
        """The column of that name; None without one."""
        parts = self._parts.get(name)
        if parts is None:
            return None
        rows, values, forms = parts.rows.read(), parts.values.read(), parts.forms.read()
        if not parts.in_order:
            order = np.argsort(rows, kind="stable")  # the file has the name in both forms of a key
            rows, values, forms = rows[order], values[order], forms[order]
            last = np.append(np.diff(rows) > 0, True)  # of 'a.b' and {'a': {'b': …}} in one row, the nested one counts
            parts.twice += int(np.count_nonzero(~last))
            rows, values, forms = rows[last], values[last], forms[last]
            parts.replace(rows, values, forms)
        return Column(rows, values, forms, parts.sample, parts.twice)

    def add(self, buffer: Bytes, start: Positions, end: Positions) -> None:
        """Add one row per history record; its content lies between ``start`` and ``end``."""
        if not len(start):
            return
        row, item_start, item_end, steps, _ = items_in(buffer, start, end)
        self._steps.append(steps)
        key_end, value_start, value_end = take_apart(buffer, item_start, item_end)
        key = self._key_numbers(buffer, row, item_start, key_end)
        self.nameless += int(np.count_nonzero(key == _NAMELESS))
        order = np.argsort(key * len(start) + row, kind="stable")
        order = order[np.searchsorted(key[order], 0) :]  # without the keys that are not kept
        values, forms = numbers(buffer, value_start[order], value_end[order])
        for at in np.flatnonzero(value_start[order] < 0).tolist():  # without a JSON form
            values[at], forms[at] = number_in(buffer[item_start[order[at]] : item_end[order[at]]].tobytes())
        rounded = may_be_rounded(values)
        bounds = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1)).tolist()
        spans = list(pairwise(bounds))
        if self._nested:
            spans.sort(key=lambda span: int(key[order[span[0]]]) in self._nested)
        for low, high in spans:
            item = order[low]
            parts = self._parts.setdefault(self._names[key[item]], _Parts())
            part: Values = values[low:high]
            if rounded[low:high].any():
                where = item_start, item_end, value_start, value_end
                part = with_all_digits(part, partial(_logged, buffer, *(each[order[low:high]] for each in where)))
            parts.append(row[order[low:high]] + self.rows, part, forms[low:high])
            if parts.sample is None and forms[low:high].any():
                item = order[low + int(np.argmax(forms[low:high]))]
                parts.sample = value_in(buffer[item_start[item] : item_end[item]].tobytes())
        self.rows += len(start)

    def _key_numbers(self, buffer: Bytes, row: Positions, start: Positions, end: Positions) -> Positions:
        """Return the key number of each item; below 0 for keys that are not kept.

        Two keys are the same if a 64-bit hash of their bytes is. For 10,000 names, the odds of a mix-up are 1 in 10¹¹.
        """
        size = end - start
        hashes = hashes_of(buffer, start, np.minimum(size, _LONGEST_KEY))
        for item in np.flatnonzero(size > _LONGEST_KEY).tolist():
            hashes[item] = hash(buffer[start[item] : end[item]].tobytes()) & _HASH_BITS
        place = np.searchsorted(self._hashes, hashes)
        place[place == len(self._hashes)] = 0
        new = np.flatnonzero(self._hashes[place] != hashes) if len(self._hashes) else np.arange(len(hashes))
        if new.size:
            new = new[np.argsort(row[new], kind="stable")]  # names are learnt in the order of the rows
            _, first = np.unique(hashes[new], return_index=True)
            learned = new[np.sort(first)]
            raw = (buffer[start[item] : end[item]].tobytes() for item in learned.tolist())
            self._learn(hashes[learned], list(raw))
            place = np.searchsorted(self._hashes, hashes)
        return self._numbers[place]

    def _learn(self, hashes: NDArray[np.uint64], raw: list[bytes]) -> None:
        """Give each new key, as its bytes, a number."""
        numbers: list[int] = []
        for each in raw:
            name = name_in(each)
            if name is None:
                numbers.append(_NAMELESS)
            elif name.startswith("_") and self._hidden is not None and name not in self._hidden:
                numbers.append(_HIDDEN)
            else:
                if "." in name and is_nested(each):
                    self._nested.add(len(self._names))
                numbers.append(len(self._names))
                self._names.append(name)
        every = np.concatenate([self._hashes, hashes])
        order = np.argsort(every)
        self._hashes = every[order]
        self._numbers = np.concatenate([self._numbers, np.array(numbers, dtype=np.int64)])[order]


def _logged(
    buffer: Bytes, item_start: Positions, item_end: Positions, start: Positions, end: Positions, places: Positions
) -> list[int | float]:
    """Read the numbers at some places as they were logged, from the items and the JSON values in them."""
    found: list[int | float] = []
    for place in places.tolist():
        if start[place] < 0:
            found.append(value_in(buffer[item_start[place] : item_end[place]].tobytes()))
        else:
            found.append(logged_number(buffer[start[place] : end[place]].tobytes()))
    return found


def last_rows(buffer: Bytes, start: Positions, end: Positions) -> tuple[Positions, Positions]:
    """Find the last record that holds each name, among those whose content lies between ``start`` and ``end``.

    Returns:
        The numbers of those records, increasing, and of the records that have a step; int64 arrays.
    """
    columns = Columns(hidden=None)
    row, item_start, item_end, _, stepped = items_in(buffer, start, end)
    key_end, _, _ = take_apart(buffer, item_start, item_end)
    key = columns._key_numbers(buffer, row, item_start, key_end)
    last = np.zeros(len(columns._names), dtype=np.int64)
    np.maximum.at(last, key[key >= 0], row[key >= 0])
    return np.unique(last), np.flatnonzero(stepped)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
