"""The x of metrics whose row lacks the axis that they are drawn against."""

import re
from math import inf
from typing import Any

from ups.charts import DEFAULT_AXIS
from ups.guard.axes import LIBRARY_AXES, Axes
from ups.guard.notices import Notices
from ups.guard.place import Place
from ups.guard.strands import GuardedAxis
from ups.text import number_text

__all__ = ["MissingAxes"]

_COUNTER = re.compile(r"(?:.*_)?(?:step|epoch|iter|iteration|batch|update|episode)s?", re.IGNORECASE)


class MissingAxes:
    """The stand-in for an axis that is not in a row, and the metrics of an open row whose axis may yet come.

    Attributes:
        filled: The axes that wandb fills in for the row.
        implied: The x that metrics get from elsewhere, by axis: filled in, or from an earlier call of the row.
    """

    def __init__(self, axes: Axes, notices: Notices) -> None:
        self._axes = axes
        self._notices = notices
        self.waits: dict[str, GuardedAxis] = {}
        self.filled: set[str] = set()
        self.implied: dict[str, float] = {}

    def x(
        self, axis: GuardedAxis, metrics: tuple[str, ...], place: Place, numbers: dict[str, Any]
    ) -> tuple[float | None, bool]:
        """The x of metrics whose row lacks their axis; True with it where it is to be put into the row.

        None where the row is right to make no point.
        """
        plainly = axis.known if place.late or axis.kept is None else axis.kept
        if axis.name in place.cut:
            return plainly, True
        for part in range(1, axis.part + 1) if place.beside else ():
            beside = place.beside.get(axis.key(part))
            if beside is not None:
                x = beside if isinstance(beside, (int, float)) else axis.known
                if x is not None:
                    self.implied[axis.name] = x
                return x, axis.name not in place.beside
        if not axis.logged:
            if place.step is None and place.open:
                self.waits |= dict.fromkeys(metrics, axis)
                return None, False
            if place.step is None and axis.synced and axis.name in LIBRARY_AXES:
                self.implied[axis.name] = 0.0  # which wandb fills in, until the library logs its axis
                self.filled.add(axis.name)
                return 0.0, False
            counted = self._given(axis, metrics, numbers) if place.step is None else place.step
            axis.know(counted, late=place.late)
            if not axis.given:
                self._supplied(axis, metrics, counted)
            return counted, True
        if not axis.synced:
            return None, False
        still = [metric for metric in axis.still(metrics, plainly) if numbers[metric] - numbers[metric] == 0]
        if still and place.step is not None and axis.agrees:
            if place.step != plainly:
                axis.know(place.step, late=place.late)
                self._supplied(axis, metrics, place.step)
                return place.step, True
        elif still:
            self.waits |= dict.fromkeys(still, axis)
        if plainly != axis.known or axis.name in place.moved:
            return plainly, True  # what W&B would fill in is that of another row
        if plainly is not None:
            self.implied[axis.name] = plainly
        self.filled.add(axis.name)
        return plainly, False

    def come(self, axis: GuardedAxis, x: float) -> None:
        """Give an axis that has come to the metrics that were in its row before it."""
        metrics = tuple(metric for metric, awaited in self.waits.items() if awaited is axis)
        if metrics:
            for strand in axis.strands(metrics):
                strand.line.follow(x)
            axis.high = max(axis.high, x)
        for metric in metrics:
            del self.waits[metric]

    def give_up(self, place: Place, added: dict[str, Any]) -> bool:
        """Stop waiting for axes that have not come, as the row is closed, or closes with this call.

        True where definitions have changed.
        """
        changed = False
        for metric, axis in self.waits.items():
            if axis.logged:
                self._stale(metric, axis)
                self._axes.define(metric, DEFAULT_AXIS)
                for strand in self._axes.get(DEFAULT_AXIS).strands((metric,)):
                    strand.begun = True  # by its rows so far
                changed = True
            elif place.beside:
                x = added.get(axis.name)
                if x is None:
                    x = added[axis.name] = axis.known = axis.kept = axis.count((metric,))
                    self._supplied(axis, (metric,), x)
                for strand in axis.strands((metric,)):
                    strand.line.follow(x)
                axis.high = max(axis.high, x)
        self.waits.clear()
        return changed

    def _given(self, axis: GuardedAxis, metrics: tuple[str, ...], numbers: dict[str, Any]) -> float:
        """The x of a row without ``step=``: that of a counter beside the axis, while it grows, else the next number."""
        if axis.beside is not None or axis.high == -inf:
            folder = axis.name.rpartition("/")[0]
            for name, x in numbers.items():
                where, _, last = name.rpartition("/")
                if where != folder or axis.beside not in (None, name) or not _COUNTER.fullmatch(last):
                    continue
                if x - x == 0 and x == int(x) and (x > axis.high or not axis.still(metrics, x)):
                    axis.beside = name
                    return x  # type: ignore[no-any-return]
            axis.beside = None
        return axis.count(metrics)

    def _stale(self, metric: str, axis: GuardedAxis) -> None:
        self._notices.add(
            "stale",
            lambda: f"{metric} is logged more often than its axis {axis.name}: it is now drawn against {DEFAULT_AXIS}",
        )

    def _supplied(self, axis: GuardedAxis, metrics: tuple[str, ...], x: float) -> None:
        def message() -> str:
            comes = f"{metrics[0]} is logged without its axis {axis.name}"
            if axis.beside is not None:
                return f"{comes}: {axis.beside}, which is in its rows, takes its place, here {number_text(x)}"
            return f"{comes}: the guard adds it, here {number_text(x)}"

        self._notices.add("supplied", message)
