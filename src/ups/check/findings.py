"""The results of a check: verdicts, findings, and the whole for a run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODES", "ChartCheck", "Finding", "RunCheck", "Severity", "Verdict", "worst"]


class Severity(StrEnum):
    """The weight of a finding: ``error`` means that a person misses something or sees something wrong."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return list(Severity).index(self)


class Verdict(StrEnum):
    """The look of a chart in W&B. If several fit, the first in this order is the verdict."""

    NEVER_LOGGED = "never-logged"
    EMPTY = "empty"
    NOT_NUMERIC = "not-numeric"
    FROZEN = "frozen"
    AMBIGUOUS_AXIS = "ambiguous-axis"
    ORPHAN = "orphan"
    LAGGING = "lagging"
    BACKWARDS = "backwards"
    STALE = "stale"
    NOT_FINITE = "not-finite"
    SINGLE_POINT = "single-point"
    FULL = "full"

    @property
    def rank(self) -> int:
        """The place in the order; 0 is the worst for the eye."""
        return list(Verdict).index(self)


CODES = (
    *(str(verdict) for verdict in Verdict if verdict is not Verdict.FULL),
    "lost-rows",
    "damaged-file",
    "unfinished",
    "frozen-table",
    "missing-media",
    "lost-media",
    "stacked-media",
)
"""Every code that a finding can have."""

_MILDER = {
    Verdict.NOT_FINITE: Severity.WARNING,
    Verdict.SINGLE_POINT: Severity.INFO,
    Verdict.FULL: Severity.INFO,
    "unfinished": Severity.INFO,
    "missing-media": Severity.WARNING,
    "lost-media": Severity.WARNING,
    "stacked-media": Severity.WARNING,
}


def severity_of(code: str, *, finished: bool = True) -> Severity:
    """The severity of a verdict or run finding. Before the run ends, rows that were never logged may still come."""
    if code == Verdict.NEVER_LOGGED and not finished:
        return Severity.INFO
    return _MILDER.get(code, Severity.ERROR)


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a chart or a run.

    Attributes:
        code: One of :data:`CODES`: a verdict, or a fault of the run or its media.
        severity: The weight of the finding.
        metric: The chart, or the name of the media; None for the run as a whole.
        message: The fault, with the numbers.
        cause: The reason for it.
        fix: The change to make, as code where code fixes it.
        repairable: True if a copy of the run can be written without the fault.
        count: The count of rows, points, bytes or files with the fault.
        stage: The stage of the chart, if any.
    """

    code: str
    severity: Severity
    metric: str | None
    message: str
    cause: str
    fix: str
    repairable: bool
    count: int
    stage: str | None = None

    @classmethod
    def of(
        cls,
        code: str,
        metric: str | None,
        count: int,
        message: str,
        cause: str,
        fix: str,
        *,
        repairable: bool = False,
        stage: str | None = None,
        finished: bool = True,
    ) -> Self:
        """Make a finding with the severity of its code."""
        return cls(code, severity_of(code, finished=finished), metric, message, cause, fix, repairable, count, stage)


@dataclass(frozen=True)
class ChartCheck:
    """One chart.

    Attributes:
        metric: The metric that is drawn; a glob, or ``training/<stage>/*``, if nothing was logged.
        stage: The stage of the metric; None without one.
        axis: The metric that it is drawn against.
        rows: The count of rows that hold the metric.
        points: The count of rows that make a point.
        verdict: What a person will see.
        line: The values of the points in the order of logging; float64, shape (points,).
    """

    metric: str
    stage: str | None
    axis: str
    rows: int
    points: int
    verdict: Verdict
    line: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)


@dataclass(frozen=True)
class RunCheck:
    """A run, checked.

    Attributes:
        run_id, name, path: The run.
        rows: The count of its rows.
        finished: True if the run ended by itself.
        stages: The declared stages, then those that the axes show.
        charts: The charts, in the order in which the metrics first appeared.
        findings: The faults, those of charts first.
    """

    run_id: str
    name: str
    path: Path
    rows: int
    finished: bool
    stages: tuple[str, ...]
    charts: tuple[ChartCheck, ...]
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Severity | None:
        """The highest severity of a finding; None without findings."""
        return worst(self.findings)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The highest severity among findings; None without findings."""
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=None)
