"""The numbers in a row, as W&B takes them; and the values of which no chart can be made."""

import weakref
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

from ups.errors import InvalidValue
from ups.guard.notices import Notices
from ups.text import number_text, shown
from ups.tracking.values import number

__all__ = ["Values", "flat", "same"]

Row = dict[str, Any]
_PLAIN = frozenset({int, float})
_TEXT = (str, bytes, bytearray, complex, set, frozenset, date, time, timedelta, type(None))
_MOST_TABLES = 1_000  # that are remembered


class Values:
    """The values of a run's rows."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._tables: dict[int, tuple[weakref.ref[Any], int]] = {}  # how many rows each had when W&B took it

    def numbers(self, data: Row) -> Row:
        """The values of a row that are numbers, by the names that W&B gives them; ``data`` itself if all are."""
        values = data.values()
        if not _PLAIN.issuperset(map(type, values)):
            return self._sorted_out(data)
        try:
            total = sum(values)
        except OverflowError:  # a whole number that is larger than any float
            return self._sorted_out(data)
        if total - total != 0:  # one of them is NaN or infinite, or they are very large
            return self._sorted_out(data)
        return data

    def _sorted_out(self, data: Row) -> Row:
        numbers = {}
        for name, value in flat(data).items():
            found = _number(value)
            if found is None:
                self._not_a_number(name, value)
                continue
            numbers[name] = found
            if found - found != 0:
                self._not_finite(name, value)
        return numbers

    def _not_finite(self, name: str, value: object) -> None:
        self._notices.add("not-finite", lambda: f"{name} is {shown(value)}: W&B leaves out such points")

    def _not_a_number(self, name: str, value: object) -> None:
        if _is_text(value):
            self._notices.add(
                "not-a-number",
                lambda: f"{name} is {shown(value)}: W&B keeps it, and no line can show what is not a number",
            )
        elif hasattr(value, "log_mode") and hasattr(value, "columns"):
            self._table(name, value)

    def _table(self, name: str, table: Any) -> None:
        """A ``wandb.Table``: W&B uploads it once, unless its mode says otherwise."""
        if table.log_mode in ("MUTABLE", "INCREMENTAL"):
            return
        seen = self._tables.get(id(table))
        rows = len(table.data)
        if seen is None or seen[0]() is not table:
            if len(self._tables) >= _MOST_TABLES:
                self._tables = {key: each for key, each in self._tables.items() if each[0]() is not None}
            if len(self._tables) < _MOST_TABLES:
                self._tables[id(table)] = weakref.ref(table), rows
        elif rows != seen[1]:
            self._notices.add(
                "table",
                lambda: (
                    f"{name} has {number_text(rows)} rows, and had {number_text(seen[1])} when it was first logged, "
                    "which W&B keeps alone; log a new wandb.Table, or make it with log_mode='MUTABLE'"
                ),
            )


def flat(data: Row) -> Row:
    """A row with nested dictionaries as W&B names them, keys joined by dots; ``data`` itself if there are none."""
    if not any(isinstance(value, Mapping) for value in data.values()):
        return data
    names: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            names |= {f"{name}.{inner}": each for inner, each in flat(dict(value)).items()}
        else:
            names[name] = value
    return names


def same(value: Any, other: Any) -> bool:
    """True where W&B would hold the same for both, as far as that can be seen at once."""
    return value is other or (type(value) is type(other) and isinstance(value, (int, float, str)) and value == other)


def _number(value: Any) -> int | float | None:
    """The number that W&B makes of a value: of Python's numbers, and of arrays of one element."""
    if not isinstance(value, (int, float)) and not callable(getattr(value, "item", None)):
        return None  # Decimal and Fraction are text to it
    try:
        return number(value)
    except InvalidValue:
        return None


def _is_text(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], (int, float, str))
    return isinstance(value, _TEXT) or (hasattr(value, "__float__") and not hasattr(value, "item"))
