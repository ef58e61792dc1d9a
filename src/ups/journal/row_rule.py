"""Journal records → the rows that W&B is given.

One rule decides which values are drawn: a metric's x only grows (:func:`ups.charts.advances`). A value at or behind
the x that its chart has reached stays in the journal and is counted; the other values of its row are drawn. So where a
training started again from an older checkpoint, the first attempt's points stay, and the chart continues where they
ended.

An ``open`` record is for a framework's loop, which may log several times at one step. Later open records of its stage
and step join it: their values are added to its own, or replace them. Three records of the same process settle the row:
the stage's next step, which settles the rows of the process's other stages too; ``settled``; and ``end``. A process
that is gone writes no more of them, so the reader of its journal settles its open rows.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ups.charts import Definitions, advances, metric_key, step_metric

__all__ = ["Row", "RowRule"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row as W&B is given it: values by full name, among them the step metric ``axis``, None outside a stage.

    A value is a number, or the JSON of a medium.
    """

    values: dict[str, Any]
    axis: str | None
    time: float


@dataclass(slots=True)
class _Open:
    """The newest row of a stage, to which values may still come."""

    step: int
    time: float
    values: dict[str, Any]


class RowRule:
    """Turns records into rows, one after another. The same records in the same order give the same rows.

    ``repeated`` is ``first``, or ``all`` to draw a step each time that it is logged.

    Attributes:
        skipped_values: The number of values of each stage that are not drawn because their step did not grow.
        last: The newest value of every metric and step metric, as in W&B's summary.
        definitions: The axes of the metrics so far.
    """

    def __init__(self, repeated: str = "first") -> None:
        self._all = repeated == "all"
        self.skipped_values: Counter[str] = Counter()
        self.last: dict[str, Any] = {}
        self.definitions = Definitions()
        self._reached: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._open: dict[str, dict[str, _Open]] = {}  # by process and stage

    def medium(self, record: dict[str, Any]) -> tuple[str, dict[str, int]]:
        """The name in W&B of a table or of images, and the stage's step beside them; none outside a stage."""
        name: str = record["table"] if "table" in record else record["image"]
        stage = record.get("stage")
        if stage is None:
            return name, {}
        name, axis = metric_key(stage, name), step_metric(stage)
        self.definitions.define(name, axis)
        self.definitions.define(axis, hidden=True)
        return name, {axis: record["step"]}

    def rows(self, record: dict[str, Any], process: str) -> list[Row]:
        """The rows that a record of a process's journal settles: its own, those that were open before it, or none."""
        if "values" not in record:
            return self.settle(process) if "settled" in record or "end" in record else []
        stage, time, values = record.get("stage"), record["time"], record["values"]
        if "media" in record:
            values = {**values, **record["media"]}
        if stage is None:
            self.last.update(values)
            return [Row(dict(values), None, time)] if values else []
        waiting = self._open.get(process)
        held = waiting.get(stage) if waiting is not None else None
        if record.get("open") is not True:
            before = [] if waiting is None or held is None else self._drawn_of({stage: waiting.pop(stage)})
            row = self._drawn(stage, record["step"], time, values)
            return before if row is None else [*before, row]
        if held is not None and held.step == record["step"]:
            held.time = time
            held.values.update(values)
            return []
        settled = self.settle(process) if held is not None else []
        self._open.setdefault(process, {})[stage] = _Open(record["step"], time, dict(values))
        return settled

    def settle(self, process: str) -> list[Row]:
        """Settle the open rows of a process: no more values join them."""
        return self._drawn_of(self._open.pop(process, {}))

    def is_open(self, process: str) -> bool:
        """True where a row of the process is still to be settled."""
        return bool(self._open.get(process))

    def _drawn_of(self, waiting: dict[str, _Open]) -> list[Row]:
        rows = (self._drawn(stage, each.step, each.time, each.values) for stage, each in waiting.items())
        return [row for row in rows if row is not None]

    def _drawn(self, stage: str, step: int, time: float, values: dict[str, Any]) -> Row | None:
        """The row of a stage; None if nothing of it can be drawn."""
        axis = step_metric(stage)
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
                self.skipped_values[stage] += 1
        if not drawn:
            return None
        drawn[axis] = step
        self.last.update(drawn)
        return Row(drawn, axis, time)
