"""The view "as it was meant": what a repair would write, without writing it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repair.broken_runs import CASES, RANDOM_RUNS
from repair.repaired import MADE_FOR_THE_CHECK, original
from ups.check import check_run
from ups.dashboard.meant import meant_run
from ups.repair import plan_repair, write_repair
from ups.runfile import open_run

NAMES = (*MADE_FOR_THE_CHECK, *CASES, *(f"random{seed}" for seed in range(RANDOM_RUNS)))


@pytest.mark.parametrize("name", NAMES)
def test_as_meant_is_what_a_repair_writes(name: str, tmp_path: Path) -> None:
    """Every chart has the points and the verdict that it has in the file which ``ups repair`` writes."""
    plan = plan_repair(open_run(original(name)))
    write_repair(plan, tmp_path / "repaired")
    meant, written = meant_run(plan), open_run(tmp_path / "repaired")
    assert meant.rows == written.rows
    charts = {chart.metric: chart for chart in check_run(written).charts}
    assert {chart.metric: chart for chart in check_run(meant).charts} == charts
    for metric in charts:
        ours, theirs = meant.series(metric), written.series(metric)
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
