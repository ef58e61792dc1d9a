"""A run → its charts in both views, with verdicts and findings, as the page has them."""

import re
from dataclasses import dataclass
from typing import Any

from ups.check import Finding, RunCheck, Severity, check_run
from ups.dashboard.repaired_view import meant_run
from ups.repair import plan_repair
from ups.report import chart_data
from ups.runfile import Run
from ups.text import command_line, short_path

__all__ = ["Judged", "judge"]


@dataclass(frozen=True)
class Judged:
    """A run with its verdicts; charts by view, and findings, as JSON has them.

    ``meant`` is the run as it was meant; the run itself where they do not differ.
    """

    run: Run
    check: RunCheck
    meant: Run
    charts: dict[str, list[dict[str, Any]]]
    findings: list[dict[str, Any]]

    @property
    def differs(self) -> bool:
        """True where the run as it was meant differs from the run."""
        return self.meant is not self.run


def judge(run: Run, *, journaled: bool) -> Judged:
    """Judge a run, which must not change until then. The rows of a journal are as they were meant."""
    check = check_run(run)
    meant, meant_check = run, check
    if not journaled and any(finding.severity is Severity.ERROR for finding in check.findings):
        plan = plan_repair(run, check=check)
        if plan.charts:
            meant = meant_run(plan)
            meant_check = check_run(meant)
    charts = {"wandb": _charts(check), "meant": _charts(meant_check)}
    command = command_line("ups", "repair", short_path(run.path), "-o", "repaired")
    return Judged(run, check, meant, charts, [_finding(finding, command) for finding in check.findings])


def _charts(check: RunCheck) -> list[dict[str, Any]]:
    """The charts, by stage and name: a file has the names of a row in any order."""
    codes: dict[str, list[str]] = {}
    not_finite: dict[str, int] = {}
    for finding in check.findings:
        if finding.metric is not None:
            codes.setdefault(finding.metric, []).append(finding.code)
            if finding.code == "not-finite":
                not_finite[finding.metric] = finding.count
    places: dict[str | None, int] = {stage: place for place, stage in enumerate([*check.stages, None])}
    return [
        {
            **chart_data(chart),
            "codes": codes.get(chart.metric, []),
            "not_finite": not_finite.get(chart.metric, 0),
        }
        for chart in sorted(check.charts, key=lambda chart: (places[chart.stage], _by_number(chart.metric)))
    ]


def _by_number(name: str) -> list[tuple[int, str]]:
    """A sort key that puts ``layer2`` before ``layer10``."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _finding(finding: Finding, command: str) -> dict[str, Any]:
    return {
        **vars(finding),
        "code": str(finding.code),
        "severity": str(finding.severity),
        "command": command if finding.repairable else None,
    }
