"""Checked runs as Markdown, for a comment on a pull request or a report."""

import re
from collections.abc import Iterable

from ups.check import Finding, RunCheck, Verdict
from ups.report.summary import summary_line
from ups.text import printable

__all__ = ["as_markdown"]


def as_markdown(checks: Iterable[RunCheck]) -> str:
    """A section per run: its findings, worst first, then a table of its charts."""
    checks = list(checks)
    return "\n\n".join([*(_run(check) for check in checks), f"**{summary_line(checks)}**"]) + "\n"


def _run(check: RunCheck) -> str:
    title = check.name or check.run_id or check.path.name
    full = sum(chart.verdict is Verdict.FULL for chart in check.charts)
    counts = f"{full} of {len(check.charts)} charts full, {check.rows:,} rows"
    parts = [f"## {_plain(title)}", f"{_code(str(check.path))}: {counts}"]
    parts += [_finding(finding) for finding in sorted(check.findings, key=lambda each: -each.severity.rank)]
    if check.charts:
        lines = ["| chart | axis | rows | points | verdict |", "|---|---|---:|---:|---|"]
        lines += [
            f"| {_cell(chart.metric)} | {_cell(chart.axis)} | {chart.rows:,} | {chart.points:,} | {chart.verdict} |"
            for chart in sorted(check.charts, key=lambda chart: chart.verdict.rank)
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _finding(finding: Finding) -> str:
    lines = [f"- **{finding.code}** ({finding.severity}): {_plain(finding.message)}"]
    lines.append(f"  Why: {_plain(finding.cause)}.")
    lines.append(f"  Fix: {_code(finding.fix)}")
    return "  \n".join(lines)


def _plain(text: str) -> str:
    """Escape text so that Markdown finds neither markup nor links in it."""
    text = printable(text.replace("\n", " "))
    text = "".join(f"\\{letter}" if letter in "\\`*_{}<>|[]#&~$" else letter for letter in text)
    return text.replace("://", ":\\//").replace("www.", "www\\.")


def _code(text: str) -> str:
    """Write text as code, in a fence that is longer than any run of backquotes in it."""
    text = printable(text.replace("\n", " "))
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if not text or text[0] in " `" or text[-1] in " `" else ""
    return fence + pad + text + pad + fence


def _cell(text: str) -> str:
    """Write text as code that stays in its table cell."""
    return _code(text).replace("|", "\\|")
