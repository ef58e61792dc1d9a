"""A stage: what a training loop holds and logs its rows through.

``log`` is the one call on the training thread's path. A row of plain finite floats is put together from a
template made once for each set of metric names, and appended to the journal with one ``write``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ups.charts import check_metric_name
from ups.errors import InvalidName, InvalidStep, InvalidValue, UPSError
from ups.tracking.journal import encode_record
from ups.tracking.values import number, shown, whole_number

if TYPE_CHECKING:
    from ups.tracking.context import WandBContext

__all__ = ["DisabledStage", "Stage"]


class Stage:
    """A named part of the run with its own steps and charts. Made by :meth:`~ups.tracking.WandBContext.stage`.

    Attributes:
        name: The stage's name.
    """

    def __init__(self, name: str, context: WandBContext) -> None:
        self.name = name
        self._context = context
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._last_step: int | None = None

    def __repr__(self) -> str:
        return f"Stage({self.name!r})"

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """Log one row: the stage's metrics at one of its steps.

        The row is in the journal's file when this returns, and in W&B soon after, each metric drawn against the
        stage's own steps.

        Args:
            step: The stage's step, a whole number that grows from row to row.
            values: Metric names to values; for names that are no Python identifiers, as ``"loss/pde"``.
            metrics: The same as keyword arguments.

        A value is a Python, NumPy, torch or JAX number, or an array of one element. NaN and infinities are kept.

        Nothing here stops the training unless the run is ``strict``: a value that is no number, a name that W&B
        cannot draw or a step that goes back is said once on stderr, counted, and kept in the journal.

        Raises:
            InvalidName, InvalidStep, InvalidValue: Only if ``strict``; what was right of the row is kept.
            OSError: Only if ``strict``: the journal's disk takes no more; the row waits in memory.
        """
        if values is not None:
            metrics = {**values, **metrics}
        names = tuple(metrics)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = _Shape(self.name, names)
        if type(step) is int and not shape.faulty:
            numbers = tuple(metrics.values())
            for value in numbers:
                if type(value) is not float or value - value != 0.0:
                    texts = [_text(value) for value in numbers]
                    break
            else:
                texts = None
            if texts is None:
                line = shape.floats % (time.time(), step, *numbers)
            elif None not in texts:
                line = shape.texts % (time.time(), step, *texts)
            else:
                self._log_faulty(step, metrics)
                return
            self._context.journal.append(line.encode("utf-8", "surrogatepass"))
            if self._last_step is None or step > self._last_step:
                self._last_step = shape.last_step = step
            else:
                self._look_back(shape, step)
            return
        self._log_faulty(step, metrics)

    def _look_back(self, shape: _Shape, step: int) -> None:
        """The stage has been at ``step`` or beyond; fine for a metric that has not."""
        last: int | None = None
        for other in self._shapes.values():
            if other.last_step is not None and not other.metrics.isdisjoint(shape.metrics):
                last = other.last_step if last is None else max(last, other.last_step)
        if last is None or step > last:
            shape.last_step = step
            return
        self._context.fault(
            f"step:{self.name}",
            InvalidStep(
                f"stage {self.name!r}: step {step} after step {last}, and a chart cannot go back. The row is in the"
                " journal and is not drawn. Count the stage's steps upwards; for another pass, use a stage of its own"
            ),
        )

    def _log_faulty(self, step: Any, metrics: dict[str, Any]) -> None:
        """The row that is not plain: keep what is right of it, and tell what is not."""
        context = self._context
        if not metrics:
            context.fault(
                f"nothing:{self.name}",
                InvalidValue(f"stage {self.name!r}: log({shown(step)}) has no metric: pass them, as in loss=0.5"),
            )
            return
        good: dict[str, int | float] = {}
        rejected: dict[str, str] = {}
        errors: list[tuple[str, UPSError]] = []
        for name, value in metrics.items():
            try:
                check_metric_name(name)
                good[name] = number(value)
            except (InvalidName, InvalidValue) as error:
                rejected[str(name)] = shown(value, 200)
                kind = "name" if isinstance(error, InvalidName) else "value"
                message = f"stage {self.name!r}, metric {shown(name)}: {error}. It is in the journal and is not drawn"
                errors.append((f"{kind}:{self.name}/{name}", type(error)(message)))
        try:
            whole = whole_number(step)
        except InvalidStep as error:
            rejected |= {name: repr(value) for name, value in good.items()}
            good = {}
            message = f"stage {self.name!r}: {error}. The row is in the journal and is not drawn"
            errors.append((f"step:{self.name}", InvalidStep(message)))
        else:
            if good:
                self.log(whole, good)
        if rejected:
            record = {"time": time.time(), "stage": self.name, "step": shown(step), "rejected": rejected}
            context.journal.append(encode_record(record))
        for kind, problem in errors:
            context.fault(kind, problem)


class DisabledStage(Stage):
    """The stage of a run that is not tracked: ``log`` does nothing."""

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """Do nothing."""


class _Shape:
    """A set of metric names that are logged together: the line's templates, and the newest step."""

    __slots__ = ("faulty", "floats", "last_step", "metrics", "texts")

    def __init__(self, stage: str, names: tuple[str, ...]) -> None:
        self.metrics = frozenset(names)
        self.last_step: int | None = None
        self.faulty = not names
        for name in names:
            try:
                check_metric_name(name)
            except InvalidName:
                self.faulty = True
        keys = [json.dumps(str(name), ensure_ascii=False).replace("%", "%%") for name in names]
        start = f'{{"time":%r,"stage":"{stage}","step":%d,"values":'
        self.floats = start + "{" + ",".join(f"{key}:%r" for key in keys) + "}}\n"
        self.texts = start + "{" + ",".join(f"{key}:%s" for key in keys) + "}}\n"


def _text(value: Any) -> str | None:
    """A number as JSON as Python writes it; None for what is not one number."""
    try:
        plain = number(value)
    except InvalidValue:
        return None
    if type(plain) is int or plain - plain == 0.0:
        return repr(plain)
    return "NaN" if plain != plain else "Infinity" if plain > 0 else "-Infinity"
