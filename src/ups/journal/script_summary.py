"""The summary of a run whose script calls wandb itself, as wandb-core makes it of the rows and of the script's writes.

A session that begins again knows nothing of the rows before it, so delivery sets its summary from this model.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from ups.charts import matches, unescaped
from ups.nested import put, remove

__all__ = ["Change", "ScriptSummary", "leaves"]

Path = tuple[str, ...]
Change = tuple[Path, Any]
"""A path in nested dictionaries, and the value there."""


def leaves(values: Mapping[str, Any], above: Path = ()) -> Iterator[Change]:
    """The values in nested dictionaries, each with its path."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


class ScriptSummary:
    """The values of a run's summary, by path; a metric with ``define_metric(summary=)`` has its aggregates there.

    Attributes:
        values: The summary, with nested dictionaries.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._kinds: dict[str, tuple[frozenset[str], bool]] = {}  # by name or glob, with True to maximize
        self._metrics: dict[Path, _Aggregate | None] = {}

    def define(self, name: str, summary: str | None, goal: str | None, *, overwrite: bool) -> None:
        """Note a definition, also one without aggregates: an exact name decides before a glob."""
        name = unescaped(name)
        kinds = frozenset(summary.split(",")) - {"copy"} if summary else frozenset()
        held, largest = self._kinds.get(name, (frozenset(), False))
        self._kinds[name] = (kinds if overwrite else held | kinds, goal == "maximize" or (goal is None and largest))
        for path, aggregate in list(self._metrics.items()):
            if aggregate is None or not aggregate.ended:
                joined = ".".join(path)
                if name == joined or matches(name, joined):
                    self._find(path)

    def take_row(self, values: Iterable[Change]) -> None:
        """Take the values of a row, by path."""
        for path, value in values:
            aggregate = self._metrics[path] if path in self._metrics else self._find(path)
            if aggregate is not None and not aggregate.ended:
                aggregate.take(value)
                if aggregate.values:
                    put(self.values, path, dict(aggregate.values))
            elif value is not None:
                put(self.values, path, value)

    def change(self, update: Iterable[tuple[Iterable[str], Any]], removed: Iterable[Iterable[str]]) -> None:
        """Take the values that the script has set, which end a metric's aggregates, and those that it has removed."""
        for names, value in update:
            path = tuple(names)
            self._end(path)
            put(self.values, path, deepcopy(value))  # the record keeps its own, which is given to W&B later
        for names in removed:
            path = tuple(names)
            self._end(path)
            remove(self.values, path)

    def plain(self) -> list[Change]:
        """The values beside the aggregates."""
        held = {path for path, aggregate in self._metrics.items() if aggregate is not None and not aggregate.ended}
        return [(path, value) for path, value in leaves(self.values) if path[:-1] not in held]

    def aggregates(self) -> list[Change]:
        """The aggregates."""
        return [
            ((*path, kind), value)
            for path, aggregate in self._metrics.items()
            if aggregate is not None and not aggregate.ended
            for kind, value in aggregate.values.items()
        ]

    def _end(self, path: Path) -> None:
        for length in range(1, len(path) + 1):
            self._metrics[path[:length]] = _ENDED

    def _find(self, path: Path) -> "_Aggregate | None":
        """The aggregates of a metric, by its exact name or by the longest glob."""
        name = ".".join(path)
        globs = [each for each in self._kinds if matches(each, name)]
        found = name if name in self._kinds else max(globs, key=len, default=None)
        kinds, largest = self._kinds[found] if found is not None else (frozenset[str](), False)
        before = self._metrics.get(path)
        if kinds and before is not None and before is not _ENDED:
            before.kinds, before.largest = kinds, largest
            return before
        aggregate = self._metrics[path] = _Aggregate(kinds, largest) if kinds else None
        return aggregate


class _Aggregate:
    """The aggregates of one metric; a value that is not a number counts for ``last`` alone."""

    __slots__ = ("_count", "_total", "ended", "kinds", "largest", "values")

    def __init__(self, kinds: frozenset[str], largest: bool, *, ended: bool = False) -> None:
        self.kinds = kinds
        self.largest = largest
        self.ended = ended
        self.values: dict[str, Any] = {}
        self._total = 0.0
        self._count = 0

    def take(self, value: Any) -> None:
        held, kinds = self.values, self.kinds
        if "none" in kinds:
            return
        if "last" in kinds and value is not None:
            held["last"] = value
        if type(value) is not int and type(value) is not float:
            return
        self._count += 1
        self._total += value
        if "first" in kinds:
            held.setdefault("first", value)
        if "min" in kinds:
            held["min"] = _extreme(min, held.get("min"), value)
        if "max" in kinds:
            held["max"] = _extreme(max, held.get("max"), value)
        if "best" in kinds:
            held["best"] = _extreme(max if self.largest else min, held.get("best"), value)
        if "mean" in kinds:
            held["mean"] = self._total / self._count


_ENDED = _Aggregate(frozenset(), largest=False, ended=True)


def _extreme(choose: Any, before: float | None, value: float) -> float:
    """The smaller or the larger of two numbers; NaN where one of them is."""
    if before is None or value != value:
        return value
    return before if before != before else choose(before, value)
