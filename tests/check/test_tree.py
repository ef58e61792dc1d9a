"""The tree that is printed for a checked run."""

import io

import numpy as np
from rich.console import Console

from runfile.real_runs import made_runs
from ups.check import check_run
from ups.report.tree import render_tree, sparkline
from ups.runs import open_run


def printed(name: str, *, width: int = 80, encoding: str = "utf-8", faults: tuple[tuple[str, int], ...] = ()) -> str:
    """The tree of a made run, as it comes out of a pipe of that encoding."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=out, width=width).print(render_tree(check_run(open_run(made_runs() / name)), faults=faults))
    out.seek(0)
    return out.read()


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


def test_the_tree_fits_its_width() -> None:
    """No line is wider than the terminal, and the verdict is never cut off."""
    for name in ("naive", "many_rows", "every_value"):
        for width in (50, 80, 200):
            assert max(len(line) for line in printed(name, width=width).splitlines()) <= width
    lines = printed("many_rows", width=50).splitlines()
    assert [line.split()[-1] for line in lines if " points " in line] == ["not-numeric"] * 2 + ["full"] * 3


def test_the_tree_is_plain_where_it_must_be() -> None:
    """In a pipe there are no colours, and where the encoding has no blocks, sparklines are made of ASCII."""
    assert "\x1b" not in printed("naive")
    assert printed("staged", encoding="ascii").isascii()


def test_faults_on_the_way_are_counted() -> None:
    """What was survived is told with how often it happened."""
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
