"""A checked run as a tree in the terminal: stages, charts, points and verdicts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from ups.check import ChartCheck, Finding, RunCheck, Severity, Verdict, worst
from ups.terminal import Line, cells, fitted, styled, wrapped
from ups.text import counted, printable

__all__ = ["render_tree", "sparkline"]

_BLOCKS, _LETTERS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_GUIDES = 8  # columns of the tree's guides before a chart
_GUIDE_MARKS = {True: ("├── ", "└── ", "│   ", "    "), False: ("+-- ", "`-- ", "|   ", "    ")}  # Unicode or not
_GAP = "  "
_LONGEST_SPARK, _SHORTEST_SPARK = 24, 4
_LONGEST_NAME = 32
_FLAT = 1e-9  # of the largest value: means of equal values may differ in their last bit


@dataclass
class _Node:
    """A line of the tree, and what is below it. ``wraps`` where it may be broken into several lines."""

    line: Line
    wraps: bool = True
    below: list["_Node"] = field(default_factory=list)

    def add(self, *line: tuple[str, str], wraps: bool = True) -> "_Node":
        node = _Node(line, wraps)
        self.below.append(node)
        return node

    def drawn(self, width: int, *, unicode: bool, first: str = "", rest: str = "") -> Iterator[str]:
        """The lines; ``first`` are the guides before the first of them, ``rest`` those before all others."""
        whole = "".join(starmap(styled, self.line))
        for index, line in enumerate(wrapped(self.line, width - len(first)) if self.wraps else (whole,)):
            yield styled(rest if index else first, "dim") + line
        branch, last, onwards, blank = _GUIDE_MARKS[unicode]
        for node in self.below:
            ends = node is self.below[-1]
            yield from node.drawn(
                width,
                unicode=unicode,
                first=rest + (last if ends else branch),
                rest=rest + (blank if ends else onwards),
            )


def render_tree(
    check: RunCheck, *, faults: Iterable[tuple[str, int]] = (), width: int = 80, unicode: bool = True
) -> str:
    """Draw a checked run as a tree, with ANSI colours, which ``click.echo`` removes where there is no terminal.

    Args:
        check: The checked run.
        faults: Messages of faults that the run survived, each with its count.
        width: The columns to fit it into.
        unicode: False to draw it with ASCII only.
    """
    tree = _Node(_title(check))
    by_stage: dict[str | None, list[ChartCheck]] = {stage: [] for stage in check.stages}
    for chart in check.charts:
        by_stage.setdefault(chart.stage, []).append(chart)
    found: dict[str | None, list[Finding]] = {}
    drawn = {chart.metric for chart in check.charts}
    for finding in check.findings:  # media have no chart: their findings are listed with those about the run
        found.setdefault(finding.metric if finding.metric in drawn else None, []).append(finding)
    widths = _widths(by_stage, width)
    about_run = sorted(found.get(None, ()), key=lambda finding: -finding.severity.rank)
    for finding in about_run:
        if finding.severity is not Severity.INFO:
            _explain(tree.add(*_finding_line(finding)), finding)
    for stage, charts in sorted(by_stage.items(), key=lambda group: -_worst_rank(group[1], found)):
        branch = tree.add(("other charts" if stage is None else printable(stage), "bold"))
        explained: set[tuple[str, str]] = set()
        for chart in sorted(charts, key=lambda chart: (chart.verdict.rank, chart.metric)):
            findings = found.get(chart.metric, [])
            first = findings[0] if findings else None
            node = branch.add(*_chart_line(stage, chart, first, widths, unicode=unicode), wraps=False)
            if first is not None and (first.code, first.cause) not in explained:
                explained.add((first.code, first.cause))  # once per stage, not once per chart
                _explain(node, first)
            for other in findings[1:]:
                node.add(*_finding_line(other))
    for finding in about_run:
        if finding.severity is Severity.INFO:
            _explain(tree.add(*_finding_line(finding)), finding)
    for index, (message, count) in enumerate(faults):
        if not index:
            branch = tree.add(("faults on the way", "yellow"))
        branch.add((f"{count:,} x {printable(message)}", ""))
    return "\n".join(tree.drawn(width, unicode=unicode))


def sparkline(values: NDArray[np.float64], width: int, *, ascii_only: bool = False) -> str:
    """Draw ``values``, shape (points,), as at most ``width`` marks, each the mean of its share."""
    if not len(values) or width < 1:
        return ""
    marks = _LETTERS if ascii_only else _BLOCKS
    values = values.astype(np.float64, copy=False)  # int64 cannot hold the absolute value of its lowest number
    largest = float(np.abs(values).max()) or 1.0
    values = values / largest  # so that sums and differences cannot overflow
    means = np.array([part.mean() for part in np.array_split(values, min(width, len(values)))])
    low, high = float(means.min()), float(means.max())
    share = (means - low) / (high - low) if high - low > _FLAT else np.zeros(len(means))
    return "".join(marks[int(level)] for level in np.rint(share * (len(marks) - 1)))


def _worst_rank(charts: Iterable[ChartCheck], found: dict[str | None, list[Finding]]) -> int:
    """The rank of the highest severity among the findings of some charts; -1 without findings."""
    severity = worst(finding for chart in charts for finding in found.get(chart.metric, ()))
    return -1 if severity is None else severity.rank


def _title(check: RunCheck) -> Line:
    full = sum(chart.verdict is Verdict.FULL for chart in check.charts)
    return (
        (printable(check.name or check.run_id or check.path.name), "bold"),
        (f" ({printable(check.run_id)})" if check.name and check.run_id else "", "dim"),
        (f"{_GAP}{full} of {len(check.charts)} charts full, {check.rows:,} rows", ""),
    )


def _widths(by_stage: dict[str | None, list[ChartCheck]], width: int) -> tuple[int, int, int]:
    """The widths of the names, the points and the sparklines, the same in every stage."""
    charts = [(stage, chart) for stage, group in by_stage.items() for chart in group]
    name = max((cells(_short(stage, chart)) for stage, chart in charts), default=0)
    points = max((len(counted(chart.points, "point")) for _, chart in charts), default=0)
    verdict = max((len(chart.verdict) for _, chart in charts), default=0)
    rest = width - _GUIDES - points - verdict - 3 * len(_GAP)
    name = max(1, min(name, _LONGEST_NAME, rest))
    spark = min(rest - name, _LONGEST_SPARK)
    return name, points, spark if spark >= _SHORTEST_SPARK else 0


def _chart_line(
    stage: str | None,
    chart: ChartCheck,
    finding: Finding | None,
    widths: tuple[int, int, int],
    *,
    unicode: bool,
) -> Line:
    name, points, spark = widths
    curve = sparkline(chart.line, spark, ascii_only=not unicode).ljust(spark)
    return (
        (fitted(_short(stage, chart), name, end="…" if unicode else ""), ""),
        (_GAP + counted(chart.points, "point").rjust(points), ""),
        (_GAP + curve if spark else "", "dim"),
        (_GAP, ""),
        (str(chart.verdict), "green" if finding is None else _STYLES[finding.severity]),
    )


def _finding_line(finding: Finding) -> Line:
    return ((finding.code, _STYLES[finding.severity]), (f"{_GAP}{printable(finding.message)}", ""))


def _explain(node: _Node, finding: Finding) -> None:
    """Add the cause and the fix below a chart or finding."""
    node.add((f"why: {printable(finding.cause)}", "dim"))
    node.add((f"fix: {printable(finding.fix)}", ""))


def _short(stage: str | None, chart: ChartCheck) -> str:
    """The metric's name without its stage, which the tree shows above it."""
    if stage is None:
        return printable(chart.metric)
    return printable(chart.metric.removeprefix("training/").removeprefix(f"{stage}/"))
