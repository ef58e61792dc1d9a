"""Scripts as people write them, run plainly and under UPS: W&B holds the same of both."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb

from alone import run_alone
from dropin.compared import assert_the_same, runs_below
from environments import THIS_SESSION, kept
from held import read_held
from ups.dropin.turn_on import knows

pytestmark = pytest.mark.skipif(not knows(wandb.__version__), reason="this wandb is guarded in the script's process")
FOLDER = Path(__file__).with_name("scripts")
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if path.stem != "resumed"]


def runs_of(script: Path, *under: str) -> list[Path]:
    """The ``.wandb`` folders that a script leaves, oldest first; with ``under``, the modules that run it."""
    name = f"dropin-{script.stem}-{'-'.join(under) or 'plain'}"
    with kept(name, THIS_SESSION) as (folder, new):
        if new:
            run_alone(folder, *under, script, WANDB_MODE="offline", WANDB_CONSOLE="off")
    return runs_below(folder)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_wandb_holds_is_the_same(script: Path) -> None:
    """Rows with their numbers, names, definitions, summary, configuration, files byte for byte."""
    plain, journaled = runs_of(script), runs_of(script, "-m", "ups.guard")
    assert len(plain) == len(journaled) > 0
    for one, other in zip(plain, journaled, strict=True):
        assert_the_same(one, other)


def test_a_script_that_resumes_goes_on_with_its_run_offline_too() -> None:
    """Plain wandb begins again at step 0 in its second file; the journal's run continues, as it does online."""
    plain, journaled = runs_of(FOLDER / "resumed.py"), runs_of(FOLDER / "resumed.py", "-m", "ups.guard")
    assert [[row["_step"] for row in read_held(each).rows] for each in plain] == [list(range(5)), list(range(5))]
    (links,) = {each.parents[3] / "wandb" for each in journaled}
    linked = {link.resolve().parent for link in links.glob("offline-run-*/run-*.wandb")}
    assert linked == set(journaled)
    (latest,) = (links / "latest-run").glob("run-*.wandb")
    assert latest.resolve().parent == journaled[-1]
    steps = [row["_step"] for each in journaled for row in read_held(each).rows]
    epochs = [row["epoch"] for each in journaled for row in read_held(each).rows]
    assert steps == epochs == list(range(10))
