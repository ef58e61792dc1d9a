"""The one rule for charts: the x-axis of a metric, and the rows that make points.

The tracker asks this module before it writes, and the check asks it when it reads, so they cannot disagree.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ups.errors import InvalidName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_AXIS",
    "Axis",
    "Definitions",
    "advances",
    "check_metric_name",
    "check_stage_name",
    "fitting",
    "matches",
    "metric_key",
    "own_steps",
    "points",
    "stage_of_axis",
    "stage_prefix",
    "step_metric",
    "unescaped",
]

DEFAULT_AXIS = "_step"
LARGEST_STEP = 2**53  # a chart holds x as floats, which are the same for two steps beyond it
_ROOT = "training/"
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def check_stage_name(name: str) -> None:
    """Raise :class:`~ups.errors.InvalidName` unless ``name`` is letters, digits, ``_`` and ``-``."""
    if not isinstance(name, str) or not _STAGE_NAME.match(name):
        raise InvalidName(f"{name!r} is not a stage name: use letters, digits, '_' and '-', as in 'diffusion_residual'")


def check_metric_name(name: str) -> None:
    """Raise :class:`~ups.errors.InvalidName` if W&B cannot draw a metric of this name.

    W&B keeps a leading ``_`` for itself and reads a ``*`` as a pattern. ``step`` is the stage's own axis. A ``/``
    inside the name is fine.
    """
    if not isinstance(name, str) or not name:
        raise InvalidName(f"{name!r} is not a metric name: use a string that is not empty, as in 'loss'")
    if name == "step":
        raise InvalidName("'step' is the stage's own x-axis: pass it as the first argument of log(), not as a metric")
    if name.startswith("_"):
        raise InvalidName(f"{name!r} starts with '_', which W&B hides: call it {name.lstrip('_') or 'value'!r}")
    if name.startswith("/") or name.endswith("/"):
        raise InvalidName(f"{name!r} starts or ends with '/': call it {name.strip('/') or 'value'!r}")
    if "*" in name or not name.isprintable() or name != name.strip():
        raise InvalidName(
            f"{name!r} holds '*', a control character or outer spaces, which W&B does not match: leave them out"
        )


def step_metric(stage: str) -> str:
    """The x-axis of a stage's charts: ``training/<stage>/step``."""
    return f"{_ROOT}{stage}/step"


def metric_key(stage: str, metric: str) -> str:
    """The name in W&B of a stage's metric: ``training/<stage>/<metric>``."""
    return f"{_ROOT}{stage}/{metric}"


def stage_prefix(stage: str) -> str:
    """The part before the last ``/`` of the names of a stage's metrics in W&B: ``training/<stage>``."""
    return f"{_ROOT}{stage}"


def stage_of_axis(axis: str) -> str | None:
    """The stage of a chart drawn against ``axis``: the axis without its last segment and a leading ``training/``.

    None where nothing remains, as for ``_step`` and ``global_step``.
    """
    stage = axis.rpartition("/")[0]
    return stage.removeprefix(_ROOT).removeprefix("training") or None


@dataclass(frozen=True)
class Axis:
    """The x-axis of a metric.

    Attributes:
        metric: The name of the axis; ``_step``, W&B's own row counter, without a definition.
        candidates: The possible axes where W&B's choice changes from run to run; otherwise empty.
        defined: True where a definition names this axis.
    """

    metric: str
    candidates: tuple[str, ...] = ()
    defined: bool = False


class Definitions:
    """The ``define_metric`` calls of a run, and the axis of any metric that follows from them.

    An exact name decides. Without one, W&B takes any glob that is a prefix of the name (only a trailing ``*`` is a
    wildcard), in an order that changes from run to run. If these globs name several axes, the axis is ambiguous.
    wandb 0.29 and older write their choice into the run's file, and it decides where it is known.
    """

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._globs: dict[str, str] = {}
        self._expanded: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._lengths: tuple[int, ...] | None = None  # of the globs' prefixes, the longest first; None: to work out
        self._folders: dict[str, list[str]] | None = None  # the step metrics in each

    def define(
        self,
        name: str,
        step_metric: str | None = None,
        *,
        hidden: bool = False,
        expanded: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Add one definition; ``name`` is exact or ends in ``*``. A second one for a name changes only what it names.

        A backslash before a dot is dropped, since wandb 0.18.2 and later read ``my\\.loss`` as the metric ``my.loss``.
        ``expanded`` marks an exact name that wandb itself derived from a glob. ``overwrite`` first removes an earlier
        definition of the name.
        """
        name, step_metric = unescaped(name), unescaped(step_metric or "")
        if overwrite:
            self.forget([name])
        table = self._globs if name.endswith("*") else self._expanded if expanded else self._exact
        table[name] = step_metric or table.get(name, "")
        self._lengths = self._folders = None
        if hidden:
            self._hidden.add(name)

    def forget(self, names: Iterable[str]) -> None:
        """Remove definitions, by name or glob."""
        for name in names:
            for table in (self._exact, self._globs, self._expanded):
                table.pop(name, None)
            self._hidden.discard(name)
        self._lengths = self._folders = None

    def names(self) -> list[str]:
        """The names that the user defined, then the globs, each in order of definition."""
        return [*self._exact, *self._globs]

    def is_named(self, metric: str) -> bool:
        """True where a definition has the metric's exact name."""
        return metric in self._exact

    def axis(self, metric: str) -> Axis:
        """The x-axis of a metric, with the other candidates if it is ambiguous."""
        if metric in self._exact:
            return _axis(self._exact[metric])
        globs = self._matching(metric)
        axes = tuple(dict.fromkeys(self._globs[glob] or DEFAULT_AXIS for glob in globs))
        candidates = axes if len(axes) > 1 else ()
        if metric in self._expanded:
            return _axis(self._expanded[metric], candidates)
        return _axis(self._globs[globs[0]] if globs else "", candidates)

    def is_hidden(self, metric: str) -> bool:
        """True where W&B hides the chart of a metric: by its name, or by every glob that may apply."""
        if metric in self._exact or metric in self._expanded:
            return metric in self._hidden
        globs = self._matching(metric)
        return bool(globs) and all(glob in self._hidden for glob in globs)

    def step_metrics(self) -> set[str]:
        """Every metric that is an axis; W&B draws no chart of it."""
        return {axis for table in (self._exact, self._globs, self._expanded) for axis in table.values() if axis}

    def step_metrics_around(self, metric: str) -> list[str]:
        """The step metrics in the metric's folder and in those above it."""
        if self._folders is None:
            self._folders = {}
            for axis in sorted(self.step_metrics()):
                self._folders.setdefault(axis.rpartition("/")[0], []).append(axis)
        return [axis for folder in _folders_of(metric) for axis in self._folders.get(folder, ())]

    def axes_of_globs(self, metric: str) -> list[str]:
        """The step metrics of the globs that match a metric, the longest glob first."""
        return [axis for glob in self._matching(metric) if (axis := self._globs[glob])]

    def _matching(self, metric: str) -> list[str]:
        """The globs that match a metric, the longest first."""
        if self._lengths is None:
            self._lengths = tuple(sorted({len(glob) - 1 for glob in self._globs}, reverse=True))
        globs = (f"{metric[:length]}*" for length in self._lengths if length <= len(metric))
        return [glob for glob in globs if glob in self._globs]


def _axis(defined: str, candidates: tuple[str, ...] = ()) -> Axis:
    return Axis(defined or DEFAULT_AXIS, candidates, bool(defined))


def unescaped(name: str) -> str:
    """The name in the rows for a name in ``define_metric``."""
    return name.replace("\\.", ".")


def matches(glob: str, metric: str) -> bool:
    """True where W&B applies a definition by ``glob`` to ``metric``: only a trailing ``*`` is a wildcard."""
    return glob.endswith("*") and metric.startswith(glob[:-1])


def own_steps(metric: str, step_metrics: Collection[str]) -> Iterator[str]:
    """The names that the step metric of a metric's own stage may have, in its folder first, then in those above.

    In each folder, the defined ``step_metrics`` come first, then ``<folder>/step``.
    """
    for folder in _folders_of(metric):
        named = sorted(axis for axis in step_metrics if axis.rpartition("/")[0] == folder)
        yield from (step for step in (*named, f"{folder}/step") if step != metric)


def _folders_of(metric: str) -> Iterator[str]:
    """The folder of a metric, and those above it."""
    while "/" in metric:
        metric = metric.rpartition("/")[0]
        yield metric


def fitting(definitions: Iterable[str], metrics: Iterable[str]) -> set[str]:
    """The names and globs that match at least one of the metrics."""
    exact = set(metrics)
    ordered = sorted(exact)
    found = set()
    for name in definitions:
        prefix = name[:-1]
        at = bisect_left(ordered, prefix) if name.endswith("*") else len(ordered)
        if name in exact or (at < len(ordered) and ordered[at].startswith(prefix)):
            found.add(name)
    return found


def points(x: "NDArray[np.float64]", y: "NDArray[np.float64]") -> "NDArray[np.bool_]":
    """Mark the rows that make a point: those where axis ``x`` and metric ``y``, shape (rows,), are finite numbers."""
    import numpy as np

    return np.isfinite(x) & np.isfinite(y)


def advances(last_x: float | None, x: float) -> bool:
    """True where a point at ``x`` continues the line that ends at ``last_x``; None stands for an empty line."""
    return last_x is None or x > last_x
