"""The tree that is printed for a checked run."""

import io
import re

import numpy as np
import pytest

from runfile.real_runs import made_runs
from ups.check import Verdict, check_run
from ups.report.tree import render_tree, sparkline
from ups.runs import open_run
from ups.terminal import echo


def printed(
    name: str,
    *,
    width: int = 80,
    encoding: str = "utf-8",
    faults: tuple[tuple[str, int], ...] = (),
    terminal: bool = False,
) -> str:
    """The tree of a made run, as it comes out of a pipe of that encoding, or in a terminal with colours."""
    out = io.TextIOWrapper(Bytes(terminal=terminal), encoding=encoding)
    check = check_run(open_run(made_runs() / name))
    echo(render_tree(check, faults=faults, width=width, unicode=encoding == "utf-8"), stream=out)
    out.seek(0)
    return out.read()


class Bytes(io.BytesIO):
    """What is printed, on something that says whether it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_the_tree_names_each_stage_and_chart_with_its_points_and_verdict() -> None:
    """Stages stand in order, each with its charts, their points and their verdicts, below the run's name."""
    lines = printed("staged").splitlines()
    assert lines[0] == "staged run (staged)  3 of 3 charts full, 180 rows"
    assert [line[4:] for line in lines[1::2]] == ["operator", "diffusion_residual", "consistency_distill"]
    assert lines[2].split()[-5:-2] == ["loss", "100", "points"]
    assert lines[2].split()[-2][0] == "█"
    assert all(line.endswith("full") for line in lines[2::2])


def test_the_worst_chart_comes_first_with_its_cause_and_fix() -> None:
    """Within a stage the worst verdict is first, and says why it is so and what to change."""
    lines = printed("ambiguous").splitlines()
    assert lines[2].endswith("ambiguous-axis")
    assert "why: " in lines[3]
    assert any("fix: run.define_metric(" in line for line in lines)
    verdicts = [line.split()[-1] for line in printed("not_numeric").splitlines() if " points " in line]
    assert verdicts == ["not-numeric"] * 3 + ["full"] * 2


def test_the_worst_stage_comes_first() -> None:
    """A stage with an error stands before one without, and errors about the run before all stages."""
    lines = printed("stages_of_both_kinds").splitlines()
    assert [line[4:] for line in lines if line.startswith(("├── ", "└── "))] == ["refine", "operator"]
    assert printed("naive").splitlines()[1].startswith("├── lost-rows")


@pytest.mark.parametrize("width", [50, 80, 200])
@pytest.mark.parametrize("name", ["naive", "many_rows", "every_value"])
def test_a_verdict_is_never_cut_off(name: str, width: int) -> None:
    """However narrow the terminal is, the line of each chart ends with its whole verdict, at one column."""
    verdicts = sorted(chart.verdict for chart in check_run(open_run(made_runs() / name)).charts)
    lines = [line for line in printed(name, width=width).splitlines() if re.search(r"\d points? ", line)]
    assert sorted(Verdict(line.split()[-1]) for line in lines) == verdicts
    assert len({line.rindex(" ") for line in lines}) == 1


def test_colours_are_for_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets the same text as a terminal, without its colours; so does whoever wants none."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    coloured, plain = printed("naive", terminal=True), printed("naive")
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert printed("naive") == coloured
    for name, value in (("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
        assert printed("naive", terminal=True) == plain


def test_sparklines_are_ascii_where_the_encoding_is() -> None:
    assert printed("staged", encoding="ascii").isascii()


def test_faults_on_the_way_are_counted() -> None:
    """A fault that the run survived is listed with its count."""
    assert "3 x W&B answered 503" in printed("staged", faults=(("W&B answered 503", 3),))
    assert "faults" not in printed("staged")


def test_a_sparkline_follows_the_values() -> None:
    """A sparkline goes from the lowest mark to the highest, is as long as it may be, and flat for equal values."""
    assert sparkline(np.arange(8.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.arange(800.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.ones(3), 8) == "▁▁▁"
    assert sparkline(np.array([]), 8) == ""
    assert sparkline(np.full(1000, 0.1), 24) == sparkline(np.zeros(1000), 24) == 24 * "▁"
    assert sparkline(np.array([-1.7e308] * 4 + [1.7e308] * 4), 2) == "▁█"
