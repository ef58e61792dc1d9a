"""A dashboard on runs that train meanwhile, and on what can happen to them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dashboard.server import Events, eventually, show
from repair.broken_runs import LOSS
from runfile.real_runs import wandb_file

STEPS = 60
TRAINING = f"""
import sys, time, ups
with ups.create_wandb_context({{}}, mode="local", dir="runs", stages=["operator"]) as ctx:
    stage = ctx.stage("operator")
    for step in range({STEPS}):
        stage.log(step, loss=float("inf") if step == 5 else step / 2)
        if step == 0:
            print(ctx.dir, flush=True)
            sys.stdin.readline()
        time.sleep(0.02)
    sys.stdin.readline()
    stage.log({STEPS}, loss=0.25, late=1.0)
    ctx.log_eval_summary({{"l2": 0.5}})
    sys.stdin.readline()
"""
PLAIN = f"""
import sys, time, wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", project="shown", settings=settings)
run.define_metric("{LOSS}", step_metric="training/operator/step")
for step in range(400):
    run.log({{"{LOSS}": step / 2, "training/operator/step": step, "filler": "x" * 400}})
    if step in (199, 399):
        print(step, flush=True)
        sys.stdin.readline()
run.finish()
"""


@contextmanager
def training(source: str) -> Iterator[subprocess.Popen[str]]:
    """A script that trains until it is told to go on, line by line."""
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a training run to its next stop."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def first_line(process: subprocess.Popen[str]) -> str:
    """What a training says when it has got somewhere."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def copy_of_staged(folder: Path) -> Path:
    """A run with three charts that are full, copied into a folder, where it is there at once."""
    source = wandb_file("staged").parent
    copied = shutil.copytree(source, folder.parent / "copied" / source.name, symlinks=True)
    folder.mkdir(exist_ok=True)
    return copied.rename(folder / source.name)


def test_five_browsers_follow_one_training() -> None:
    """Each of five gets every point once and in order, then the new chart, the summary and how it ended."""
    with training(TRAINING) as process, show(".") as shown:
        first_line(process)
        key = eventually(shown.runs, lambda runs: [run["state"] for run in runs] == ["running"])[0]["key"]
        shown.get(f"/api/runs/{key}")
        browsers = [Events(shown, f"/api/runs/{key}/events?view={view}") for view in ["wandb"] * 3 + ["meant"] * 2]
        go_on(process)
        for events in browsers:
            eventually(partial(events.points, LOSS), lambda points: len(points) == STEPS - 2)
            assert events.points(LOSS) == [(step, step / 2) for step in range(1, STEPS) if step != 5]
            marks = [mark for data in events.of("points") for line in data["series"] for mark in line["marks"]]
            assert [(mark["x"], mark["kind"]) for mark in marks] == [(5, "inf")]
        go_on(process)
        for events in browsers:
            eventually(partial(events.newest, "run"), lambda run: "eval/l2" in run["summary"])
            assert len(events.newest("run")["views"]["wandb"]) == 2
        go_on(process)
        for events in browsers:
            eventually(partial(events.newest, "run"), lambda run: run["card"]["state"] == "finished")
        assert shown.points(key, LOSS)[-1] == (STEPS, 0.25)


def test_a_run_of_plain_wandb_grows() -> None:
    """A run that UPS did not make is followed in its ``.wandb`` file as wandb writes it, up to its end."""
    with training(PLAIN) as process, show(".") as shown:
        first_line(process)
        key = eventually(shown.runs, lambda runs: [run["state"] for run in runs] == ["running"])[0]["key"]
        early = len(eventually(lambda: shown.points(key, LOSS), lambda points: len(points) > 50))
        assert early <= 200
        events = Events(shown, f"/api/runs/{key}/events?view=wandb")
        go_on(process)
        first_line(process)
        go_on(process)
        eventually(lambda: events.newest("run")["card"]["state"], lambda state: state == "finished")
        eventually(lambda: len(shown.points(key, LOSS)), lambda count: count == 400)
        assert shown.points(key, LOSS) == [(step, step / 2) for step in range(400)]
        ends = lambda: [  # noqa: E731
            line["end"] for data in events.of("points") for line in data["series"] if line["metric"] == LOSS
        ]
        assert max(eventually(ends, lambda ends: 400 in ends)) == 400


def test_the_trainer_is_killed() -> None:
    """A run whose process is killed is shown as crashed, with every row for which ``log()`` had returned."""
    with training(TRAINING) as process, show(".") as shown:
        first_line(process)
        key = eventually(shown.runs, lambda runs: len(runs) == 1)[0]["key"]
        shown.get(f"/api/runs/{key}")
        events = Events(shown, f"/api/runs/{key}/events?view=wandb")
        process.send_signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: events.newest("run")["card"]["state"], lambda state: state == "crashed")
        assert shown.points(key, LOSS) == [(0, 0)]
        assert shown.runs()[0]["state"] == "crashed"


def test_a_run_is_deleted_while_it_is_looked_at(tmp_path: Path) -> None:
    """Browsers are told that it is gone, what was read of it stays, and its card disappears; it may come back."""
    folder = copy_of_staged(tmp_path / "runs")
    with show(tmp_path / "runs") as shown:
        key = shown.runs()[0]["key"]
        shown.run(key)
        listening, cards = Events(shown, f"/api/runs/{key}/events?view=wandb"), Events(shown, "/api/events")
        shutil.rmtree(folder)
        eventually(lambda: listening.of("gone"), lambda gone: gone == [{"key": key}])
        eventually(lambda: cards.of("gone"), lambda gone: gone == [{"key": key}])
        assert shown.runs() == []
        assert len(shown.points(key, LOSS)) == 100
        assert Events(shown, f"/api/runs/{key}/events?view=wandb").newest("gone") == {"key": key}
        copy_of_staged(tmp_path / "runs")
        eventually(shown.runs, lambda runs: len(runs) == 1)
        assert len(shown.points(key, LOSS)) == 100


def test_a_run_is_damaged_while_it_is_looked_at(tmp_path: Path) -> None:
    """Its file is overwritten with something shorter and broken: what is left is shown, with what is wrong."""
    path = tmp_path / "run-staged.wandb"
    data = wandb_file("staged").read_bytes()
    path.write_bytes(data)
    with show(path) as shown:
        key = shown.runs()[0]["key"]
        assert len(shown.points(key, LOSS)) == 100
        middle = len(data) // 2
        path.write_bytes(data[: middle - 3000] + bytes(200) + data[middle:])
        run = eventually(
            lambda: shown.get(f"/api/runs/{key}"),
            lambda run: any(found["code"] == "damaged-file" for found in run["findings"]),
        )
        assert 0 < run["card"]["rows"] < 180
        path.write_bytes(b"nothing of the kind" * 100)
        eventually(shown.runs, lambda runs: "not a W&B run file" in (runs[0]["message"] or ""))
        assert shown.runs()[0]["state"] == "unreadable"
        for _ in range(20):  # it is looked at again and again
            assert shown.get(f"/api/runs/{key}")["card"]["rows"] == run["card"]["rows"]
            time.sleep(0.05)


def test_a_run_appears_on_an_empty_page(tmp_path: Path) -> None:
    """A folder without runs is served all the same, which is said; a run that comes is told to those who wait."""
    (tmp_path / "later").mkdir()
    with show(tmp_path / "later") as shown:
        assert shown.runs() == []
        cards = Events(shown, "/api/events")
        assert cards.newest("runs") == {"folders": [str(tmp_path / "later")], "runs": []}
        copy_of_staged(tmp_path / "later")
        eventually(lambda: cards.newest("run"), lambda card: card["health"] is not None)
        assert cards.of("run")[0]["state"] == "finished"
        assert shown.process.stdout is not None
        assert "No run below" in shown.process.stdout.readline()


def test_a_thousand_runs(tmp_path: Path) -> None:
    """A thousand runs are all listed, before any of them was opened, and the server goes on answering."""
    source = wandb_file("staged")
    for number in range(1000):
        folder = (
            tmp_path
            / "wandb"
            / f"offline-run-20250101_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}-r{number}"
        )
        folder.mkdir(parents=True)
        shutil.copy(source, folder / f"run-r{number}.wandb")
    with show(tmp_path) as shown:
        cards = shown.runs()
        assert len({card["key"] for card in cards}) == 1000
        assert {card["state"] for card in cards} == {"finished"}
        assert len(shown.points(cards[0]["key"], LOSS)) == 100
