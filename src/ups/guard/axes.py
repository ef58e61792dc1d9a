"""Which axis each metric of a guarded run is drawn against, and the definitions that make it so."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ups.charts import DEFAULT_AXIS, Definitions, matches, own_steps, stage_prefix
from ups.guard.axis import GuardedAxis
from ups.guard.said import Said

__all__ = ["Axes"]

# Lightning's WandbLogger and the Hugging Face WandbCallback define '*' with these, when they open the run.
_LIBRARY_AXES = ("trainer/global_step", "train/global_step")
_STAGED = re.compile(stage_prefix("") + r"[^/]+/(?=.)")

Define = Callable[..., object]


class Axes:
    """The axes of a run, and its definitions: the script's, and those that the guard makes.

    Args:
        define: the run's own ``define_metric``.
        said: where changes are noted.
        summary: the run's summary where the guard came when rows had been logged; a resumed run has one too.
        from_init: whether no definition can have been made before the guard came. If not, names tell: a metric
            ``training/<stage>/…`` is drawn against ``training/<stage>/step``, and a row with the axis of Lightning
            or of a Hugging Face trainer against that.
    """

    def __init__(self, define: Define, said: Said, summary: Mapping[str, Any], *, from_init: bool) -> None:
        self._define = define
        self._said = said
        self._from_init = from_init
        self._summary = summary
        self._definitions = Definitions()
        self._options: dict[str, dict[str, Any]] = {}  # what else the script defined, by name or glob
        self._axes: dict[str, GuardedAxis] = {}
        self._seen: dict[str, str] = {}  # metric → its axis
        self._in_parts: set[str] = set()  # names with a part that have been defined

    def get(self, name: str) -> GuardedAxis:
        """The axis of a name. One that a run had before begins where the summary says that it stood."""
        axis = self._axes.get(name)
        if axis is None:
            axis = self._axes[name] = GuardedAxis(name)
            stood = self._summary.get(name)
            if isinstance(stood, (int, float)):
                axis.known, axis.logged, axis.high = stood, name != DEFAULT_AXIS, stood
                axis.last = dict.fromkeys(self._summary, stood)
        return axis

    def names(self) -> Collection[str]:
        """Every name that is an axis."""
        return self._definitions.step_metrics() | self._axes.keys()

    def script_defined(self, name: str, step_metric: Any = None, step_sync: bool | None = None, **options: Any) -> None:
        """Take note of a definition that the script made, and settle what it makes ambiguous."""
        step_metric = getattr(step_metric, "name", step_metric)
        anew = bool(options.get("overwrite"))
        self._definitions.define(name, step_metric, hidden=bool(options.get("hidden")), overwrite=anew)
        kept = {key: value for key, value in options.items() if value is not None and key in ("hidden", "summary")}
        self._options[name] = kept if anew else self._options.get(name, {}) | kept
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
        elif not axis.defined and metric not in self._options:
            own = next((step for step in own_steps(metric, self._definitions.step_metrics()) if step in row), None)
            if own is not None:
                name = own
                if self._from_init or self._options:  # else there may be a definition that the guard has not seen
                    self._said.add("own-step", f"{metric} had no axis: it is now drawn against {own}, in its rows")
                    self.define(metric, own)
            elif not self._from_init:
                name = self._by_convention(metric, row)
        self._seen[metric] = name
        return self.get(name)

    def define(self, metric: str, axis: str) -> None:
        """Define a metric by its exact name, with what the script's definition for it says besides the axis."""
        self._definitions.define(metric, axis)
        sync = False if axis == DEFAULT_AXIS else None  # W&B's own axis is in every row
        self._define(metric, step_metric=axis, step_sync=sync, overwrite=True, **self._options_of(metric))
        self._seen[metric] = axis

    def give_own(self, metric: str, *, begun: bool) -> GuardedAxis:
        """An axis of its own for a metric that has none: its folder's ``step``, or ``<metric>/step``.

        Args:
            metric: the metric.
            begun: whether it has a line on W&B's own axis, which ends here: on the new one it is in its second part.
        """
        name = f"{metric.rpartition('/')[0] or metric}/step"
        if name in self._seen or (begun and name in self._axes and self._axes[name].part == 1):
            name = f"{metric}/step"
        if name not in self._axes:
            if begun:
                self._axes[name] = GuardedAxis(name, part=2)
            else:
                self._define(name, hidden=True)
        axis = self.get(name)
        if axis.part == 1:
            self.define(metric, name)
        else:
            self._definitions.define(metric, name)  # W&B is told of the name in the part, when that is logged
            self._seen[metric] = name
        return axis

    def define_part(self, axis: GuardedAxis, metrics: Collection[str]) -> None:
        """Define the names that an axis and metrics drawn against it have in the axis's part."""
        if axis.key not in self._in_parts:
            self._in_parts.add(axis.key)
            self._define(axis.key, hidden=True)
        for metric in metrics:
            name = axis.prefixed(metric)
            if name not in self._in_parts:
                self._in_parts.add(name)
                self._define(name, step_metric=axis.key, **self._options_of(metric))

    def _settle(self, metric: str, axis: str) -> None:
        self._said.add("overlap", f"{metric} fits several globs: it is now defined by name, drawn against {axis}")
        self.define(metric, axis)

    def _by_convention(self, metric: str, row: Collection[str]) -> str:
        staged = _STAGED.match(metric)
        if staged is not None:
            name = f"{staged[0]}step"
            if name not in self._axes:
                self._define(name, hidden=True)
            self.define(metric, name)
            return name
        return next((name for name in _LIBRARY_AXES if name in row), DEFAULT_AXIS)

    def _options_of(self, metric: str) -> dict[str, Any]:
        if metric in self._options:
            return self._options[metric]
        globs = [name for name in self._options if matches(name, metric)]
        return self._options[max(globs, key=len)] if globs else {}
