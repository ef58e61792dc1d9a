"""One x-axis of a guarded run, and the lines that are drawn against it."""

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from ups.charts import DEFAULT_AXIS
from ups.course import Line

__all__ = ["MOST_PARTS", "GuardedAxis", "Strand", "prefixed"]

MOST_PARTS = 9
"""A metric that begins again more often has no stages (a batch within each epoch); it is then left as it is."""

Moved = Literal["part", "parts-end"] | None


class Strand:
    """The metrics of one axis that have had all their points together: one line for all of them.

    Attributes:
        metrics: The script's names of them.
        line: Their x, in the part that they are in.
        part: The part that the line is in; the first has the script's own names.
        stood: Their x when the run was resumed; -inf if it was not.
        begun: True once they have had a point on W&B's own axis.
        parts_end: True where they began again so often that they are left as they are.
    """

    __slots__ = ("_counts", "begun", "line", "metrics", "part", "parts_end", "stood")

    def __init__(self, metrics: set[str], part: int, stood: float = -inf) -> None:
        self.metrics = metrics
        self.line = Line()
        self.part = part
        self.stood = stood
        self.begun = self.parts_end = False
        self._counts = True  # it has never gone back to an x that was new

    def split(self, metrics: set[str]) -> "Strand":
        """Some of the metrics, as a strand of their own with the same past."""
        other = copy.copy(self)
        other.metrics = metrics
        other.line = copy.deepcopy(self.line)
        self.metrics -= metrics
        return other

    def line_again(self) -> Line:
        """A line that begins, and knows the x of this one."""
        line = copy.deepcopy(self.line)
        line.restart()
        return line

    def move(self, axis: "GuardedAxis", x: float) -> Moved:
        """Enter the part in which a point at ``x`` belongs; returns the kind of notice that this is worth.

        A part begins where the line begins again. A line on the same axis joins it where it would not grow, since the
        script may have gone back for all of them; until then it may well be right as it is.
        """
        line = self.line
        if self.parts_end or not x <= max(line.last, self.stood):  # NaN neither
            return None
        begins = x < self.stood or line.begins_again(x)
        if self.part < axis.part and axis.part > axis.had and self._counts:
            self._enter(axis.part)
        elif begins and axis.part < MOST_PARTS:
            axis.part += 1
            self._enter(axis.part)
            return "part"
        elif begins:
            self.parts_end = True
            self.part = 1
            return "parts-end"
        elif x < line.last:
            self._counts = False
        return None

    def _enter(self, part: int) -> None:
        self.part = part
        self.stood = -inf
        self.line.restart()


@dataclass
class GuardedAxis:
    """An axis.

    Where a line on it begins again, it would fold over itself, so a new *part* begins: the names of the axis and of
    the metric then begin with ``part2/``, and so on up to :data:`MOST_PARTS`.

    Attributes:
        name: The script's name; ``_step`` for W&B's own.
        synced: True where wandb fills it in for a row that lacks it.
        part: The last part that has begun.
        had: The last part that the run had when it was resumed.
        high: The highest x in the script's own names.
        known: Its value in the last row that held it; None before.
        kept: The same of the rows that W&B takes without a guard.
        logged: True where the script logs it as data.
        agrees: True where it was the same as ``step=`` when the script last logged it.
        given: True where the guard gave it to metrics that had none.
        beside: The metric of the same folder that stands in for it, while the script logs only that.
        first_part: The part in which a metric has its first point.
        begun: Metrics that had points on it before the guard came, or without the guard seeing their x.
    """

    name: str
    synced: bool = True
    part: int = 1
    had: int = 1
    high: float = -inf
    known: float | None = None
    kept: float | None = None
    logged: bool = False
    agrees: bool = False
    given: bool = False
    beside: str | None = None
    first_part: int = 1
    begun: dict[str, float] = field(default_factory=dict)
    _strands: dict[str, Strand] = field(default_factory=dict)
    _found: dict[tuple[str, ...], tuple[Strand, ...]] = field(default_factory=dict)
    _found_names: int = 0

    def key(self, part: int) -> str:
        """Its name in a part."""
        return prefixed("step" if part > 1 and self.name == DEFAULT_AXIS else self.name, part)

    def know(self, x: float, *, late: bool) -> None:
        """Note the value of the axis in a row; ``late`` if W&B would drop that row."""
        self.known = x
        if not late:
            self.kept = x

    def strands(self, metrics: tuple[str, ...]) -> tuple[Strand, ...]:
        """The strands of metrics that have a point together; a strand of which some have none is split."""
        found = self._found.get(metrics)
        if found is None:
            found = self._found[metrics] = self._split(metrics)
        return found

    def last(self, metric: str) -> float:
        """The x of the metric's last point; -inf if it has none."""
        strand = self._strands.get(metric)
        return self.begun.get(metric, -inf) if strand is None else strand.line.last

    def still(self, metrics: Iterable[str], x: float | None) -> list[str]:
        """The metrics whose last point is at ``x`` already."""
        return [] if x is None else [metric for metric in metrics if self.last(metric) == x]

    def count(self, metrics: Collection[str]) -> int:
        """The x of the next row, by counting: 0, 1, 2, …; metrics of one step in several calls share theirs."""
        return int(self.high) + bool(self.still(metrics, self.high)) if self.high > -inf else 0

    def _split(self, metrics: tuple[str, ...]) -> tuple[Strand, ...]:
        wanted = set(metrics)
        fresh: dict[float, set[str]] = {}
        changed = self._found_names > _MOST_FOUND
        for metric in metrics:
            strand = self._strands.get(metric)
            if strand is None:
                fresh.setdefault(self.begun.get(metric, -inf), set()).add(metric)
            elif not strand.metrics <= wanted:
                other = strand.split(strand.metrics & wanted)
                self._strands |= dict.fromkeys(other.metrics, other)
                changed = True
        for stood, new in fresh.items():
            self._strands |= dict.fromkeys(new, Strand(new, self.first_part, stood))
        if changed:
            self._found.clear()
            self._found_names = 0
        self._found_names += len(metrics)
        return tuple(dict.fromkeys(self._strands[metric] for metric in metrics))  # in the row's order


_MOST_FOUND = 100_000  # names in the sets of metrics whose strands are remembered


def prefixed(name: str, part: int) -> str:
    """The name of a metric or an axis in a part."""
    return name if part == 1 else f"part{part}/{name}"
