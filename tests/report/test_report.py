"""Checked runs as data, Markdown and one line."""

from pathlib import Path

import click

from ups.check import ChartCheck, Finding, RunCheck, Severity, Verdict
from ups.report import annotation, as_annotations, as_data, as_markdown, render_tree, summary_line, write_summary


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
    for text in (click.unstyle(render_tree(check)), as_markdown([check])):
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
    lines = render_tree(made(Verdict.FROZEN, Verdict.FROZEN, Verdict.FULL)).splitlines()
    assert sum("frozen" in line for line in lines) == 2
    assert sum("why: " in line for line in lines) == 1


def test_annotations_are_escaped_as_github_documents_it() -> None:
    """In a title ``:`` and ``,`` are escaped too; a metric's name in a message is as it is."""
    line = annotation(Severity.WARNING, "50%: a, b", "100% of a:b, c", "Why: it")
    assert line == "::warning title=50%25%3A a%2C b::100%25 of a:b, c%0AWhy: it"


def test_no_name_is_a_workflow_command_of_its_own() -> None:
    """Whatever a name holds, each finding is one line, and is one command to a parser as GitHub's runner has it."""
    hostile = "a\n::add-mask::x\r\n##[add-path]/tmp\u2028::set-env name=A,title=b::c%0A::d"
    finding = Finding(Verdict.EMPTY, Severity.ERROR, hostile, hostile, hostile, hostile, False, 1)
    (line,) = as_annotations([RunCheck("id", hostile, Path(hostile), 3, True, (), (), (finding,))])
    assert line.isprintable()
    command, message = line.removeprefix("::").split("::", 1)
    assert command.split(" ", 1)[0] == "error"
    title, after = command.split(" ", 1)[1].split(",")[0], command.count(",")
    assert (title.startswith("title=empty%3A a "), after) == (True, 0)
    assert message.count("%0A") == 3  # between the four lines that UPS writes; those of the name are %250A
    assert message.replace("%25", "%").count("\\r ##[add-path]") == 4


def test_the_worst_findings_come_first() -> None:
    """GitHub shows ten of each severity per step: errors of a later run stand before the warnings of an earlier."""
    findings = [
        Finding("stale", severity, "m", "text", "why", "fix", False, 1)
        for severity in (Severity.INFO, Severity.ERROR, Severity.WARNING)
    ]
    checks = [RunCheck("id", "", Path("p"), 3, True, (), (), (finding,)) for finding in findings]
    assert [line.split(" ")[0] for line in as_annotations(checks)] == ["::error", "::warning", "::notice"]


def test_a_summary_is_appended_and_stays_small(tmp_path: Path) -> None:
    """What a step before has written stays; a report that GitHub would refuse is one line."""
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    write_summary([made(Verdict.FROZEN)], path)
    assert path.read_text(encoding="utf-8") == "before\n" + as_markdown([made(Verdict.FROZEN)])
    path.unlink()
    write_summary([made(Verdict.FROZEN, name="x" * 1_100_000)], path)
    assert path.read_text(encoding="utf-8").startswith("**1 run, 1 chart: 1 frozen; 1 error** The report is too large")
