"""Many checked runs in one line."""

from collections import Counter
from collections.abc import Iterable

from ups.check import RunCheck, Severity, Verdict
from ups.text import counted

__all__ = ["summary_line"]


def summary_line(checks: Iterable[RunCheck]) -> str:
    """Count runs, charts of each verdict, errors and warnings: ``1 run, 3 charts: 1 frozen, 2 full; 1 error``."""
    checks = list(checks)
    verdicts = Counter(chart.verdict for check in checks for chart in check.charts)
    severities = Counter(finding.severity for check in checks for finding in check.findings)
    charts = ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in Verdict if verdicts[verdict])
    found = ", ".join(
        counted(severities[severity], str(severity))
        for severity in (Severity.ERROR, Severity.WARNING)
        if severities[severity]
    )
    line = f"{counted(len(checks), 'run')}, {counted(verdicts.total(), 'chart')}"
    return line + (f": {charts}" if charts else "") + f"; {found or 'no errors'}"
