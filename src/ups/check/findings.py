"""What a check says: verdicts, findings, and the result for a run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODES", "ChartCheck", "Finding", "RunCheck", "Severity", "Verdict", "severity_of", "worst"]


class Severity(StrEnum):
    """How much a finding matters: ``error`` means that a person misses something or sees something wrong."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for error."""
        return list(Severity).index(self)


class Verdict(StrEnum):
    """What a person will see in a chart. Where several fit, the first in this order is the verdict."""

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
        """The place in the order: 0 is the worst for the eye."""
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
    """The severity of a verdict or run finding. What was never logged may still come while a run goes on."""
    if code == Verdict.NEVER_LOGGED and not finished:
        return Severity.INFO
    return _MILDER.get(code, Severity.ERROR)


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a chart or a run.

    Attributes:
        code: one of :data:`CODES`: a verdict, or what is wrong with the run or its media.
        severity: how much it matters.
        metric: the chart, or the name that media were logged under; None for the run as a whole.
        message: what is wrong, with the numbers.
        cause: why.
        fix: what to change, as code where code fixes it.
        repairable: whether a copy of the run can be written without it.
        count: how many rows, points, bytes or files it is about.
        stage: the stage it is about, if any.
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


@dataclass(frozen=True)
class ChartCheck:
    """One chart.

    Attributes:
        metric: the metric that is drawn; a glob, or ``training/<stage>/*``, where nothing was logged.
        stage: the stage it belongs to; None without one.
        axis: the metric that it is drawn against.
        rows: the rows that hold the metric.
        points: the rows that make a point.
        verdict: what a person will see.
        line: float64, shape (points,): the values of the points, in the order in which they were logged.
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
        run_id, name, path: which run.
        rows: the rows that were logged.
        finished: whether the run ended by itself.
        stages: the declared stages, then those that the axes show.
        charts: one a chart, in the order in which the metrics first appeared.
        findings: what is wrong, charts first.
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
        """The highest severity of a finding; None if there is none."""
        return worst(self.findings)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The highest severity among findings; None if there is none."""
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=None)
