"""What a server holds is asked of it: rows that it lost are given again where it takes them, and otherwise reported."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

import run_directories
from ups.delivery.server import missing_rows
from wandb_server import Fault, Run, WandBServer, run_client, start_client
from wandb_server.state import HISTORY

BRIEF: dict[str, Any] = {"UPS_SERVER_PATIENCE": "0.2"}  # this server answers at once, or not at all

TRAINING = """
import sys, time, ups
with ups.create_wandb_context({}, "r", project="p") as ctx:
    for step in range(500):
        ctx.stage("a").log(step, loss=1 / (step + 1))
        time.sleep(float(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def settings(wandb_server: WandBServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the server, for a delivery in this process."""
    for name, value in {**wandb_server.environment(tmp_path), **BRIEF}.items():
        monkeypatch.setenv(name, value)


def deliver(folder: Path, *options: str, expect: int = 0) -> str:
    return run_directories.deliver(folder / "ups-runs" / "r", *options, expect=expect)


def steps(run: Run) -> list[int]:
    return [x for (x,) in run.points("training/a/step")]


def lose(run: Run, lines: range) -> None:
    """Have the server forget rows, as one that was restored from a backup; what is behind them moves up."""
    with run.lock:
        held = [line for number, line in sorted(run.lines[HISTORY].items()) if number not in lines]
        run.lines[HISTORY] = {}
        run.history_keys.clear()
        run.last_step = -1
        run._write(HISTORY, 0, held)


def test_rows_that_a_server_lost_at_the_end_are_given_again(wandb_server: WandBServer, tmp_path: Path) -> None:
    """After the run's end ``ups deliver`` asks, and brings what the server no longer has."""
    run_client(wandb_server, tmp_path, TRAINING, "0")
    run = wandb_server.run("r")
    lose(run, range(300, 500))
    printed = deliver(tmp_path)
    assert "W&B holds all 500 rows" in printed
    assert steps(run) == list(range(500))


def test_rows_that_a_server_lost_in_the_middle_are_reported(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A gap that no server fills is reported with its number and the way out, and that way works."""
    run_client(wandb_server, tmp_path, TRAINING, "0")
    run = wandb_server.run("r")
    lose(run, range(100, 250))
    segments = len(list((tmp_path / "ups-runs" / "r" / "wandb").glob("run-*")))
    for _ in range(2):
        printed = deliver(tmp_path, expect=1)
        assert "the server lacks 150 of 500 rows of training/a/" in printed
        assert "W&B holds 350 of 500 rows" in printed
        assert "ups deliver --as-new" in printed
    assert len(steps(run)) == 350
    assert len(list((tmp_path / "ups-runs" / "r" / "wandb").glob("run-*"))) == segments
    printed = deliver(tmp_path, "--as-new")
    new = re.search(r"The copy is the run (\w+)", printed)
    assert new is not None
    assert steps(wandb_server.run(new[1])) == list(range(500))
    assert wandb_server.run(new[1]).exit_code == 0


def test_rows_that_a_server_loses_while_training_are_reported(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A gap that comes about during the training is in the report at its end."""
    process = start_client(wandb_server, tmp_path, TRAINING, "0.01", **BRIEF)
    deadline = time.monotonic() + 60
    while "r" not in wandb_server.runs or len(wandb_server.run("r").history) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run = wandb_server.run("r")
    with run.lock:  # the lines stay where the client goes on, and hold nothing
        for number in range(20, 50):
            run._count(run.lines[HISTORY].pop(number), -1)
    printed, _ = process.communicate(timeout=120)
    assert "the server lacks 30 of 500 rows of training/a/" in printed
    assert "ups deliver --as-new" in printed
    assert json.loads((tmp_path / "ups-runs" / "r" / "delivery" / "status.json").read_text())["state"] == "incomplete"


@pytest.mark.parametrize("lost_session", [False, True], ids=["healthy", "after a lost session"])
def test_a_server_that_cannot_be_asked_gets_each_row_once(
    wandb_server: WandBServer, tmp_path: Path, lost_session: bool
) -> None:
    """A server without an answer to the read-back is sent nothing twice, and the end says that it has not confirmed."""
    wandb_server.refused_operations = {"Run", "RunState", "QueryRunInfo", "RunHistoryKeys"}
    process = start_client(wandb_server, tmp_path, TRAINING, "0.005", **BRIEF)
    if lost_session:
        deadline = time.monotonic() + 60
        while "r" not in wandb_server.runs or len(wandb_server.run("r").history) < 100:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        wandb_server.fault = Fault(status=403, match="file_stream", seconds=3)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert "has not confirmed" in printed
    run = wandb_server.run("r")
    assert steps(run) == sorted(set(steps(run)))
    assert run.resent_lines == 0
    before = len(run.history)
    assert lost_session or before == 500
    assert "not confirmed" in deliver(tmp_path)
    assert len(run.history) == before


@pytest.mark.parametrize("lacking", ["count_keys", "list_keys"])
def test_a_server_that_counts_nothing_is_taken_at_its_last_step(
    wandb_server: WandBServer, tmp_path: Path, lacking: str
) -> None:
    """Where a server reports only where a run ends, delivery goes by that, and reports it once."""
    setattr(wandb_server, lacking, False)
    printed = run_client(wandb_server, tmp_path, TRAINING, "0", **BRIEF)
    assert "in W&B: http" in printed
    assert printed.count("the server does not count the rows of each metric") == 2  # as it happens, and in the tree
    assert "W&B holds all 500 rows" in deliver(tmp_path)


def test_a_server_without_a_last_step_gets_each_row_once(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A killed run that is resumed there continues after the step in its summary."""
    wandb_server.list_keys = False
    process = start_client(wandb_server, tmp_path, TRAINING, "0.01", **BRIEF)
    deadline = time.monotonic() + 60
    while "r" not in wandb_server.runs or len(wandb_server.run("r").history) < 100:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    more = TRAINING.replace('project="p"', 'project="p", resume=True').replace("range(500)", "range(500, 600)")
    run_client(wandb_server, tmp_path, more, "0", **BRIEF)
    run = wandb_server.run("r")
    assert steps(run)[-100:] == list(range(500, 600))
    assert len(steps(run)) == len(set(steps(run)))


@pytest.mark.parametrize(
    ("expected", "counts", "missing"),
    [
        ({"a": 3, "b": 2}, {"a": 3, "b": 2}, {}),
        ({"a": 3, "b": 2}, {"a": 1}, {"a": 2, "b": 2}),
        ({"a": 3}, {"a": 5}, {}),
        ({"a": 3}, None, {}),
        ({"a.b": 3, "c": 1}, {"c": 1}, {}),
        ({"_step": 3, "a": 3}, {"_step": 3, "a": 2}, {}),  # a server that counts no NaN
        ({"_step": 3, "a": 3}, {"_step": 2, "a": 2}, {"a": 1}),
    ],
)
def test_missing_rows(expected: dict[str, int], counts: dict[str, int] | None, missing: dict[str, int]) -> None:
    """What is expected and not counted, of metrics whose names a server counts as they are."""
    assert missing_rows(expected, counts) == missing
