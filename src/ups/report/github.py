"""Checked runs as annotations of a GitHub Actions job, and as its summary."""

from collections.abc import Iterable
from pathlib import Path

from ups.check import Finding, RunCheck, Severity
from ups.report.markdown import as_markdown
from ups.report.summary import summary_line
from ups.text import printable

__all__ = ["annotation", "as_annotations", "write_summary"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_LARGEST_SUMMARY = 1_000_000  # bytes; GitHub refuses a summary above 1 MiB


def as_annotations(checks: Iterable[RunCheck]) -> list[str]:
    """A workflow command per finding, the worst first, since GitHub shows only ten of each severity per step."""
    found = [(check, finding) for check in checks for finding in check.findings]
    found.sort(key=lambda each: -each[1].severity.rank)
    return [_of_finding(check, finding) for check, finding in found]


def annotation(severity: Severity, title: str, *lines: str) -> str:
    """A workflow command that annotates the job; no title and no line can end it, or begin another."""
    title = _escaped(_one_line(title)).replace(":", "%3A").replace(",", "%2C")
    message = _escaped("\n".join(map(_one_line, lines)))
    return f"::{_COMMANDS[severity]} title={title}::{message}"


def write_summary(checks: Iterable[RunCheck], path: Path) -> None:
    """Append the Markdown of the checks to a job's summary; one line where it would be too large."""
    checks = list(checks)
    text = as_markdown(checks)
    if len(text.encode()) > _LARGEST_SUMMARY:
        text = f"**{summary_line(checks)}** The report is too large for this page.\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _of_finding(check: RunCheck, finding: Finding) -> str:
    title = f"{finding.code}: {finding.metric or check.name or check.run_id or check.path.name}"
    lines = (finding.message, f"Why: {finding.cause}", f"Fix: {finding.fix}", f"Run: {check.path}")
    return annotation(finding.severity, title, *lines)


def _one_line(text: str) -> str:
    return printable(text.replace("\n", " "))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
