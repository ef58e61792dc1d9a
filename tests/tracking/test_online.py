"""Online, against a server on the loopback that the real client uploads to: what it holds in the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from waiting import wait_for
from wandb_server import Fault, Run, WandBServer, run_client, run_sync, start_client, start_process

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}

TRAINING = """
import time, ups
with ups.create_wandb_context(
    {"lr": 1e-3, "model": {"width": 32}, "api_key": "hidden"}, run_id="r", project="p", tags=["a"], group="g",
    stages=["operator", "diffusion_residual", "consistency_distill"],
) as ctx:
    for stage, steps in {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}.items():
        for step in range(steps):
            ctx.stage(stage).log(step, loss=1 / (step + 1), lr=1e-3)
            time.sleep(0.01)
    ctx.log_eval_summary({"l2": 1e-3})
    ctx.update_config({"found": 3})
    ctx.add_tags("late")
    ctx.alert("title", "text")
    print("the last line", flush=True)
"""


def assert_full(run: Run) -> None:
    """The server holds every step of every stage once, in order, and its own steps count every row."""
    for stage, steps in STAGES.items():
        axis, metric = f"training/{stage}/step", f"training/{stage}/loss"
        assert [point[0] for point in run.points(axis, metric)] == list(range(steps))
    assert [row["_step"] for row in run.history] == list(range(sum(STAGES.values())))


def run_dir(directory: Path) -> Path:
    return directory / "ups-runs" / "r"


def deliver(server: WandBServer, directory: Path) -> str:
    process = start_process(server, directory, ["-m", "ups", "deliver", str(run_dir(directory))])
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def journal(directory: Path) -> str:
    return "".join(path.read_text() for path in (run_dir(directory) / "journal").glob("*.jsonl"))


def end_delivery(directory: Path) -> None:
    """Kill the delivery that goes on in the background."""
    path = run_dir(directory) / "delivery" / "status.json"
    wait_for(path.exists)
    delivery = psutil.Process(json.loads(path.read_text())["pid"])
    assert "deliver" in delivery.cmdline()
    delivery.suspend()
    dying = [*delivery.children(recursive=True), delivery]
    for process in dying:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(dying, timeout=10)


def test_everything_arrives(wandb_server: WandBServer, tmp_path: Path) -> None:
    """History, configuration, summary, tags, group, console, alert and exit state are all at the server."""
    printed = run_client(wandb_server, tmp_path, TRAINING)
    run = wandb_server.run("r")
    assert_full(run)
    assert run.config["lr"] == 1e-3
    assert run.config["model"] == {"width": 32}
    assert run.config["api_key"] == "********"
    assert run.config["found"] == 3
    assert run.config["ups"] == {"stages": list(STAGES)}
    assert run.summary["eval/l2"] == 1e-3
    assert list(run.tags) == ["a", "late"]
    assert run.group == "g"
    assert run.exit_code == 0
    assert [alert.title for alert in run.alerts] == ["title"]
    assert run.output.splitlines()[-1] == "the last line"
    assert "6 of 6 charts full" in printed
    assert f"ups: in W&B: {wandb_server.url}/tester/p/runs/r" in printed


@pytest.mark.parametrize(
    "fault",
    [
        Fault(delay=0.3),
        Fault(hang=True, seconds=4),
        Fault(status=500, seconds=4),
        Fault(status=429, seconds=4),
        Fault(drop=True, seconds=4),
        Fault(status=403, match="file_stream", seconds=3),
        Fault(status=409, match="file_stream", seconds=3),
        Fault(status=403, seconds=4),
    ],
    ids=["slow", "hanging", "500", "429", "dropping", "403-stream", "409-stream", "403-all"],
)
def test_a_server_in_trouble_holds_every_row_in_the_end(
    wandb_server: WandBServer, tmp_path: Path, fault: Fault
) -> None:
    """Whatever the server does for a while, in the end it holds every row once."""
    with wandb_server.faulty(fault):
        run_client(wandb_server, tmp_path, TRAINING)
        # Where credentials are refused nobody waits.
        wait_for(lambda: (run := wandb_server.runs.get("r")) and run.exit_code is not None)
    assert_full(wandb_server.run("r"))


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", [Fault(drop=True, seconds=200), Fault(hang=True, seconds=200)], ids=["drop", "hang"])
def test_minutes_of_trouble_cost_no_row(wandb_server: WandBServer, tmp_path: Path, fault: Fault) -> None:
    """A server that cuts or does not answer for more than three minutes holds every row once when ``finish()`` ends."""
    with wandb_server.faulty(fault):
        process = start_client(wandb_server, tmp_path, TRAINING)
        printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed
    assert_full(wandb_server.run("r"))
    assert wandb_server.run("r").exit_code == 0


def test_a_server_that_fails_in_mid_run_holds_every_row_in_the_end(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A refusal for good in the middle of an upload starts a new session from the journal."""
    process = start_client(wandb_server, tmp_path, TRAINING)
    wait_for(lambda: "r" in wandb_server.runs and wandb_server.run("r").history)
    wandb_server.fault = Fault(status=403, match="file_stream", seconds=3)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert wandb_server.run("r").exit_code == 0
    assert_full(wandb_server.run("r"))


def test_a_server_that_goes_away_in_mid_run_holds_every_row_in_the_end(
    wandb_server: WandBServer, tmp_path: Path
) -> None:
    """Connections that are refused from the middle of the training until after its end cost no row."""
    process = start_client(wandb_server, tmp_path, TRAINING)
    wait_for(lambda: "r" in wandb_server.runs and wandb_server.run("r").history)
    with wandb_server.away():
        wait_for(lambda: '"end"' in journal(tmp_path))
        time.sleep(2)
        assert process.poll() is None
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert_full(wandb_server.run("r"))


@pytest.mark.parametrize("strict", [False, True])
def test_refused_credentials_are_told_at_once_and_delivered_later(
    wandb_server: WandBServer, tmp_path: Path, strict: bool
) -> None:
    """A key that the server refuses is told, ``finish()`` does not wait for it, and it raises only if ``strict``."""
    source = TRAINING.replace('run_id="r"', f'run_id="r", strict={strict}')
    with wandb_server.faulty(Fault(status=401)):
        process = start_client(wandb_server, tmp_path, source, UPS_FINISH_TIMEOUT="600")
        printed, _ = process.communicate(timeout=300)
        end_delivery(tmp_path)
    assert process.returncode == int(strict), printed
    assert ("DeliveryError" in printed) is strict
    assert "returned error 401" in printed
    assert printed.count("server refuses the credentials") == 2  # as it happens, and in the tree
    assert f"Deliver the rest with: ups deliver {run_dir(tmp_path)}" in printed
    assert "holds all 180 rows" in deliver(wandb_server, tmp_path)
    assert_full(wandb_server.run("r"))


def test_a_server_that_is_absent_at_the_start_holds_every_row_in_the_end(
    wandb_server: WandBServer, tmp_path: Path
) -> None:
    """A run starts and trains without its server; delivery connects when it is there."""
    with wandb_server.away():
        process = start_client(wandb_server, tmp_path, TRAINING)
        time.sleep(6)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert_full(wandb_server.run("r"))


def test_a_server_that_stays_away_is_told_and_delivered_later(wandb_server: WandBServer, tmp_path: Path) -> None:
    """``finish()`` says plainly what W&B does not hold and how to deliver it; that command then does."""
    with wandb_server.away():
        printed = run_client(wandb_server, tmp_path, TRAINING, UPS_FINISH_TIMEOUT="3")
        assert f"ups deliver {run_dir(tmp_path)}" in printed
        assert "delivery has not reported yet" in printed or "no row has been handed to wandb yet" in printed
        assert "6 of 6 charts full, 180 rows" in printed  # as they will be: no row that waits was never logged
        assert "ups: it is not known yet how many of 180 rows are in W&B" in printed
        checked = subprocess.run(
            [sys.executable, "-m", "ups", "check", run_dir(tmp_path)], capture_output=True, text=True, check=True
        )
        assert "6 of 6 charts full, 180 rows" in checked.stdout
        assert f"ups deliver {run_dir(tmp_path)}" in checked.stderr
        end_delivery(tmp_path)
    assert "holds all 180 rows" in deliver(wandb_server, tmp_path)
    assert_full(wandb_server.run("r"))


def test_a_killed_online_training_is_closed_as_failed(wandb_server: WandBServer, tmp_path: Path) -> None:
    """After ``kill -9`` the server gets every journaled row, and an exit code that says that the run failed."""
    process = start_client(wandb_server, tmp_path, TRAINING.replace("range(steps)", "range(steps * 100)"))
    wait_for(lambda: "r" in wandb_server.runs and wandb_server.run("r").history)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    status = run_dir(tmp_path) / "delivery" / "status.json"
    wait_for(lambda: json.loads(status.read_text())["state"] == "finished")
    run = wandb_server.run("r")
    assert run.exit_code == 1
    assert len(run.history) == journal(tmp_path).count('"values"')
    assert [row["_step"] for row in run.history] == list(range(len(run.history)))


def test_a_sync_by_hand_of_what_a_crash_left_doubles_nothing(wandb_server: WandBServer, tmp_path: Path) -> None:
    """``wandb sync`` of an online run's folders, named or asked for, before delivery and after, adds no row twice."""
    process = start_client(wandb_server, tmp_path, TRAINING.replace("range(steps)", "range(steps * 100)"))
    wait_for(lambda: "r" in wandb_server.runs and wandb_server.run("r").history)
    process.send_signal(signal.SIGSTOP)  # or it starts another delivery; and once it is gone, delivery closes the run
    end_delivery(tmp_path)
    process.kill()
    process.communicate()
    folders = sorted((run_dir(tmp_path) / "wandb").glob("run-*"))
    run_sync(wandb_server, tmp_path, *folders)
    run_sync(wandb_server, tmp_path, "--include-online", run_dir(tmp_path) / "wandb")
    deliver(wandb_server, tmp_path)
    run_sync(wandb_server, tmp_path, *folders)
    history = wandb_server.run("r").history
    assert [row["training/operator/step"] for row in history] == list(range(journal(tmp_path).count('"values"')))
    assert [row["_step"] for row in history] == list(range(len(history)))


@pytest.mark.parametrize(
    "quick", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["quick", "at wandb's own pace"]
)
def test_a_stop_in_the_browser_reaches_the_trainer(wandb_server: WandBServer, tmp_path: Path, quick: bool) -> None:
    """W&B's Stop button becomes ``ctx.should_stop``, the run goes on until then, and no session is given up."""
    source = """
    import time, ups
    with ups.create_wandb_context({}, run_id="r", project="p") as ctx:
        stage, step, began = ctx.stage("operator"), 0, time.monotonic()
        while not ctx.should_stop and time.monotonic() < began + 120:
            stage.log(step, loss=0.5)
            step += 1
            time.sleep(0.01)
        print("stopped", ctx.should_stop, step)
    """
    process = start_client(wandb_server, tmp_path, source, quick=quick)
    wait_for(lambda: "r" in wandb_server.runs)
    wandb_server.run("r").stop_requested = True
    printed, _ = process.communicate(timeout=300)
    assert "stopped True" in printed
    assert "trying again" not in printed
    steps = int(printed.partition("stopped True ")[2].split()[0])
    run = wandb_server.run("r")
    assert [row["training/operator/step"] for row in run.history] == list(range(steps))
