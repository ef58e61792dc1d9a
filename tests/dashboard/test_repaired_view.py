"""The view "as it was meant": what a repair would write, without writing it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repair.broken_runs import CASES, RANDOM_RUNS
from repair.repaired import MADE_FOR_THE_CHECK, original
from runfile.real_runs import made_runs
from ups.check import check_run
from ups.dashboard.repaired_view import meant_run
from ups.repair import plan_repair, write_repair
from ups.runs import open_run

NAMES = (*MADE_FOR_THE_CHECK, *CASES, *(f"random{seed}" for seed in range(RANDOM_RUNS)))


@pytest.mark.parametrize("name", NAMES)
def test_as_meant_is_what_a_repair_writes(name: str, tmp_path: Path) -> None:
    """Every chart has the points and the verdict that it has in the file which ``ups repair`` writes."""
    assert_as_written(original(name), tmp_path)


def test_whole_numbers_keep_their_digits(tmp_path: Path) -> None:
    """Those that float64 rounds, in a run of which another chart is repaired."""
    assert_as_written(made_runs() / "whole_numbers", tmp_path)
    plan = plan_repair(open_run(made_runs() / "whole_numbers"))
    assert plan.charts
    assert meant_run(plan).series("ns/bytes").x.tolist() == [2**60 + step for step in range(8)]


def assert_as_written(path: Path, folder: Path) -> None:
    """The run as it was meant is the one that ``ups repair`` writes."""
    plan = plan_repair(open_run(path))
    write_repair(plan, folder / "repaired")
    meant, written = meant_run(plan), open_run(folder / "repaired")
    assert meant.rows == written.rows
    charts = {chart.metric: chart for chart in check_run(written).charts}
    assert {chart.metric: chart for chart in check_run(meant).charts} == charts
    for metric in charts:
        ours, theirs = meant.series(metric), written.series(metric)
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
