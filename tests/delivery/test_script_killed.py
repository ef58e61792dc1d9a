"""A script's run whose deliveries are killed: no call is lost and none is doubled, media and summary included."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from delivery.test_script import messages, summary_of
from held import read_held
from run_directories import deliver, write_run
from ups.journal.run_directory import RunDirectory
from waiting import wait_for
from wandb_server import WandBServer, run_client

ROWS = 4_000
PICTURES = 100  # one in so many rows


def calls(rows: int) -> list[dict[str, Any]]:
    """Calls of a script whose steps are 10 apart, with an aggregate, two calls a row, and a picture at times."""
    records: list[dict[str, Any]] = [
        {"time": 1.0, "metric": {"name": "acc", "summary": "max,mean"}},
        {"time": 1.0, "metric": {"name": "val/*", "step_metric": "epoch"}},
    ]
    for row in range(rows):
        record: dict[str, Any] = {"time": 2.0 + row, "log": {"acc": row % 7, "loss": 1 / (row + 1)}, "step": 10 * row}
        if row % PICTURES == 0:
            path = f"media/images/p_{row}.png"
            records.append({"time": 2.0 + row, "kept": {"path": path, "policy": "now"}})
            record["log"]["picture"] = {"_type": "image-file", "path": path, "size": 1}
        records.append(record)
        if row % 5 == 0:
            records.append({"time": 2.0 + row, "log": {"val/acc": row, "epoch": row}, "step": 10 * row})
    return records


def run_of(folder: Path, rows: int, **described: Any) -> Path:
    """The run's directory."""
    run = write_run(folder / "killed", calls(rows), project="p", **described)
    (run / "files" / "media" / "images").mkdir(parents=True)
    for row in range(0, rows, PICTURES):
        (run / "files" / "media" / "images" / f"p_{row}.png").write_text(str(row))
    return run


def kill_a_delivery(run: Path, size: int) -> None:
    """Start a delivery, and kill it with its wandb-core once that has written so many bytes."""
    before = {path for path in RunDirectory(run).segments() if path.stat().st_size}

    def written() -> bool:
        fresh = [path.stat().st_size for path in RunDirectory(run).segments() if path not in before]
        return process.poll() is not None or sum(fresh) > size

    log = (run / "delivery" / "killed.txt").open("ab")
    process = subprocess.Popen([sys.executable, "-m", "ups", "deliver", str(run)], stdout=log, stderr=log)
    try:
        wait_for(written)
        dying = psutil.Process(process.pid).children(recursive=True)
        for each in dying:
            each.kill()
        psutil.wait_procs(dying, timeout=10)
    except psutil.NoSuchProcess:
        pass
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_offline_no_call_is_lost_or_doubled(kills: int, tmp_path: Path) -> None:
    """Killed at random instants, then left to finish: the rows, numbers, files and summary of one whole delivery."""
    chance = random.Random(kills)
    run = run_of(tmp_path, ROWS)
    for _ in range(kills):
        kill_a_delivery(run, chance.randrange(400_000))
    deliver(run)
    held = read_held(run)
    assert [row["_step"] for row in held.rows] == [10 * row for row in range(ROWS)]
    assert [row["acc"] for row in held.rows] == [row % 7 for row in range(ROWS)]
    assert [row["val/acc"] for row in held.rows if "val/acc" in row] == list(range(0, ROWS, 5))
    assert len(RunDirectory(run).segments()) > 1
    last = RunDirectory(run).segments()[-1].parent
    for row in range(0, ROWS, PICTURES):
        assert (last / "files" / "media" / "images" / f"p_{row}.png").read_text() == str(row)
    assert {file.path for files in messages(last.parent.parent, "files") for file in files.files} >= {
        f"media/images/p_{row}.png" for row in range(0, ROWS, PICTURES)
    }
    summary = summary_of(run)
    assert summary["acc.max"] == 6
    assert summary["acc.mean"] == pytest.approx(sum(row % 7 for row in range(ROWS)) / ROWS)
    assert summary["val/acc"] == ROWS - 5


def test_online_no_call_is_lost_or_doubled(tmp_path: Path, wandb_server: WandBServer) -> None:
    """A delivery is killed while it sends; the next asks the server, and sends the rest."""
    rows = 2_000
    run = run_of(tmp_path, rows, mode="online")
    code = f"""
import random, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from delivery.test_script_killed import kill_a_delivery
from run_directories import deliver
chance = random.Random(1)
for _ in range(3):
    kill_a_delivery(Path(sys.argv[1]), chance.randrange(150_000))
deliver(Path(sys.argv[1]))
"""
    run_client(wandb_server, tmp_path, code, str(run))
    held = wandb_server.run("killed")
    assert [row["_step"] for row in held.history] == [10 * row for row in range(rows)]
    assert [row["acc"] for row in held.history] == [row % 7 for row in range(rows)]
    assert held.summary["acc"]["mean"] == pytest.approx(sum(row % 7 for row in range(rows)) / rows)
