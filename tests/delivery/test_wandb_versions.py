"""Three stages with the installed wandb and with the oldest: killed, resumed, guarded, checked, repaired.

``make wandb-versions`` runs it with each version between them too.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from environments import is_kept
from held import read_held
from ups.installed_wandb import OLDEST
from wandb_server import WandBServer, start_process
from wandb_versions import python_with

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}

# Begins where its checkpoint is, and is killed by itself after the row that it is told.
TRAINING = """
import json, os, pathlib, signal, sys, time, ups
killed_at, mode = int(sys.argv[1]), sys.argv[2]
checkpoint = pathlib.Path("checkpoint.json")
first = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
stages = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}
rows = [(stage, step) for stage, steps in stages.items() for step in range(steps)]
with ups.create_wandb_context({"lr": 0.1}, "r", project="p", mode=mode, resume=True, stages=list(stages)) as ctx:
    for row, (stage, step) in enumerate(rows[first:], first):
        if row % 20 == 0:
            checkpoint.write_text(json.dumps(row))
        ctx.stage(stage).log(step, loss=1 / (step + 1), lr=0.1)
        time.sleep(0.01)
        if row == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
    print("the last line", flush=True)
"""
KILLS = (65, 133)

GUARDED = """
import ups, wandb
run = wandb.init(project="p", id="guarded", mode="offline")
ups.guard(run)
for stage, steps in {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}.items():
    for step in range(steps):
        run.log({f"{stage}/loss": 1 / (step + 1)}, step=step)
run.finish()
"""

BROKEN = """
import wandb
run = wandb.init(project="p", id="broken", mode="offline")
for stage, steps in {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}.items():
    run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for step in range(steps):
        run.log({f"training/{stage}/loss": 1 / (step + 1)})
        if stage == "diffusion_residual":
            run.log({f"training/{stage}/step": step})
run.define_metric("val/accuracy", step_metric="epoch")
for epoch in range(5):
    run.log({"val/accuracy": epoch / 5, "epoch": epoch})
    run.log({"val/late": epoch / 5}, step=3)
run.finish()
"""
VERDICTS = {
    "training/operator/loss": "frozen",
    "training/diffusion_residual/loss": "lagging",
    "training/consistency_distill/loss": "frozen",
    "val/accuracy": "full",
}


@pytest.fixture(
    scope="module",
    params=["installed", pytest.param("oldest", marks=pytest.mark.skipif(is_kept(sys.prefix), reason="in a matrix"))],
)
def python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of the environment with that wandb."""
    if request.param == "installed":
        return Path(sys.executable)
    return python_with(OLDEST)


class Machine:
    """A folder in which that Python runs, with a server."""

    def __init__(self, python: Path, server: WandBServer, folder: Path) -> None:
        self.python, self.server, self.folder = python, server, folder

    def run(self, *command: str | Path, expect: int = 0) -> str:
        process = start_process(self.server, self.folder, command, python=self.python)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == expect, printed
        return printed

    def train(self, mode: str) -> str:
        """Train, be killed, resume, be killed again, resume. Returns the last output."""
        for killed_at in KILLS:
            self.run("-c", TRAINING, str(killed_at), mode, expect=-9)
        return self.run("-c", TRAINING, "-1", mode)

    def check(self, path: str, expect: int = 0) -> dict[str, tuple[str, int]]:
        """The verdict and the points of each chart."""
        (run,) = json.loads(self.run("-m", "ups", "check", path, "--format", "json", expect=expect))["runs"]
        return {chart["metric"]: (chart["verdict"], chart["points"]) for chart in run["charts"]}


@pytest.fixture
def machine(python: Path, wandb_server: WandBServer, tmp_path: Path) -> Machine:
    return Machine(python, wandb_server, tmp_path)


def assert_at_server(server: WandBServer) -> None:
    """Every step of every stage once, in order, and nothing else."""
    run = server.run("r")
    for stage, steps in STAGES.items():
        points = run.points(f"training/{stage}/step", f"training/{stage}/loss")
        assert points == [(step, pytest.approx(1 / (step + 1))) for step in range(steps)]
    assert [row["_step"] for row in run.history] == list(range(sum(STAGES.values())))
    assert run.exit_code == 0
    assert "the last line" in run.output


FULL = {f"training/{stage}/{metric}": ("full", steps) for stage, steps in STAGES.items() for metric in ("loss", "lr")}


def test_offline_killed_and_resumed(machine: Machine) -> None:
    """W&B's files have every row once, and so has the server after the command that UPS prints."""
    printed = machine.train("offline")
    held = read_held(machine.folder / "ups-runs" / "r")
    for stage, steps in STAGES.items():
        assert held.stage(stage) == [(step, pytest.approx(1 / (step + 1))) for step in range(steps)]
    assert len(held.rows) == sum(STAGES.values())
    assert "the last line" in held.console
    assert machine.check("ups-runs/r") == FULL
    sync = re.search(r"To send it: (wandb sync .*)", printed)
    assert sync is not None
    machine.run("-m", *shlex.split(sync[1]))
    assert_at_server(machine.server)


def test_online_killed_and_resumed(machine: Machine) -> None:
    """The server has every row once, and every chart is full."""
    printed = machine.train("online")
    assert "6 of 6 charts full" in printed
    assert_at_server(machine.server)
    assert "W&B holds all 180 rows" in machine.run("-m", "ups", "deliver", "ups-runs/r")
    assert machine.check("ups-runs/r") == FULL
    assert machine.server.unknown_operations == []


def test_the_guard_keeps_every_point(machine: Machine) -> None:
    """Of three stages that each count their ``step=`` from 0, it keeps 100, 50 and 30 points."""
    machine.run("-c", GUARDED)
    charts = machine.check("wandb")
    assert charts == {f"{stage}/loss": ("full", steps) for stage, steps in STAGES.items()}


def test_check_and_repair_give_the_same_verdicts(machine: Machine) -> None:
    """The charts of one script are found broken, and repaired, alike with each wandb that made them."""
    machine.run("-c", BROKEN)
    assert {metric: verdict for metric, (verdict, _) in machine.check("wandb", expect=1).items()} == VERDICTS
    machine.run("-m", "ups", "repair", "wandb/latest-run", "-o", "repaired")
    repaired = machine.check("repaired")
    assert {metric: verdict for metric, (verdict, _) in repaired.items()} == dict.fromkeys(VERDICTS, "full")
    assert [points for _, points in repaired.values()][:3] == [100, 50, 30]
