"""One x-axis of a guarded run, and how far the lines that are drawn against it have come."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from ups.charts import DEFAULT_AXIS

__all__ = ["MOST_PARTS", "GuardedAxis"]

MOST_PARTS = 9
"""An axis that goes back more often is no axis of stages (a batch within each epoch); it is counted on instead."""


@dataclass
class GuardedAxis:
    """An axis.

    Where an axis goes back, a line would fold over itself, so a new *part* begins: the names of the axis and of the
    metrics drawn against it then begin with ``part2/``, and so on up to :data:`MOST_PARTS`.

    Attributes:
        name: as the script calls it; ``_step`` for W&B's own.
        synced: whether wandb fills it in where a row lacks it.
        part: which part the rows now belong to; the first has the script's own names.
        last: the last x of each metric in this part, by the script's name of the metric.
        high: the highest of them.
        offset: what is added to the script's values, once there are as many parts as there may be.
        known: its value in the last row that held it, as the script would give it; None before.
        logged: whether the script logs it as data.
        agrees: whether it was the same as ``step=`` when the script last logged it.
    """

    name: str
    synced: bool = True
    part: int = 1
    last: dict[str, float] = field(default_factory=dict)
    high: float = -inf
    offset: float = 0
    known: float | None = None
    logged: bool = False
    agrees: bool = False

    @property
    def key(self) -> str:
        """Its name in this part."""
        return self.prefixed("step" if self.part > 1 and self.name == DEFAULT_AXIS else self.name)

    def prefixed(self, name: str) -> str:
        """The name of a metric in this part."""
        return name if self.part == 1 else f"part{self.part}/{name}"

    def goes_back(self, metrics: Iterable[str], x: float) -> bool:
        """Whether the line of one of the metrics would go back at ``x``."""
        if x + self.offset >= self.high:
            return False
        return any(self.last.get(metric, -inf) > x + self.offset for metric in metrics)

    def restart(self, x: float) -> bool:
        """Begin the next part, which starts at ``x``; False if there are enough: then count on from here."""
        if self.part == MOST_PARTS:
            self.offset = self.high + 1 - x
            return False
        self.part += 1
        self.last.clear()
        self.high = -inf
        return True

    def advance(self, metrics: Iterable[str], x: float) -> float:
        """Draw a point of each of the metrics; returns its x in W&B."""
        x = x + self.offset if self.offset else x
        for metric in metrics:
            self.last[metric] = x
        if x > self.high:
            self.high = x
        return x

    def stands_still(self, metrics: Iterable[str], x: float | None) -> list[str]:
        """The metrics whose last point is at ``x`` already."""
        return [] if x is None else [metric for metric in metrics if self.last.get(metric) == x + self.offset]

    def count(self, metrics: Iterable[str]) -> int:
        """The x of the next row where nobody counts: 0, 1, 2, …; metrics of one step in several calls share theirs."""
        return int(self.high) + bool(self.stands_still(metrics, self.high)) if self.high > -inf else 0
