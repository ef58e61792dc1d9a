"""The wheel alone, without wandb and without extras: small, and enough to check, repair, export and track."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from release.installed import Installed
from runfile.real_runs import wandb_file
from ups.check import Verdict

pytestmark = pytest.mark.timeout(600)  # the environments are made in the first tests

MOST_PACKAGES = 12
MOST_BYTES = 80e6

TRAINING = """
import sys, ups
with ups.create_wandb_context({"lr": 0.1}, mode=sys.argv[1], stages=["operator", "distill"]) as ctx:
    for name, steps in (("operator", 30), ("distill", 10)):
        for step in range(steps):
            ctx.stage(name).log(step, loss=1 / (step + 1))
print(len(ups.open_run(ctx.dir).column("training/operator/loss").rows))
"""


OLDEST = pytest.mark.skipif(sys.version_info >= (3, 12), reason="older than this Python")


@pytest.fixture(scope="module", params=["newest", pytest.param("oldest", marks=OLDEST)])
def light(request: pytest.FixtureRequest) -> Installed:
    """UPS without extras."""
    return Installed(request.param)


def test_it_asks_for_little(capsys: pytest.CaptureFixture[str]) -> None:
    """Packages and bytes, with compiled files as pip leaves them, and NumPy among them."""
    names, size = Installed("newest").packages()
    with capsys.disabled():
        print(f"\npip install ups-tracking: {len(names)} packages, {size / 1e6:.1f} MB ({', '.join(names)})")
    assert "wandb" not in names
    assert len(names) <= MOST_PACKAGES
    assert size <= MOST_BYTES


def test_a_run_is_checked_repaired_and_exported(light: Installed) -> None:
    """A .wandb file of the real client, of which all charts were frozen."""
    shutil.copyfile(wandb_file("frozen"), "run.wandb")
    before = charts(light, "run.wandb", expect=1)
    assert Verdict.FROZEN in {verdict for verdict, _ in before.values()}
    assert "frozen" in light.run("ups", "check", "run.wandb", expect=1).stdout
    light.run("ups", "repair", "run.wandb", "-o", "repaired")
    after = charts(light, "repaired")
    assert {verdict for verdict, _ in after.values()} == {Verdict.FULL}
    light.run("ups", "export", "run.wandb", "--to", "csv", "-o", "run.csv")
    with Path("run.csv").open(newline="") as file:
        assert before.keys() <= set(next(csv.reader(file)))


def test_a_training_is_tracked_in_its_journal(light: Installed) -> None:
    """With ``mode="local"``: it is read back at its end, checked, and ``ups doctor`` finds that UPS works here."""
    Path("train.py").write_text(TRAINING)
    done = light.run("python", "train.py", "local")
    assert done.stdout == "30\n"
    assert "journaled only" in done.stderr
    assert charts(light, "ups-runs") == {
        "training/operator/loss": (Verdict.FULL, 30),
        "training/distill/loss": (Verdict.FULL, 10),
    }
    found = {each["about"]: each for each in json.loads(light.run("ups", "doctor", "--format", "json").stdout)["found"]}
    assert found["trial"]["found"] == "a small local run was tracked and read back: 2 of 2 charts full"
    assert found["wandb"]["state"] == "note"
    assert found["mode"]["found"].startswith("runs are offline by default, and wandb is not installed")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("ups show RUN", "show"),
        ("ups report RUN -o report.html", "show"),
        ("ups deliver RUN", "wandb"),
        ("ups export RUN --to parquet -o run.parquet", "polars"),
        ("ups train", "simulator"),
        ("ups evaluate RUN", "simulator"),
        ("ups run train.py", "wandb"),
        ("python train.py offline", "wandb"),
        ("python train.py online", "wandb"),
    ],
)
def test_what_needs_an_extra_names_it(light: Installed, command: str, extra: str) -> None:
    """In the last line that is printed. Nothing was begun that would be lost."""
    Path("train.py").write_text(TRAINING)
    run = wandb_file("frozen")
    words = [str(run) if word == "RUN" else word for word in command.split()]
    done = light.run(*words, expect=None)
    assert done.returncode == (1 if words[1] == "train.py" else 2)
    *above, last = done.stderr.splitlines()
    assert f"is not installed: pip install 'ups-tracking[{extra}]'" in last
    assert above == [] or words[1] == "train.py"
    assert {path.name for path in Path().iterdir()} == {"train.py"}


def charts(light: Installed, path: str, *, expect: int = 0) -> dict[str, tuple[str, int]]:
    """Each chart's verdict and points, as ``ups check`` has them."""
    (run,) = json.loads(light.run("ups", "check", path, "--format", "json", expect=expect).stdout)["runs"]
    return {chart["metric"]: (chart["verdict"], chart["points"]) for chart in run["charts"]}
