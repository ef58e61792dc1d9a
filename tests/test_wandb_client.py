"""What the real wandb client does that UPS leans on: with a server that refuses or stops, and with odd definitions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb

from waiting import wait_for
from wandb_server import Fault, Run, WandBServer, run_client, start_client, word_after

LOG_ROWS = """
    import wandb

    run = wandb.init(project="pde", id="refused")
    for number in range(100):
        run.log({"loss": number})
    run.finish()
"""

LOG_FOR_A_WHILE = """
    import sys
    import time
    from pathlib import Path
    import wandb

    stopped = []
    wanted = {"stop_on_fatal_error": True, "stop_fn": lambda: stopped.append(time.time())}
    settings = wandb.Settings(**{name: wanted[name] for name in wanted if name in wandb.Settings.model_fields})
    run = wandb.init(project="pde", id=sys.argv[1], settings=settings)
    started, number = time.time(), 0
    while not (stopped or Path("enough").exists()) and time.time() - started < 120:
        run.log({"loss": number})
        number += 1
        time.sleep(0.02)
    run.finish()
    print("ROWS", number, "STOPPED AFTER", stopped[0] - started if stopped else None)
"""

INIT_WITHOUT_SERVER = """
    import os
    import sys
    import time
    import wandb

    def init(mode):
        started = time.time()
        try:
            wandb.init(project="pde", id="late", mode=mode, settings=wandb.Settings(init_timeout=2))
        except Exception as error:
            print("RAISED", type(error).__name__, int(time.time() - started), str(error).partition("\\n")[0])
        sys.stdout.flush()

    init("online")
    init("offline")
    os._exit(0)  # an older wandb waits at the exit
"""


def test_passing_faults_cost_nothing(wandb_server: WandBServer, tmp_path: Path) -> None:
    """After errors, throttling, cut connections, lost answers and an absence, each row is there once."""
    client = start_client(wandb_server, tmp_path, LOG_FOR_A_WHILE, "faulty")
    wait_for(lambda: "faulty" in wandb_server.runs)
    run = wandb_server.run("faulty")
    wait_for(lambda: bool(run.history))
    for fault in (
        Fault(status=500, match="file_stream", requests=1),
        Fault(status=429, match="file_stream", requests=1),
        Fault(drop=True, match="file_stream", requests=1),
        Fault(drop=True, lost_answer=True, match="file_stream", requests=1),
    ):
        wandb_server.fault = fault
        wait_for(lambda: wandb_server.faults.struck == 1)
    with wandb_server.away():
        time.sleep(1.0)
    (tmp_path / "enough").touch()
    output, _ = client.communicate(timeout=300)
    count, stopped = word_after(output, "ROWS").split(" STOPPED AFTER ")
    assert [row["loss"] for row in run.history] == list(range(int(count)))
    assert (run.state, stopped) == ("finished", "None")
    assert run.resent_lines > 0


def test_a_fatal_answer_loses_the_run_quietly(wandb_server: WandBServer, tmp_path: Path) -> None:
    """One 403 ends the upload for good, and `finish` returns as if all were well."""
    wandb_server.fault = Fault(status=403, match="file_stream", requests=1)
    run_client(wandb_server, tmp_path, LOG_ROWS)
    run = wandb_server.run("refused")
    assert (run.history, run.state, run.exit_code) == ([], "running", None)


REPORTS_REFUSALS = pytest.mark.skipif(
    "stop_on_fatal_error" not in wandb.Settings.model_fields, reason="this wandb does not report a fatal answer"
)
CALLS_STOP = pytest.mark.skipif("stop_fn" not in wandb.Settings.model_fields, reason="this wandb has no stop_fn")


def refuse(server: WandBServer, run: Run) -> None:
    server.fault = Fault(status=409, match="file_stream", requests=1)


def press_stop(server: WandBServer, run: Run) -> None:
    run.stop_requested = True


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(refuse, id="a fatal answer", marks=REPORTS_REFUSALS),
        pytest.param(press_stop, id="the stop button", marks=CALLS_STOP),
    ],
)
def test_stop_fn_is_called(stop: Callable[[WandBServer, Run], None], wandb_server: WandBServer, tmp_path: Path) -> None:
    """With `stop_on_fatal_error`, or stopped on the server: at the first poll after, and polls are 15 s apart."""
    client = start_client(wandb_server, tmp_path, LOG_FOR_A_WHILE, "stopped")
    wait_for(lambda: "stopped" in wandb_server.runs and bool(wandb_server.run("stopped").history))
    stop(wandb_server, wandb_server.run("stopped"))
    output, _ = client.communicate(timeout=300)
    assert 5 < float(word_after(output, "STOPPED AFTER")) < 120, output


def test_init_without_a_server_raises(tmp_path: Path) -> None:
    """`init` tries to log in for 10 s, then for `init_timeout`; then its run id is spent in that process.

    The next `init` with that id is refused, or waits in vain.
    """
    output = run_client(WandBServer(), tmp_path, INIT_WITHOUT_SERVER)
    first, second = (line for line in output.splitlines() if line.startswith("RAISED"))
    name, seconds, _ = first.removeprefix("RAISED ").split(" ", 2)
    assert name == "CommError"
    assert int(seconds) >= 11
    assert "run ID late is in use" in second or "timed out after 2.0 sec" in second


def test_a_star_inside_a_name_raises(tmp_path: Path) -> None:
    """Only a trailing star is a glob: docs/explanation/charts.md states it."""
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    with wandb.init(mode="offline", dir=tmp_path, settings=settings) as run:
        run.define_metric("train/*", step_metric="train/step")
        with pytest.raises(wandb.Error, match=r"glob suffixes only"):
            run.define_metric("train/*/loss", step_metric="train/step")
    page = Path(__file__).parents[1] / "docs" / "explanation" / "charts.md"
    assert "glob suffixes only" in page.read_text(encoding="utf-8")
