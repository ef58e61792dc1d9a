"""Distributed jobs: every rank calls the same code, and there is one run with all ranks' charts full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ups
from held import read_held
from ups.errors import RunDirectoryError
from ups.tracking.rank import Rank, this_rank

TRAINING = """
import sys, torch, torch.distributed as dist, ups
dist.init_process_group("gloo")
with ups.create_wandb_context({"ranks": dist.get_world_size()}, mode="offline") as ctx:
    stage = ctx.stage("operator")
    for step in range(40):
        loss = torch.tensor(float(dist.get_rank() + step))
        stage.log(step, loss=loss)
        dist.all_reduce(loss)
    ctx.log_eval_summary({"l2": float(dist.get_rank())})
dist.destroy_process_group()
"""

PLAIN = """
import sys, time, ups
with ups.create_wandb_context({}, mode="offline", dir=sys.argv[1]) as ctx:
    while len(list((ctx.dir / "journal").glob("*.jsonl"))) < 2:
        time.sleep(0.01)
    for step in range(30):
        ctx.stage("operator").log(step, loss=float(step))
        time.sleep(0.02)
"""


def test_torchrun_gives_one_run_with_all_ranks_full() -> None:
    """Under ``torchrun`` rank 0 logs the shared metrics and each other rank its own, on the stage's axis."""
    Path("train.py").write_text(TRAINING)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], check=True, timeout=300, env=environment, capture_output=True)
    (run_dir,) = [path for path in Path("ups-runs").iterdir() if not path.name.startswith(".")]
    held = read_held(run_dir)
    assert held.stage("operator", "loss") == [(step, step) for step in range(40)]
    assert held.stage("operator", "rank1/loss") == [(step, 1 + step) for step in range(40)]
    assert held.summary["eval/l2"] == 0
    assert held.summary["rank1/eval/l2"] == 1
    assert held.exit_codes == [0]
    assert held.config["ranks"] == 2


NEXT = """
import ups
for _ in range(2):
    with ups.create_wandb_context(mode="local") as ctx:
        print(ctx.run_id, flush=True)
"""


def test_two_runs_one_after_another_are_two_in_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that is done with a run waits for the next of rank 0, which may still be closing the one before."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with ups.create_wandb_context(mode="local") as first:
        environment = {**os.environ, "RANK": "1"}
        command = [sys.executable, "-c", NEXT]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == first.run_id
            time.sleep(0.5)  # time in which it could join the first again
            with ups.create_wandb_context(mode="local") as second:
                assert process.stdout.readline().strip() == second.run_id
                assert process.wait() == 0


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a second host name needs a namespace of its own"
)
def test_two_hosts_that_share_a_folder_log_to_one_run(tmp_path: Path) -> None:
    """Processes of one job on hosts of different names, with only a folder in common, give one run."""
    processes = []
    for rank, host in enumerate(("host-a", "host-b")):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "host-a",
            "MASTER_PORT": "29500",
        }
        call = f"hostname {host} && exec {sys.executable} -c '{PLAIN}' {tmp_path / 'shared'}"
        processes.append(
            subprocess.Popen(["unshare", "--uts", "sh", "-c", call], env=environment, stderr=subprocess.PIPE)
        )
    for process in processes:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told.decode()
    (run_dir,) = [path for path in (tmp_path / "shared").iterdir() if not path.name.startswith(".")]
    assert {path.stem.rpartition("-")[0] for path in (run_dir / "journal").glob("*.jsonl")} == {"host-a", "host-b"}
    held = read_held(run_dir)
    for metric in ("loss", "rank1/loss"):
        assert [x for x, _ in held.stage("operator", metric)] == list(range(30))


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "2", "WORLD_SIZE": "4"}, 2),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, 1),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}, 3),
        ({"RANK": "x", "WORLD_SIZE": "4"}, None),
        ({"RANK": "4", "WORLD_SIZE": "4"}, None),
    ],
)
def test_the_rank_is_what_the_launcher_says(environment: dict[str, str], rank: int | None) -> None:
    """torchrun, Slurm and Open MPI are understood; a job of one is no job of ranks."""
    found = this_rank(environment)
    assert (found.index if found is not None else None) == rank


def test_a_rank_without_its_rank_0_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank that finds no run of rank 0 says where it looked and what to do."""
    monkeypatch.setattr("ups.tracking.rank._PATIENCE", 0.2)
    with pytest.raises(RunDirectoryError, match=r"rank 1 of 2 found no run of rank 0 .* in every rank"):
        Rank(1, 2, "job").wait_for_run(tmp_path, None)
