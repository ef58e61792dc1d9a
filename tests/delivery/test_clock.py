"""A clock that is set back between two trainings of one run."""

from __future__ import annotations

from pathlib import Path

from held import read_held
from ups.runfile import start_time
from wandb_server import SYNCS_IN_PYTHON, WandBServer, run_client, run_sync

TRAINING = """
import sys, ups
with ups.create_wandb_context({}, "r", project="p", mode="offline", dir=sys.argv[1], resume=True) as ctx:
    for step in range(*map(int, sys.argv[2:])):
        ctx.stage("a").log(step, loss=1.0)
"""
CLOCK = """
import os, time
now = time.time
time.time = lambda: now() - float(os.environ["SET_BACK"])
"""


def test_the_server_gets_the_trainings_in_their_order(wandb_server: WandBServer, tmp_path: Path) -> None:
    """Three trainings of a run, each by an earlier clock in all its processes; one ``wandb sync`` brings all rows."""
    stretches = 3
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock/sitecustomize.py").write_text(CLOCK)
    for nth in range(stretches):
        run_client(
            wandb_server,
            tmp_path,
            TRAINING,
            str(tmp_path),
            str(50 * nth),
            str(50 * nth + 50),
            PYTHONPATH=str(tmp_path / "clock"),
            SET_BACK=str(7200 * nth),
        )
    folder = tmp_path / "r"
    held = read_held(folder)
    assert [x for x, _ in held.stage("a")] == list(range(50 * stretches))
    segments = sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.parent.name)
    times = [start_time(segment) or 0.0 for segment in segments]
    assert len(times) == stretches
    assert times == sorted(times)
    by_name = [segment.parent for segment in segments]  # the older "wandb sync" takes no folder of several runs
    printed = run_sync(wandb_server, tmp_path, *(by_name if SYNCS_IN_PYTHON else [folder / "wandb"]))
    rows = wandb_server.run("r").history
    assert [row["training/a/step"] for row in rows] == list(range(50 * stretches)), printed
