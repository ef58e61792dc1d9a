"""Faults of a training's surroundings: nothing raises into the training, nothing is lost, and it is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ups
from held import read_held
from run_directories import deliver
from waiting import wait_for

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(("call", "code"), [("sys.exit(3)", 3), ("sys.exit('why')", 1), ("sys.exit()", 0)])
def test_an_exit_without_finish_closes_the_run_with_its_code(script: Script, call: str, code: int) -> None:
    """``sys.exit`` ends the run with the process's exit code."""
    script(
        f"""
import sys, ups
ctx = ups.create_wandb_context({{}}, "r", mode="offline")
ctx.stage("a").log(0, loss=1.0)
{call}
""",
        expect=code,
    )
    assert read_held(Path("ups-runs/r")).exit_codes == [code]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_stderr_that_takes_nothing_does_not_end_the_training() -> None:
    """With stderr on a full disk every row is delivered, and the training ends as any program that said something."""
    plain = """
import contextlib, sys
with contextlib.suppress(OSError):
    print("said", file=sys.stderr)
"""
    source = """
import ups
with ups.create_wandb_context({}, "r", mode="offline") as ctx:
    for step in range(10):
        ctx.stage("a").log(step, loss=1.0, odd="x")
"""
    with Path("/dev/full").open("w") as full:
        status, expected = (
            subprocess.run([sys.executable, "-c", script], stderr=full, check=False).returncode
            for script in (source, plain)
        )
    assert status == expected  # 0; from Python 3.14 on 120, for what could not be flushed at the end
    assert [x for x, _ in read_held(Path("ups-runs/r")).stage("a")] == list(range(10))


def test_a_table_that_is_gone_does_not_hold_up_the_rows() -> None:
    """A table whose file was removed before delivery came to it is told; all rows are delivered."""
    source = """
import pathlib, ups
with ups.create_wandb_context({}, "r", mode="local") as ctx:
    ctx.log_table("t", ["a"], [[1]])
    for step in range(10):
        ctx.stage("a").log(step, loss=1.0)
for path in pathlib.Path("ups-runs/r/media/tables").iterdir():
    path.unlink()
"""
    subprocess.run([sys.executable, "-c", source], check=True)
    printed = deliver(Path("ups-runs/r"), "--mode", "offline")
    assert [x for x, _ in read_held(Path("ups-runs/r")).stage("a")] == list(range(10))
    assert "1 x W&B did not take the table 't'" in printed
    assert "\nW&B's files hold all" in printed
    assert "To send them: wandb sync" in printed


NO_RECORDS = (
    "\\0\\0",
    "[1]",
    '{"values": {"loss": 1.0}}',
    '{"time": 1.0, "stage": "a", "values": {}}',
    '{"time": 1.0, "stage": [], "step": 1, "values": {"loss": 1.0}}',
    '{"time": 1.0, "summary": 1}',
    '{"time": 1.0, "config": []}',
    '{"time": 1.0, "tags": 1}',
    '{"time": 1.0, "table": "samples"}',
    '{"time": 1.0, "image": "field", "path": 1}',
    '{"time": 1.0, "file": {"base": "media"}}',
    '{"time": 1.0, "artifact": {"path": "media"}}',
    '{"time": 1.0, "alert": {"title": "late"}}',
    '{"time": 1.0, "end": {}}',
)


def test_damaged_lines_do_not_hold_up_the_rows() -> None:
    """Lines of the journal that are no records are passed over and counted; all rows around them are delivered."""
    with ups.create_wandb_context(run_id="r", mode="local") as ctx:
        for step in range(10):
            ctx.stage("a").log(step, loss=1.0)
    (journal,) = (ctx.dir / "journal").glob("*.jsonl")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:5], *NO_RECORDS, *lines[5:], ""]))
    deliver(ctx.dir, "--mode", "offline")
    assert [x for x, _ in read_held(ctx.dir).stage("a")] == list(range(10))
    (fault,) = json.loads((ctx.dir / "delivery" / "status.json").read_text())["faults"].values()
    assert "has damaged lines" in fault["message"]
    assert fault["count"] == len(NO_RECORDS)


def test_a_clock_that_was_set_back_does_not_turn_the_run_around() -> None:
    """A training that goes on with a run by an earlier clock comes after the first, in W&B's folders too."""
    source = """
import sys, time, ups
if sys.argv[1] == "back":
    now = time.time
    time.time = lambda: now() - 7200
with ups.create_wandb_context({}, "r", mode="offline", resume=True) as ctx:
    for step in range(*map(int, sys.argv[2:])):
        ctx.stage("a").log(step, loss=1.0)
"""
    for arguments in (("now", "0", "50"), ("back", "50", "100")):
        subprocess.run([sys.executable, "-c", source, *arguments], check=True, timeout=300)
    held = read_held(Path("ups-runs/r"))
    assert [x for x, _ in held.stage("a")] == list(range(100))
    assert held.exit_codes == [0, 0]


def test_a_clock_that_is_set_back_while_training_costs_nothing(script: Script) -> None:
    """Rows that are logged by an earlier clock than those before them are held, in the order of their logging."""
    done = script(
        """
import time, ups
now = time.time
with ups.create_wandb_context({}, "r", mode="offline") as ctx:
    for step in range(100):
        if step == 50:
            time.time = lambda: now() - 7200
        ctx.stage("a").log(step, loss=1.0)
"""
    )
    held = read_held(Path("ups-runs/r"))
    assert [x for x, _ in held.stage("a")] == list(range(100))
    assert held.exit_codes == [0]
    assert "1 of 1 charts full" in done.stderr


def test_a_delivery_that_cannot_be_started_does_not_end_the_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where delivery cannot be started the rows wait in the journal, and the end says how to deliver them."""
    with ups.create_wandb_context(run_id="r", mode="local") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    Path("ups-runs/r/delivery/log.txt").mkdir()
    description = Path("ups-runs/r/run.json")
    description.write_text(description.read_text().replace('"local"', '"offline"'))
    with ups.create_wandb_context(run_id="r", mode="offline", resume=True) as ctx:
        ctx.stage("a").log(1, loss=1.0)
        monkeypatch.setenv("UPS_FINISH_TIMEOUT", "3")
    told = capsys.readouterr().err
    assert "delivery could not be started" in told
    assert f"ups deliver {ctx.dir}" in told
    Path("ups-runs/r/delivery/log.txt").rmdir()
    deliver(ctx.dir)
    assert [x for x, _ in read_held(ctx.dir).stage("a")] == [0, 1]


def test_an_end_that_does_not_wait_leaves_the_rest_to_the_background(capsys: pytest.CaptureFixture[str]) -> None:
    """``finish(timeout=0)`` returns before wandb has begun, with what W&B will hold; delivery goes on to the end."""
    with ups.create_wandb_context(mode="offline") as ctx:
        ctx.stage("a").log(0, loss=1.0)
        report = ctx.finish(timeout=0)
    assert report is not None
    assert [(chart.metric, chart.points) for chart in report.charts] == [("training/a/loss", 1)]
    assert "Delivery continues in the background" in capsys.readouterr().err
    status = ctx.dir / "delivery" / "status.json"
    wait_for(lambda: status.exists() and json.loads(status.read_text())["state"] == "finished")
    held = read_held(ctx.dir)
    assert (held.stage("a"), held.exit_codes) == ([(0, 1)], [0])


def test_a_sequence_that_is_damaged_does_not_end_the_training(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not known which rows W&B has, the rows stay in the journal, it is said, and nothing raises."""
    for step in range(2):
        with ups.create_wandb_context(run_id="r", mode="offline", resume=True) as ctx:
            ctx.stage("a").log(step, loss=1.0)
            if step:
                monkeypatch.setenv("UPS_FINISH_TIMEOUT", "30")
        sequence = ctx.dir / "delivery" / "sequence.jsonl"
        sequence.write_text("no line of a sequence\n" + sequence.read_text())
    told = capsys.readouterr().err
    assert "sequence.jsonl is damaged" in told
    assert f"every row is in {ctx.dir / 'journal'}" in told
