"""Find for every chart of a run whether a person will see a line, and if not, why."""

from ups.check.findings import CODES, ChartCheck, Finding, RunCheck, Severity, Verdict, worst
from ups.check.pages import explain
from ups.check.run_check import check_run

__all__ = ["CODES", "ChartCheck", "Finding", "RunCheck", "Severity", "Verdict", "check_run", "explain", "worst"]
