"""The facts about one chart that the rules judge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ups.charts import Axis
from ups.check.axis_charts import AxisCharts
from ups.check.sessions import SessionStart
from ups.course import Course
from ups.runfile import Series

__all__ = ["Chart"]


@dataclass(frozen=True)
class Chart:
    """The facts about one chart that the rules judge.

    Attributes:
        metric, stage, axis: As in :class:`~ups.check.findings.ChartCheck`, the axis with its candidates.
        x, y: The points in the order of logging; float64, shape (points,).
        of_axis: The axis's charts, this one among them.
        best_axis: Of the axes that W&B may choose from, the one that draws most of the metric; else None.
        own_step: The step metric of the metric's own stage, if it grows in the same rows; else None.
        counter: A step of the metric's folder that grows in the same rows, if the axis draws no line; else None.
        grown: Returns a step that grows through all rows of the metric, though the axis begins again; else None.
        meant: The glob that was probably meant to match an orphan; None without a likely one.
        sessions: The starts of the run's later sessions, for a chart against ``_step``.
        lost: The count of calls of ``log()`` that wandb dropped in this run.
        named: True if a definition has the metric's exact name.
        finished: True if the run ended by itself.
    """

    metric: str
    stage: str | None
    axis: Axis
    series: Series
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    of_axis: AxisCharts
    best_axis: str | None
    own_step: str | None
    counter: str | None
    grown: Callable[[], str | None]
    meant: str | None
    sessions: tuple[SessionStart, ...]
    run_id: str
    lost: int
    named: bool
    finished: bool

    @cached_property
    def course(self) -> Course:
        """The way in which x moves from point to point."""
        return self.of_axis.courses.of(self.x)
