"""``torchrun … -m ups train``: several processes train one model, in one run."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from environments import THIS_SESSION, kept
from held import read_held
from simulator.here import UPSHere
from ups.simulator.checkpoint import checkpoint_path, load_checkpoint

STAGES = {"operator": 26, "diffusion_residual": 16, "consistency_distill": 8, "control": 58}
SMALL = [
    "data.points=32",
    "data.train_trajectories=8",
    "model.dilated.dilations=[1, 2]",
    *(f"stages.{name}.steps={steps}" for name, steps in STAGES.items() if name != "control"),
]
TOLERANCE = 0.01


def train(folder: Path, *arguments: str, processes: int = 1, mode: str = "local") -> subprocess.Popen[str]:
    """Start a training of the smoke preset made smaller, its run below ``folder``."""
    folder.mkdir(exist_ok=True)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    return subprocess.Popen(
        [sys.executable, "-m", *(launcher if processes > 1 else []), "ups", "train", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "WANDB_MODE": mode},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fresh(*changes: str) -> list[str]:
    """The arguments of a training with these settings."""
    return ["--preset", "smoke", *itertools.chain.from_iterable(("--set", change) for change in (*SMALL, *changes))]


def ended(training: subprocess.Popen[str], folder: Path) -> Path:
    """The run directory of a training that must end well."""
    output, _ = training.communicate(timeout=300)
    assert training.returncode == 0, output
    return run_in(folder)


def run_in(folder: Path) -> Path:
    """The one run directory below a folder."""
    (found,) = (path for path in (folder / "ups-runs").iterdir() if not path.name.startswith("."))
    return found


def losses(run_dir: Path, stage: str) -> dict[int, float]:
    """The loss at each step, as the first process journaled it."""
    lines = [line for path in run_dir.glob("journal/*.jsonl") for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    rows = [record for record in records if record.get("stage") == stage and "loss" in record.get("values", {})]
    return {row["step"]: row["values"]["loss"] for row in rows}


@pytest.fixture
def pair() -> Path:
    """The run of two processes that were not interrupted."""
    with kept("two-processes", THIS_SESSION) as (folder, new):
        if new:
            ended(train(folder, *fresh(), processes=2, mode="offline"), folder)
    return run_in(folder)


def test_two_processes_are_one_run_with_every_chart_full(pair: Path) -> None:
    """One W&B run holds each stage's metrics at every step, and beside them the second process's own."""
    held = read_held(pair)
    assert len({run["run_id"] for run in held.runs}) == 1
    for stage, steps in STAGES.items():
        assert [x for x, _ in held.stage(stage)] == list(range(1, steps + 1))
        assert [x for x, _ in held.stage(stage, "rank1/step_ms")] == [x for x, _ in held.stage(stage, "step_ms")]
        assert len(held.stage(stage, "step_ms")) > 1


@pytest.mark.parametrize("changes", [(), ("training.accumulate=4",)], ids=["at-once", "accumulated"])
def test_two_processes_train_as_one_with_twice_the_batch(
    pair: Path, changes: tuple[str, ...], ups_here: UPSHere, tmp_path: Path
) -> None:
    """The loss at each step agrees within a hundredth, also where one process works its batch through in four parts.

    They differ by rounding, which grows from step to step; of the control, the longest, the first 30 are compared.
    """
    ups_here("train", *fresh("training.batch=16", *changes), folder=tmp_path)
    alone = run_in(tmp_path)
    for stage, steps in STAGES.items():
        expected, found = losses(alone, stage), losses(pair, stage)
        for step in range(1, (30 if stage == "control" else steps) + 1):
            assert found[step] == pytest.approx(expected[step], rel=TOLERANCE), (stage, step)


def test_an_interrupted_pair_goes_on_as_if_it_had_not_been(pair: Path, tmp_path: Path) -> None:
    """SIGTERM to torchrun, then --resume: the same weights bit for bit, every step in the charts once."""
    folder = tmp_path / "cut"
    training = train(folder, *fresh(), processes=2, mode="offline")
    deadline = time.monotonic() + 300
    while not list(folder.glob("ups-runs/*/checkpoints/operator.pt")):
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    training.send_signal(signal.SIGTERM)
    output, _ = training.communicate(timeout=300)
    assert training.returncode != 0, output
    assert re.search(r"Resume with: \S*ups train --resume", output), output

    found = ended(train(folder, "--resume", processes=2, mode="offline"), folder)
    for stage, steps in STAGES.items():
        expected, weights = (load_checkpoint(checkpoint_path(run, stage)) for run in (pair, found))
        assert expected is not None
        assert weights is not None
        for name, weight in expected.model.items():
            assert torch.equal(weight, weights.model[name]), (stage, name)
        held = read_held(found)
        for metric in ("loss", "rank1/step_ms"):
            drawn = [x for x, _ in held.stage(stage, metric)]
            assert all(later > earlier for earlier, later in itertools.pairwise(drawn))
        assert [x for x, _ in held.stage(stage)] == list(range(1, steps + 1))


def test_another_number_of_processes_is_refused(pair: Path, ups_here: UPSHere, tmp_path: Path) -> None:
    """What two processes began, one does not go on with: each step would see another batch."""
    run_dir = tmp_path / "ups-runs" / pair.name
    shutil.copytree(pair, run_dir)
    (run_dir / "checkpoints" / "consistency_distill.pt").unlink()
    path = checkpoint_path(run_dir, "operator")
    torch.save(torch.load(path, weights_only=True) | {"step": 20}, path)
    printed = ups_here("train", "--resume", "--stage", "operator", folder=tmp_path, expect=2)
    assert "was trained by 2 process(es), and these are 1" in printed
