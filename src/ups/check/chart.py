"""The facts about one chart that the rules judge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ups.charts import Axis
from ups.check.axis_charts import AxisRows
from ups.check.sessions import SessionStart
from ups.course import Course, Courses
from ups.runfile import Series

__all__ = ["Chart"]


@dataclass(frozen=True)
class Chart:
    """The facts about one chart that the rules judge.

    Attributes:
        metric, stage, axis: as in :class:`~ups.check.findings.ChartCheck`, the axis with its candidates.
        series: the metric against its axis.
        x, y: float64, shape (points,): the points, in the order in which they were logged.
        axis_rows: the rows that hold the axis; None where it was never logged.
        before_axis: how many rows hold the metric before the first that holds the axis.
        best_axis: of the axes that W&B may choose from, the one that draws most of the metric; else None.
        own_step: the step metric of the metric's own stage, where it grows in the same rows; else None.
        counter: where the axis draws no line, a step of the metric's folder that grows in the same rows; else None.
        grown: gives a step that counts up through all rows of the metric, though the axis begins again; else None.
        meant: the glob that was probably meant to match an orphan; None without a likely one.
        may_spread: whether points that share an x can be put between the x around them.
        courses: how x moves along the charts of the axis.
        sessions: how the sessions of the run follow each other, for a chart against ``_step``.
        run_id: the run.
        lost: how many calls of ``log()`` wandb dropped in this run.
        named: whether it was defined by its exact name.
        finished: whether the run ended by itself.
    """

    metric: str
    stage: str | None
    axis: Axis
    series: Series
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    axis_rows: AxisRows | None
    before_axis: int
    best_axis: str | None
    own_step: str | None
    counter: str | None
    grown: Callable[[], str | None]
    meant: str | None
    may_spread: Callable[[], bool]
    courses: Courses
    sessions: tuple[SessionStart, ...]
    run_id: str
    lost: int
    named: bool
    finished: bool

    @cached_property
    def course(self) -> Course:
        """How x moves from point to point."""
        return self.courses.of(self.x)
