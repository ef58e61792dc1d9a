"""The axis of each metric of a guarded run, and the definitions that W&B needs for it."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS, Definitions, matches, stage_prefix
from ups.guard.notices import Notices
from ups.guard.strands import GuardedAxis, prefixed

__all__ = ["LIBRARY_AXES", "Axes", "Definition"]

# Lightning's WandbLogger and the Hugging Face WandbCallback define '*' with these, when they open the run.
LIBRARY_AXES = ("trainer/global_step", "train/global_step")
_STAGED = re.compile(stage_prefix("") + r"[^/]+/(?=.)")


class Definition(NamedTuple):
    """A call of ``define_metric`` to make."""

    name: str
    options: dict[str, Any]


class Axes:
    """The axes of a run, and its definitions: the script's, and those that the guard makes.

    The run has a ``summary`` where rows had been logged when the guard came, or where it is resumed. Unless the guard
    came ``from_init``, definitions may have been made before it, and names decide: a metric ``training/<stage>/…`` is
    drawn against ``training/<stage>/step``, and a row with the axis of Lightning or of a Hugging Face trainer against
    that.

    Attributes:
        waiting: Definitions to be made before the row that is being judged.
    """

    def __init__(self, notices: Notices, summary: Mapping[str, Any], *, from_init: bool) -> None:
        self._notices = notices
        self._from_init = from_init
        self._summary = summary
        self._definitions = Definitions()
        self._options: dict[str, dict[str, Any]] = {}  # what else the script defined, by name or glob
        self._axes: dict[str, GuardedAxis] = {}
        self._seen: dict[str, str] = {}  # metric → its axis
        self._in_parts: set[str] = set()  # names with a part that have been defined
        self._assumed: set[str] = set()  # metrics whose axis is known by their name alone
        self.waiting: list[Definition] = []

    def get(self, name: str) -> GuardedAxis:
        """The axis of a name. One that a run had before begins at its value in the summary."""
        axis = self._axes.get(name)
        if axis is None:
            axis = self._axes[name] = GuardedAxis(name)
            stood = self._summary.get(name)
            if isinstance(stood, (int, float)):
                axis.known, axis.kept, axis.logged, axis.high = stood, stood, name != DEFAULT_AXIS, stood
                axis.begun = dict.fromkeys(self._summary, stood)
                while axis.key(axis.part + 1) in self._summary:
                    axis.part = axis.had = axis.part + 1
        return axis

    def take(self) -> tuple[Definition, ...]:
        """The definitions that have not been made."""
        definitions = tuple(self.waiting)
        self.waiting.clear()
        return definitions

    def names(self) -> Collection[str]:
        """Every name that is an axis."""
        return self._definitions.step_metrics() | self._axes.keys()

    def script_defined(self, name: str, step_metric: Any = None, step_sync: bool | None = None, **options: Any) -> None:
        """Take note of a definition that the script made, and settle what it makes ambiguous."""
        step_metric = getattr(step_metric, "name", step_metric)
        replaces = bool(options.get("overwrite"))
        self._definitions.define(name, step_metric, hidden=bool(options.get("hidden")), overwrite=replaces)
        kept = {key: value for key, value in options.items() if value is not None and key in ("hidden", "summary")}
        self._options[name] = kept if replaces else self._options.get(name, {}) | kept
        if step_metric:
            self.get(step_metric).synced = step_sync is not False
        for metric, before in self._seen.items():
            candidates = self._definitions.axis(metric).candidates
            if candidates:
                self._settle(metric, before if before in candidates else candidates[0])

    def of(self, metric: str, row: Collection[str]) -> GuardedAxis:
        """The axis of a metric, in a row of these names. Defines the metric where that is not clear by itself."""
        axis = self._definitions.axis(metric)
        name = axis.metric
        if axis.candidates:
            self._settle(metric, name)
        elif not axis.defined and metric not in self._options and not self._from_init:
            name = self._by_convention(metric, row)
        self._seen[metric] = name
        return self.get(name)

    def define(self, metric: str, axis: str) -> None:
        """Define a metric by its exact name, with all that the script's definition has besides the axis."""
        self._definitions.define(metric, axis)
        sync = False if axis == DEFAULT_AXIS else None  # W&B's own axis is in every row
        self._define(metric, step_metric=axis, step_sync=sync, overwrite=True, **self._options_of(metric))
        self._seen[metric] = axis

    def confirm(self, metrics: Collection[str]) -> None:
        """Define metrics whose axis was known by their name alone, since W&B may not know of it."""
        for metric in self._assumed.intersection(metrics):
            self._assumed.discard(metric)
            self.define(metric, self._seen[metric])

    def give_own(self, metric: str, *, begun: bool) -> GuardedAxis:
        """An axis of its own for a metric that has none: its folder's ``step``, or ``<metric>/step``.

        A line on W&B's own axis that has ``begun`` ends here: on the new axis the metric is in its second part.
        """
        name = f"{metric.rpartition('/')[0] or metric}/step"
        if name in self._seen or (name in self._axes and not self._serves(name, begun=begun)):
            name = f"{metric}/step"
        if name not in self._axes:
            if begun:
                self._axes[name] = GuardedAxis(name, part=2, first_part=2)
            else:
                self._define(name, hidden=True)
        axis = self.get(name)
        axis.given = True
        if axis.first_part == 1:
            self.define(metric, name)
        else:
            self._definitions.define(metric, name)  # W&B gets a definition of the name in the part, when that is logged
            self._seen[metric] = name
        return axis

    def take_logged(self, metric: str, name: str) -> GuardedAxis:
        """The step that the script logs beside a metric, as its axis."""
        self._notices.add(
            "own-step", lambda: f"{metric} has no axis: it is now drawn against {name}, which is in its rows"
        )
        self.define(metric, name)
        self._seen.pop(name, None)
        return self.get(name)

    def define_part(self, axis: GuardedAxis, part: int, metrics: Collection[str]) -> None:
        """Define the names that an axis and metrics drawn against it have in a part."""
        key = axis.key(part)
        if key not in self._in_parts:
            self._in_parts.add(key)
            self._define(key, hidden=True)
        for metric in metrics:
            name = prefixed(metric, part)
            if name not in self._in_parts:
                self._in_parts.add(name)
                self._define(name, step_metric=key, **self._options_of(metric))

    def _serves(self, name: str, *, begun: bool) -> bool:
        """True where an axis can be that of another metric, which has begun a line on W&B's own axis or not."""
        axis = self._axes[name]
        return not axis.logged and (axis.first_part == 2 or not begun)

    def _define(self, name: str, **options: Any) -> None:
        self.waiting.append(Definition(name, options))

    def _settle(self, metric: str, axis: str) -> None:
        self._notices.add(
            "overlap", lambda: f"{metric} matches several globs: it is now defined by name, and drawn against {axis}"
        )
        self.define(metric, axis)

    def _by_convention(self, metric: str, row: Collection[str]) -> str:
        staged = _STAGED.match(metric)
        if staged is not None:
            name = f"{staged[0]}step"
            if name not in self._axes:
                self._define(name, hidden=True)
            self._assumed.add(metric)
            return name
        return next((name for name in LIBRARY_AXES if name in row), DEFAULT_AXIS)

    def _options_of(self, metric: str) -> dict[str, Any]:
        if metric in self._options:
            return self._options[metric]
        globs = [name for name in self._options if matches(name, metric)]
        return self._options[max(globs, key=len)] if globs else {}
