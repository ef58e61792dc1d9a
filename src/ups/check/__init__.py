"""Given a run, say for every chart whether a person will see a line, and if not, why."""

from ups.check.findings import ChartCheck, Finding, RunCheck, Severity, Verdict
from ups.check.run import check_run

__all__ = ["ChartCheck", "Finding", "RunCheck", "Severity", "Verdict", "check_run"]
