"""Runs that a server has, resumed by a script on a machine that does not; and settings that act at the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wandb_server import WandBServer, run_client

FIRST = """
import wandb
run = wandb.init(id="r", project="p", name="named", notes="noted", tags=["one"], config={"lr": 0.1})
run.config.update({"depth": 4})
for step in range(5):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""
AGAIN = """
import json
{line}
import wandb
try:
    run = wandb.init(id="r", project="p", resume="{resume}", config={{"lr": 0.2}})
except wandb.errors.UsageError as error:
    print("REFUSED")
else:
    run.tags += ("two",)
    held = [run.resumed, run.step, dict(run.config), run.summary["loss"] if run.resumed else None, run.notes, run.tags]
    print("HELD", json.dumps(held))
    for step in range(3):
        run.log({{"loss": -step}})
    run.finish()
"""
ONE_LINE = "import ups; ups.guard()"


def again(server: WandBServer, folder: Path, resume: str, line: str) -> Any:
    """Resume the run from a folder of its own; what its script sees, or None where it is refused."""
    folder.mkdir()
    printed = run_client(server, folder, AGAIN.format(line=line, resume=resume))
    if "REFUSED" in printed:
        assert "HELD" not in printed
        assert not list(folder.glob("ups-runs/*"))
        return None
    return json.loads(printed.split("HELD ", 1)[1].splitlines()[0])


@pytest.mark.parametrize("resume", ["allow", "must", "never"])
def test_a_script_sees_the_run_that_the_server_has(wandb_server: WandBServer, tmp_path: Path, resume: str) -> None:
    """Its step, configuration, summary, notes and tags as plainly, and W&B gets rows behind those that it has."""
    run_client(wandb_server, tmp_path, FIRST)
    journaled = again(wandb_server, tmp_path / "journaled", resume, ONE_LINE)
    if resume == "never":
        assert journaled is None
        assert [row["_step"] for row in wandb_server.run("r").history] == list(range(5))
        return
    assert journaled == [True, 5, {"lr": 0.2, "depth": 4}, 0.2, "noted", ["one", "two"]]
    run = wandb_server.run("r")
    assert [row["_step"] for row in run.history] == list(range(8))
    assert [row["loss"] for row in run.history[5:]] == [0, -1, -2]
    assert (run.name, run.notes, run.tags) == ("named", "noted", ["one", "two"])
    assert (run.config["lr"], run.config["depth"]) == (0.2, 4)


@pytest.mark.parametrize("resume", ["allow", "must", "never"])
def test_a_script_resumes_a_run_that_there_is_not(wandb_server: WandBServer, tmp_path: Path, resume: str) -> None:
    """``must`` is refused before anything is made at the server; the others begin it."""
    journaled = again(wandb_server, tmp_path / "journaled", resume, ONE_LINE)
    if resume == "must":
        assert journaled is None
        assert "r" not in wandb_server.runs
        return
    assert journaled == [False, 0, {"lr": 0.2}, None, None, ["two"]]
    assert len(wandb_server.run("r").history) == 3


def test_settings_of_the_script_hold_where_it_is_delivered(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A server and a key that only the script names, files that are not sent, a run that is left open."""
    code = f"""
import os
os.environ["WANDB_BASE_URL"] = "http://127.0.0.1:9"
key = os.environ.pop("WANDB_API_KEY")
import ups; ups.guard()
import wandb
own = dict(base_url={wandb_server.url!r}, api_key=key, ignore_globs=["*.txt"], x_update_finish_state=False)
run = wandb.init(id="r", project="p", settings=wandb.Settings(**own))
for name in ("left.txt", "kept.csv"):
    with open(name, "w") as file:
        file.write(name)
    run.save(name)
run.log({{"loss": 1.0}})
run.finish()
"""
    run_client(wandb_server, tmp_path, code)
    run = wandb_server.run("r")
    assert [row["loss"] for row in run.history] == [1.0]
    assert "kept.csv" in run.files
    assert "left.txt" not in run.files
    assert not run.complete
