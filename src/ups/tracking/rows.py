"""Journal records → the rows that W&B is given.

One rule decides what is drawn: a metric's x only grows (:func:`ups.charts.advances`). A value at or behind the x
that its chart has reached stays in the journal and is counted; the rest of its row goes on. So where a training was
started again from an older checkpoint, the first attempt's points stay and the chart goes on where it ended.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ups.charts import Definitions, advances, metric_key, step_metric

__all__ = ["Row", "RowRule"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row as W&B is given it: values by full name, among them the step metric ``axis``, None outside a stage."""

    values: dict[str, Any]
    axis: str | None
    time: float


class RowRule:
    """Turns records into rows, one after another. The same records in the same order give the same rows.

    Args:
        repeated: ``first``, or ``all`` to draw a step each time that it is logged.

    Attributes:
        withheld: How many values of each stage were not drawn because their step did not grow.
        last: The newest value of every metric and step metric: what W&B's summary of them is.
        definitions: What the rows so far are drawn against.
    """

    def __init__(self, repeated: str = "first") -> None:
        self._all = repeated == "all"
        self.withheld: Counter[str] = Counter()
        self.last: dict[str, Any] = {}
        self.definitions = Definitions()
        self._reached: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}

    def row(self, record: dict[str, Any]) -> Row | None:
        """The row of a ``values`` record; None if nothing of it can be drawn."""
        stage, time, values = record.get("stage"), record["time"], record["values"]
        if stage is None:
            self.last.update(values)
            return Row(dict(values), None, time) if values else None
        step, axis = record["step"], step_metric(stage)
        drawn: dict[str, Any] = {}
        for metric, value in values.items():
            name = self._names.get((stage, metric))
            if name is None:
                name = self._names[stage, metric] = metric_key(stage, metric)
                self.definitions.define(name, axis)
                self.definitions.define(axis, hidden=True)
            if self._all or advances(self._reached.get(name), step):
                self._reached[name] = step
                drawn[name] = value
            else:
                self.withheld[stage] += 1
        if not drawn:
            return None
        drawn[axis] = step
        self.last.update(drawn)
        return Row(drawn, axis, time)
