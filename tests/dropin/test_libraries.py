"""Scripts that train with a library, which logs by wandb itself: W&B holds the same plainly and with one line."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ups
from dropin.compared import assert_the_same, runs_below
from environments import ROOT, environment

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


@pytest.mark.parametrize("name", SCRIPTS)
def test_wandb_holds_the_same(name: str, tmp_path: Path) -> None:
    """Rows, definitions, summary, configuration, files and artifacts of a library that calls wandb."""
    for way in ("plain", "journaled"):
        (tmp_path / way).mkdir()
    script = str(Path(__file__).parent / "libraries" / f"{name}.py")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
    own = {
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(ups.__file__).parents[1]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }
    done = subprocess.run(
        [python(), "-c", BOTH_WAYS.format(imports=SCRIPTS[name], script=script)],
        cwd=tmp_path,
        env=inherited | own,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plain, journaled = (runs_below(tmp_path / way) for way in ("plain", "journaled"))
    assert len(plain) == len(journaled) > 0
    for one, other in zip(plain, journaled, strict=True):
        assert_the_same(one, other)
    # What wandb's own process reads cannot be journaled: that run is guarded in its process.
    assert done.stderr.count("wandb's own process reads TensorBoard's files") == (name == "sb3_learn")


def python() -> Path:
    """The interpreter of an environment that has the libraries above what the tests have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = project["dependency-groups"]["libraries"]
    return environment("libraries", wanted, pins=[each for each in pins if each[:1] != "#"], above=Path(sys.executable))
