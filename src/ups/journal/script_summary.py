"""The summary of a run whose script calls wandb itself, as wandb-core makes it of the rows and of the script's writes.

A session that begins again knows nothing of the rows before it, so delivery sets its summary from this model.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from math import nan
from typing import Any

from ups.charts import matches, unescaped
from ups.nested import put_whole, remove

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
        missing: The paths whose newest value in a row is None. W&B keeps the value before it.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = dict(values or {})
        self.missing: set[Path] = set()
        self._kinds: dict[str, tuple[frozenset[str], bool]] = {}  # by name or glob, with True to maximize
        self._globs = 0  # definitions of globs so far
        self._metrics: dict[Path, _Metric] = {}
        self._whole: set[Path] = set()  # dictionaries that the script has set: each is one value

    def define(self, name: str, summary: str | None, goal: str | None, *, overwrite: bool) -> None:
        """Note a definition, also one without aggregates: an exact name decides before a glob.

        The aggregates of an exact name count the rows before it too, and show at once; those of a glob show with the
        next row.
        """
        name = unescaped(name)
        kinds = frozenset(summary.split(",")) - {"copy"} if summary else frozenset()
        held, largest = self._kinds.get(name, (frozenset(), False))
        self._kinds[name] = (kinds if overwrite else held | kinds, goal == "maximize" or (goal is None and largest))
        if name.endswith("*"):
            self._globs += 1
            return
        for path, metric in self._metrics.items():
            if name == ".".join(path):
                metric.define(*self._kinds[name])
                self._show(path, metric)

    def take_row(self, values: Iterable[Change]) -> None:
        """Take the values of a row, by path."""
        for path, value in values:
            metric = self._metrics.get(path)
            if metric is None:
                metric = self._metrics[path] = self._new_metric(path)
            if not metric.named and metric.looked_for != self._globs:
                self._look_for_glob(path, metric)
            aggregated = metric.kinds and not metric.ended
            if value is None:
                if not aggregated:
                    self.missing.add(path)
                continue
            metric.take(value)
            if aggregated:
                self._show(path, metric)
            else:
                self._put(path, value)

    def change(self, update: Iterable[tuple[Iterable[str], Any]], removed: Iterable[Iterable[str]]) -> None:
        """Take the values that the script has set, which end a metric's aggregates, and those that it has removed."""
        for names, value in update:
            path = tuple(names)
            for length in range(1, len(path) + 1):
                self._metrics.setdefault(path[:length], self._new_metric(path[:length])).ended = True
            self._forget_below(path)
            self._put(path, deepcopy(value))  # the record keeps its own, which is given to W&B later
        for names in removed:
            path = tuple(names)
            self._forget_below(path)
            if path in self._metrics:
                self._metrics[path].shown = False
            remove(self.values, path)

    def plain(self) -> list[Change]:
        """The values beside the aggregates."""
        held = {path for path, metric in self._metrics.items() if metric.kinds and not metric.ended}
        return [(path, value) for path, value in leaves(self.values) if path[:-1] not in held]

    def aggregates(self) -> list[Change]:
        """The aggregates."""
        return [
            ((*path, kind), value)
            for path, metric in self._metrics.items()
            if metric.shown and not metric.ended
            for kind, value in metric.aggregates().items()
        ]

    def _show(self, path: Path, metric: "_Metric") -> None:
        if not metric.kinds:
            return
        aggregates = metric.aggregates()
        metric.shown = bool(aggregates)
        if aggregates:
            self._put(path, aggregates)
            self._whole.discard(path)  # its kinds are values of their own
        else:  # "none"
            remove(self.values, path)

    def _put(self, path: Path, value: Any) -> None:
        self.missing.discard(path)
        put_whole(self.values, path, value, self._whole)

    def _forget_below(self, path: Path) -> None:
        """Forget the metrics below a path: names that come again there are shown by their last value."""
        for other in [other for other in self._metrics if len(other) > len(path) and other[: len(path)] == path]:
            self._metrics[other] = _Metric(named=True)
        self._whole = {other for other in self._whole if other[: len(path)] != path}

    def _new_metric(self, path: Path) -> "_Metric":
        """A metric by its exact name, if that is defined."""
        kinds = self._kinds.get(".".join(path))
        metric = _Metric(named=kinds is not None)
        if kinds is not None:
            metric.define(*kinds)
        return metric

    def _look_for_glob(self, path: Path, metric: "_Metric") -> None:
        """Define a metric by the longest glob that its name matches."""
        metric.looked_for = self._globs
        name = ".".join(path)
        found = max((each for each in self._kinds if matches(each, name)), key=len, default=None)
        if found is not None:
            metric.define(*self._kinds[found])


class _Metric:
    """The values of one metric in the rows. A value that is not a number counts for ``first`` and ``last`` alone.

    Attributes:
        named: Whether its exact name decides about it, and no glob.
        looked_for: The number of globs when the metric was compared with them.
        ended: Whether the script has set its value, so that it shows its last value from then on.
        shown: Whether its aggregates are in the summary.
    """

    __slots__ = (
        *("_count", "_first", "_largest", "_last", "_max", "_min", "_total"),
        *("ended", "kinds", "looked_for", "named", "shown"),
    )

    def __init__(self, *, named: bool) -> None:
        self.kinds: frozenset[str] = frozenset()
        self.named = named
        self.looked_for = 0
        self.ended = self.shown = False
        self._largest = False
        self._count = 0
        self._total = 0.0
        self._first: Any = None
        self._last: Any = None
        self._min: float = 0
        self._max: float = 0

    def define(self, kinds: frozenset[str], largest: bool) -> None:
        """Show these aggregates from here on."""
        self.kinds, self._largest = kinds, largest
        if kinds:
            self.ended = False

    def take(self, value: Any) -> None:
        """Take a value of a row."""
        if self._first is None:
            self._first = value
        self._last = value
        if type(value) is not float and type(value) is not int:
            return
        if not self._count:
            self._min = self._max = value
        elif not self._min <= value <= self._max:
            self._min, self._max = _extreme(min, self._min, value), _extreme(max, self._max, value)
        self._count += 1
        self._total += value

    def aggregates(self) -> dict[str, Any]:
        """The aggregates by their kind; as wandb-core has it, 0 where no number has come, and NaN for the mean."""
        kinds = self.kinds
        if "none" in kinds:
            return {}
        best = self._max if self._largest else self._min
        found = {
            "first": self._first,
            "last": self._last,
            "min": self._min,
            "max": self._max,
            "best": best,
            "mean": self._total / self._count if self._count else nan,
        }
        return {kind: value for kind, value in found.items() if kind in kinds and value is not None}


def _extreme(choose: Any, before: float, value: float) -> float:
    """The smaller or the larger of two numbers; NaN where one of them is."""
    if value != value:
        return value
    return before if before != before else choose(before, value)
