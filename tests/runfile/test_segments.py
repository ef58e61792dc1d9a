"""Runs of several files, runs that grow, and runs that are in memory."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb

from runfile.real_runs import wandb_file
from ups.charts import Definitions
from ups.check import Verdict, check_run
from ups.errors import RunFileError
from ups.runfile import Run
from ups.runs import open_run, open_runs

SEGMENTS = """
import sys, time, wandb
# Two sessions of one run, as delivery makes them: step= is the row's number, and the second one begins with rows
# that the first one holds as well.
folder = sys.argv[1]
for first, last in ((0, 60), (40, 100)):
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(mode="offline", dir=folder, project="p", id="twice", settings=settings)
    run.define_metric("training/operator/loss", step_metric="training/operator/step")
    for row in range(first, last):
        values = {"training/operator/loss": row + first / 1000, "training/operator/step": row}
        run.log(values | ({"late": row} if row >= 90 else {}), step=row, commit=True)
    run.finish()
    wandb.teardown()
    time.sleep(1.1)  # until the folder's name differs
"""
GROWING = """
import sys, time, wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
if hasattr(settings, "x_transaction_log_flush_interval"):
    settings.x_transaction_log_flush_interval = 0.1
run = wandb.init(mode="offline", dir=sys.argv[1], project="p", id="grows", settings=settings)
for value in range(500):
    run.log({"loss": value})
time.sleep(1)
print("half", flush=True)
sys.stdin.readline()
for value in range(500, 1000):
    run.log({"loss": value})
run.finish()
"""


@pytest.fixture(scope="module")
def two_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two sessions of one run that share twenty rows."""
    folder = tmp_path_factory.mktemp("two-segments")
    subprocess.run([sys.executable, "-c", SEGMENTS, folder], check=True, timeout=300, capture_output=True)
    return folder


def test_in_a_ups_run_directory_a_step_is_a_row(two_segments: Path) -> None:
    """Rows that two segments of a UPS run hold are one row each, the first copy; elsewhere all rows count."""
    (two_segments / "run.json").unlink(missing_ok=True)
    assert open_run(two_segments).rows == 120
    (two_segments / "run.json").write_text(json.dumps({"stages": ["operator"]}))
    for path in (two_segments, two_segments / "wandb"):
        run = open_run(path)
        assert (run.rows, len(run.segments), run.stages) == (100, 2, ("operator",))
        series = run.series("training/operator/loss")
        assert series.steps.tolist() == series.x.tolist() == series.rows.tolist() == list(range(100))
        assert series.y.tolist() == [row if row < 60 else row + 0.04 for row in range(100)]
        assert run.series("late").rows.tolist() == list(range(90, 100))
        timestamps = run.column("_timestamp")
        assert timestamps is not None
        assert len(timestamps.rows) == 100
        assert {chart.verdict for chart in check_run(run).charts} == {Verdict.FULL}


def test_a_run_that_grows_can_be_read_again(tmp_path: Path) -> None:
    """A run is read while it is written, and again when it has ended. A wandb without that setting writes blocks."""
    at_once = "x_transaction_log_flush_interval" in wandb.Settings.model_fields
    written = 500 if at_once else 1
    with subprocess.Popen(
        [sys.executable, "-c", GROWING, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "half\n"
        until = time.monotonic() + 30
        while (first := open_run(tmp_path)).rows < written and time.monotonic() < until:
            time.sleep(0.1)
        (found,) = check_run(first).findings
        assert (found.code, first.finished, first.damage) == ("unfinished", False, [])
        rows = first.rows
        assert rows == 500 if at_once else 0 < rows <= 500
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait(60)
    again = open_run(tmp_path)
    assert (again.rows, again.finished, again.damage) == (1000, True, [])
    assert first.rows == rows
    timestamps = first.column("_timestamp")  # read now, up to where the run stood then
    assert timestamps is not None
    assert len(timestamps.rows) == rows


def test_a_run_from_rows_in_memory() -> None:
    """Rows that are in no W&B file are checked as those of a run are."""
    definitions = Definitions()
    definitions.define("training/operator/loss", "training/operator/step")
    run = Run.from_rows(
        Path("somewhere"),
        ({"training/operator/loss": math.nan if step == 2 else 1.0, "training/operator/step": step, "_timestamp": step}
         for step in range(4)),
        run_id="abc",
        name="a name",
        definitions=definitions,
        stages=["operator", "refine"],
        config={"lr": 1},
        finished=True,
    )  # fmt: skip
    assert (run.run_id, run.name, run.rows, run.finished, run.config) == ("abc", "a name", 4, True, {"lr": 1})
    assert (run.logged, run.last_step) == (["training/operator/loss", "training/operator/step"], 3)
    series = run.series("training/operator/loss")
    np.testing.assert_equal(series.y, [1, 1, math.nan, 1])
    assert series.x.tolist() == [0, 1, 2, 3]
    timestamps = run.column("_timestamp")
    assert timestamps is not None
    assert timestamps.values.tolist() == [0, 1, 2, 3]
    check = check_run(run)
    assert [(chart.metric, chart.verdict) for chart in check.charts] == [
        ("training/operator/loss", Verdict.NOT_FINITE),
        ("training/refine/*", Verdict.NEVER_LOGGED),
    ]
    assert Run.from_rows(Path("x"), [], run_id="none").rows == 0


def test_a_run_all_of_whose_files_are_empty_is_refused(tmp_path: Path) -> None:
    """A run whose file holds nothing yet is an error; beside a segment that holds rows, an empty file is not."""
    for day in ("20260101", "20260102"):
        (tmp_path / "wandb" / f"offline-run-{day}_000000-x").mkdir(parents=True)
        (tmp_path / "wandb" / f"offline-run-{day}_000000-x" / "run-x.wandb").touch()
    with pytest.raises(RunFileError, match="is empty"):
        open_runs(tmp_path)
    first = tmp_path / "wandb" / "offline-run-20260101_000000-x" / "run-x.wandb"
    first.write_bytes(wandb_file("two_points").read_bytes())
    assert (open_run(tmp_path).rows, open_run(tmp_path).finished) == (2, False)
