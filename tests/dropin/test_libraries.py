"""Scripts that train with a library, which logs by wandb itself: W&B holds the same plainly and with one line."""

from __future__ import annotations

import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

import ups
from alone import run_alone
from dropin.compared import assert_the_same, runs_below
from environments import ROOT, environment
from held import read_held
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status
from waiting import wait_for

SCRIPTS = {
    "keras_fit": "keras, tensorflow",
    "lightgbm_train": "lightgbm",
    "sb3_learn": "stable_baselines3",
    "trl_sft": "datasets, transformers.trainer",
    "xgboost_train": "xgboost",
}
"""With what each imports first, which takes seconds: both ways of running it are forks of one process."""
BOTH_WAYS = """
import os, runpy, sys
import {imports}
assert not {{"ups", "wandb"}} & sys.modules.keys()
for way in ("plain", "journaled"):
    if os.fork() == 0:
        os.chdir(way)
        if way == "journaled":
            import ups
            ups.guard()
        runpy.run_path({script!r}, run_name="__main__")
        break
    _, status = os.wait()
    assert status == 0, way
"""
NOTEBOOKS = """
import nbclient, nbformat
for way, line in (("plain", ""), ("journaled", "import ups; ups.guard()")):
    cells = [
        line + "\\nimport wandb",
        "wandb.init(id='one')",
        "for step in range(3): wandb.log({'loss': 1 / (step + 1)})",
        "wandb.log({'loss': 0.0}); wandb.log({'loss': -1.0})",
        "run = wandb.init(id='two')",
        "assert wandb.run is run and run.id == 'two'",
        "for step in range(5): run.log({'loss': step}, step=10 * step)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": way}}, shutdown_kernel="graceful").execute()
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_wandb_holds_the_same(name: str, tmp_path: Path) -> None:
    """Rows, definitions, summary, configuration, files and artifacts of a library that calls wandb."""
    script = str(Path(__file__).parent / "libraries" / f"{name}.py")
    printed = run_in(tmp_path, BOTH_WAYS.format(imports=SCRIPTS[name], script=script))
    plain, journaled = (runs_below(tmp_path / way) for way in ("plain", "journaled"))
    assert len(plain) == len(journaled) > 0
    for one, other in zip(plain, journaled, strict=True):
        assert_the_same(one, other)
    # What wandb's own process reads cannot be journaled: that run is guarded in its process.
    assert printed.count("wandb's own process reads TensorBoard's files") == (name == "sb3_learn")


def test_a_notebook_ends_a_run_where_the_next_begins(tmp_path: Path) -> None:
    """In each cell it is wandb's own: ``wandb.init`` again finishes the run before, and restarting ends the last."""
    printed = run_in(tmp_path, NOTEBOOKS)
    runs = [RunDirectory.open(tmp_path / "journaled" / "ups-runs" / run_id) for run_id in ("one", "two")]
    for run in runs:  # a kernel does not wait long at its end
        wait_for(partial(is_delivered, run))
    plain, journaled = (runs_below(tmp_path / way) for way in ("plain", "journaled"))
    assert len(plain) == len(journaled) == 2, printed
    for one, other in zip(plain, journaled, strict=True):
        assert_the_same(one, other)
        assert len(read_held(other).rows) == 5


def is_delivered(run: RunDirectory) -> bool:
    """True once a delivery has closed the run."""
    status = read_status(run)
    return status is not None and status.state == "finished"


def run_in(folder: Path, code: str) -> str:
    """Run code offline, in an environment with the libraries, above a folder for each way; return what it printed."""
    for way in ("plain", "journaled"):
        (folder / way).mkdir()
    own = {
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(ups.__file__).parents[1]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    done = run_alone(folder, "-c", code, python=python(), **own)
    return done.stdout + done.stderr


def python() -> Path:
    """The interpreter of an environment that has the libraries above what the tests have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = project["dependency-groups"]["libraries"]
    return environment("libraries", wanted, pins=[each for each in pins if each[:1] != "#"], above=Path(sys.executable))
