"""The charts that W&B would draw of the runs of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ups.errors import UsageError

if TYPE_CHECKING:
    from ups.check import ChartCheck, Finding, RunCheck

__all__ = ["WandbCharts"]

_WIDTH = 120  # columns of a report
_NO_RUN = "no run has begun in this test: neither wandb.init() nor ups.create_wandb_context() was called"


class WandbCharts(Mapping[str, "ChartCheck"]):
    """The charts of the runs that a test has made, by their metrics, as W&B would draw them now.

    ``charts["loss"].verdict`` is ``"full"`` where a person will see a line, and ``charts["loss"].points`` counts its
    points; see :class:`~ups.check.ChartCheck`. A run that is still open is judged as if it ended now.

    Args:
        check: Checks the runs; called each time that something is asked.
    """

    def __init__(self, check: Callable[[], list[RunCheck]]) -> None:
        self._check = check

    @property
    def runs(self) -> list[WandbCharts]:
        """The charts of each run, in the order in which the runs began."""
        return [WandbCharts(lambda check=check: [check]) for check in self._check()]  # type: ignore[misc]

    @property
    def checks(self) -> list[RunCheck]:
        """The check of each run, in the same order."""
        return self._check()

    @property
    def findings(self) -> list[Finding]:
        """All that is wrong with the runs and their charts."""
        return [finding for check in self._check() for finding in check.findings]

    def __getitem__(self, metric: str) -> ChartCheck:
        """The chart of a metric; of one that was never logged, the chart of the definition that was made for it.

        Raises:
            UsageError: There is no such chart, or several runs have one.
        """
        from ups.charts import matches
        from ups.check import Verdict

        charts = [chart for check in self._check() for chart in check.charts]
        found = [chart for chart in charts if chart.metric == metric]
        missing = [chart for chart in charts if chart.verdict is Verdict.NEVER_LOGGED and matches(chart.metric, metric)]
        found = found or missing
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} runs have a chart {metric!r}: ask one of them, as in charts.runs[0][{metric!r}]"
            )
        if not found:
            raise UsageError(f"there is no chart {metric!r}: {self._names()}")
        return found[0]

    def __contains__(self, metric: object) -> bool:
        return metric in list(self)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(chart.metric for check in self._check() for chart in check.charts))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __str__(self) -> str:
        """The runs as ``ups check`` prints them, without colours."""
        from click import unstyle

        from ups.report import render_tree

        return unstyle("\n\n".join(render_tree(check, width=_WIDTH) for check in self._check())) or _NO_RUN

    def assert_all_full(self) -> None:
        """Assert that every chart of every run is full, and that no call was lost.

        Raises:
            AssertionError: One is not, or nothing was logged; its text is what ``ups check`` prints of the runs.
        """
        __tracebackhide__ = True
        from ups.check import Severity, Verdict

        checks = self._check()
        if not checks or not all(check.charts for check in checks):
            raise AssertionError(f"nothing to draw: {self._names()}" if checks else _NO_RUN)
        full = all(chart.verdict is Verdict.FULL for check in checks for chart in check.charts)
        if not full or any(finding.severity is not Severity.INFO for finding in self.findings):
            raise AssertionError(f"not every chart is full\n\n{self}")

    def _names(self) -> str:
        names = list(self)
        if not names:
            return "no chart was logged" if self._check() else _NO_RUN
        return f"the charts are {', '.join(names)}"
