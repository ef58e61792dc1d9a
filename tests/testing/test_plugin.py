"""The plugin as pytest loads it: by the entry point, in processes of its own, and left out."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import wandb

import ups
from test_imports import HEAVY
from ups.dropin.turn_on import knows

pytest_plugins = ["pytester"]

STAGES = """
import pytest, unittest, ups, wandb

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}

def log_stages(step_metric, step):
    run = wandb.init(project="simulator")
    for stage in STAGES:
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for stage, steps in STAGES.items():
        for at in range(steps):
            row = {f"training/{stage}/loss": 1 / (at + 1)} | ({f"training/{stage}/step": at} if step_metric else {})
            run.log(row, **({"step": at} if step else {}))

def test_metric_with_step(wandb_charts):
    log_stages(step_metric=False, step=True)
    wandb_charts.assert_all_full()

def test_metric_and_step_metric_with_step(wandb_charts):
    log_stages(step_metric=True, step=True)
    wandb_charts.assert_all_full()

def test_metric_and_step_metric(wandb_charts):
    log_stages(step_metric=True, step=False)
    wandb_charts.assert_all_full()

def test_through_ups(wandb_charts):
    with ups.create_wandb_context(stages=list(STAGES)) as ctx:
        for stage, steps in STAGES.items():
            for at in range(steps):
                ctx.stage(stage).log(at, loss=1 / (at + 1))
    wandb_charts.assert_all_full()

class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _charts(self, wandb_charts):
        self.charts = wandb_charts

    def test_metric_and_step_metric(self):
        log_stages(step_metric=True, step=False)
        self.assertEqual(self.charts["training/operator/loss"].points, 100)
"""


@pytest.fixture
def plugged(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with tests, in an environment whose pytest finds the entry point of ``pyproject.toml``."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["pytest11"].items())
    found = pytester.path / "installed" / "plugin-1.dist-info"
    found.mkdir(parents=True)
    (found / "entry_points.txt").write_text(f"[pytest11]\n{entries}")
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    source = Path(ups.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(found.parent), str(source)]))
    return pytester


@pytest.mark.skipif(not knows(wandb.__version__), reason="its runs are not journaled")
def test_the_four_ways_in_several_processes(plugged: pytest.Pytester) -> None:
    """The first two fail with the finding that names the cause, the others pass; with pytest-xdist."""
    plugged.makepyfile(test_stages=STAGES)
    done = plugged.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=3, failed=2)
    done.stdout.fnmatch_lines_random(
        [
            "FAILED test_stages.py::test_metric_with_step - AssertionError*",
            "FAILED test_stages.py::test_metric_and_step_metric_with_step - AssertionError*",
            "E * 0 of 3 charts full, 100 rows",
            "E * 1 of 3 charts full, 100 rows",
            "E *lost-rows  wandb dropped 80 calls of log(), the first at step=0 when W&B's own step was 99",
            "E *why: step= counted from 0 again, while W&B's own step was 99",
            "E *loss  100 points*frozen",
        ]
    )
    assert "recorder.py" not in done.stdout.str()
    assert [path.name for path in plugged.path.iterdir() if path.name in ("wandb", "ups-runs")] == []


def test_it_can_be_left_out(plugged: pytest.Pytester) -> None:
    """By its name."""
    plugged.makepyfile(test_stages="def test_it(wandb_charts): pass")
    done = plugged.runpytest_subprocess("-p", "no:ups")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'wandb_charts' not found"])


def test_a_test_without_it_pays_nothing() -> None:
    """pytest loads the plugin in each environment that has UPS: it imports nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import pytest, ups.testing"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ups.testing" in imported
    assert {each for each in imported if each in HEAVY} == set()
    assert {each for each in imported if each.startswith("ups")} == {
        "ups",
        "ups.errors",
        "ups.testing",
        "ups.testing.charts",
    }
