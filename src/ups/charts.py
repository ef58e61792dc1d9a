"""The one rule for charts: which x-axis a metric is drawn against, and which rows make points.

The tracker asks this module before it writes and the check asks it when it reads, so that writer and checker
cannot disagree.
"""

import re

from ups.errors import InvalidName

__all__ = ["check_metric_name", "check_stage_name", "metric_key", "stage_of_axis", "step_metric"]

_ROOT = "training/"
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def check_stage_name(name: str) -> None:
    """Raise :class:`~ups.errors.InvalidName` unless ``name`` is letters, digits, ``_`` and ``-``."""
    if not isinstance(name, str) or not _STAGE_NAME.match(name):
        raise InvalidName(
            f"{name!r} is not a stage name: use letters, digits, '_' and '-', as in 'diffusion_residual'"
        )


def check_metric_name(name: str) -> None:
    """Raise :class:`~ups.errors.InvalidName` if W&B could not draw a metric of this name.

    W&B keeps a leading ``_`` for itself, reads a ``*`` as a pattern, and ``step`` is the stage's own axis.
    A ``/`` inside is fine.
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
        raise InvalidName(f"{name!r} holds '*', a control character or outer spaces, which W&B does not match by name")


def step_metric(stage: str) -> str:
    """The x-axis of a stage's charts: ``training/<stage>/step``."""
    return f"{_ROOT}{stage}/step"


def metric_key(stage: str, metric: str) -> str:
    """The name in W&B of a stage's metric: ``training/<stage>/<metric>``."""
    return f"{_ROOT}{stage}/{metric}"


def stage_of_axis(axis: str) -> str | None:
    """The stage of a chart drawn against ``axis``: without its last segment and a leading ``training/``.

    None where the axis has no such part, as with ``_step`` and ``global_step``.
    """
    stage = axis.rpartition("/")[0]
    return stage.removeprefix(_ROOT).removeprefix("training") or None
