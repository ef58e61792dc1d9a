"""Checked runs as data, Markdown and one line."""

import io
from pathlib import Path

from rich.console import Console

from ups.check import ChartCheck, Finding, RunCheck, Severity, Verdict
from ups.report import as_data, as_markdown, render_tree, summary_line


def made(*verdicts: Verdict, name: str = "a run") -> RunCheck:
    """A check with a chart of each verdict, and a finding for each that is not full."""
    charts = tuple(ChartCheck(f"m|{i}", None, "_step", 3, 3, verdict) for i, verdict in enumerate(verdicts))
    findings = tuple(
        Finding(chart.verdict, Severity.ERROR, chart.metric, "what | <it> is", "why", 'log({"a": 1})', True, 1)
        for chart in charts
        if chart.verdict is not Verdict.FULL
    )
    return RunCheck("id", name, Path("p"), 3, True, (), charts, findings)


def test_the_summary_counts_charts_and_findings() -> None:
    """One line counts the runs, the charts of each verdict, worst first, and the errors."""
    checks = [made(Verdict.FULL, Verdict.FROZEN), made(Verdict.FULL)]
    assert summary_line(checks) == "2 runs, 3 charts: 1 frozen, 2 full; 1 error"
    assert summary_line([made()]) == "1 run, 0 charts; no errors"


def test_markdown_escapes_names() -> None:
    """What a name or a message holds is no markup, and a table cell stays a cell."""
    text = as_markdown([made(Verdict.FROZEN, name="a <b> *run*")])
    assert text.startswith("## a \\<b\\> \\*run\\*\n")
    assert "| `m\\|0` |" in text
    assert "what \\| \\<it\\> is" in text
    assert 'Fix: `log({"a": 1})`' in text


def test_no_control_character_is_printed() -> None:
    """What a name holds does not reach the terminal as a command; neither in the tree nor in Markdown."""
    check = made(Verdict.FROZEN, name="\x1b[31mred\x07")
    out = io.StringIO()
    Console(file=out, width=80).print(render_tree(check))
    for text in (out.getvalue(), as_markdown([check])):
        assert text.replace("\n", "").isprintable()
        assert "x1b" in text


def test_data_is_plain() -> None:
    """The data holds nothing but dictionaries, lists, texts, numbers and booleans."""

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(type(key) is str and plain(each) for key, each in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, bool)

    assert plain(as_data([made(Verdict.FROZEN)]))


def test_the_same_cause_is_told_once_a_stage() -> None:
    """Charts with the same fault are listed each, with its cause and fix under the first."""
    out = io.StringIO()
    Console(file=out, width=80).print(render_tree(made(Verdict.FROZEN, Verdict.FROZEN, Verdict.FULL)))
    lines = out.getvalue().splitlines()
    assert sum("frozen" in line for line in lines) == 2
    assert sum("why: " in line for line in lines) == 1
