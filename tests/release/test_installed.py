"""UPS as a stranger has it: the wheel in an empty environment, with the newest and the oldest of what it needs.

``test_light.py`` has the wheel alone.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from environments import ROOT
from release.installed import Installed
from ups.check import CODES

pytestmark = pytest.mark.timeout(900)  # the environments are made in the first tests

EXAMPLES = ROOT / "examples"

TRAINING = """
import ups
with ups.create_wandb_context({"lr": 0.1}, mode="offline", stages=["operator", "residual", "distill"]) as ctx:
    for name, steps in (("operator", 30), ("residual", 20), ("distill", 10)):
        stage = ctx.stage(name)
        for step in range(steps):
            stage.log(step, loss=1 / (step + 1))
"""
BROKEN = """
import wandb
run = wandb.init(mode="offline")
for stage, steps in (("operator", 30), ("residual", 20)):
    run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for step in range(steps):
        run.log({f"training/{stage}/loss": 1 / (step + 1)})
run.finish()
"""
GUARDED = """
import wandb
run = wandb.init(mode="offline")
for stage, steps in (("operator", 30), ("residual", 20)):
    for step in range(steps):
        run.log({f"{stage}/loss": 1 / (step + 1)}, step=step)
run.finish()
"""


OLDEST = pytest.mark.skipif(sys.version_info >= (3, 12), reason="older than this Python")


@pytest.fixture(scope="module", params=["newest", pytest.param("oldest", marks=OLDEST)])
def installed(request: pytest.FixtureRequest) -> Installed:
    """UPS with what tracks in W&B and shows runs."""
    return Installed(request.param, "show", "wandb")


@pytest.fixture(scope="module")
def trained(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that was tracked with it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.py").write_text(TRAINING)
    installed.run("python", "train.py", cwd=folder)
    (run,) = (folder / "ups-runs").iterdir()
    return run


def charts(installed: Installed, path: str | Path, *, expect: int = 0) -> dict[str, tuple[str, int]]:
    """Each chart's verdict and points, as ``ups check`` has them."""
    done = installed.run("ups", "check", path, "--format", "json", expect=expect)
    (run,) = json.loads(done.stdout)["runs"]
    return {chart["metric"]: (chart["verdict"], chart["points"]) for chart in run["charts"]}


def test_it_is_the_wheel(installed: Installed) -> None:
    """What is imported lies in the environment, and no other extra is there."""
    code = "import importlib.util as u, ups; print(ups.__file__, u.find_spec('torch'), u.find_spec('pandas'))"
    home = installed.python.parents[1]
    assert re.fullmatch(rf"{home}/lib/\S+/ups/__init__.py None None\n", installed.run("python", "-c", code).stdout)


def test_a_training(installed: Installed, trained: Path) -> None:
    """Three stages are tracked; check, export, report and the dashboard have every row."""
    rows = {"training/operator/loss": 30, "training/residual/loss": 20, "training/distill/loss": 10}
    assert charts(installed, trained) == {metric: ("full", count) for metric, count in rows.items()}

    installed.run("ups", "export", trained, "--to", "csv", "-o", "run.csv")
    with Path("run.csv").open(newline="") as file:
        exported = list(csv.DictReader(file))
    assert {metric: sum(row[metric] != "" for row in exported) for metric in rows} == rows

    installed.run("ups", "report", trained, "-o", "report.html")
    report = Path("report.html").read_text(encoding="utf-8")
    assert all(metric in report for metric in rows)
    assert shown_metrics(installed, trained) == set(rows)


def shown_metrics(installed: Installed, run: Path) -> set[str]:
    """The metrics of a run that ``ups show`` tells a browser, after its page."""
    command = [str(installed.python.parent / "ups"), "show", str(run), "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=installed.surroundings)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        address = found[0].rstrip("/")
        with urlopen(address, timeout=60) as answer:
            scripts = re.findall(r'src="([^"]+\.js)', answer.read().decode())
        assert scripts
        for script in scripts:
            with urlopen(f"{address}/{script.lstrip('./')}", timeout=60) as answer:
                assert answer.status == 200
        (card,) = ask(f"{address}/api/runs")["runs"]
        told = ask(f"{address}/api/runs/{card['key']}")
        while told["read"] < 1:
            told = ask(f"{address}/api/runs/{card['key']}")
        return {chart["metric"] for chart in told["views"]["wandb"]}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def ask(address: str) -> Any:
    """What JSON the dashboard answers with."""
    with urlopen(address, timeout=60) as answer:
        return json.load(answer)


def test_a_broken_run(installed: Installed) -> None:
    """What plain wandb made is found to be broken, and repaired in a copy; the guard keeps the next one whole."""
    Path("broken.py").write_text(BROKEN)
    installed.run("python", "broken.py")
    before = charts(installed, "wandb", expect=1)
    assert {verdict for verdict, _ in before.values()} == {"frozen"}
    installed.run("ups", "repair", "wandb/latest-run", "-o", "repaired")
    after = charts(installed, "repaired")
    assert after == {"training/operator/loss": ("full", 30), "training/residual/loss": ("full", 20)}

    shutil.rmtree("wandb")
    Path("guarded.py").write_text(GUARDED)
    installed.run("python", "-m", "ups.guard", "guarded.py")
    assert charts(installed, "wandb") == {"operator/loss": ("full", 30), "residual/loss": ("full", 20)}


def test_what_it_tells(installed: Installed) -> None:
    """Every finding has its page, the version is told, and ``ups doctor`` finds that UPS works here."""
    explain = "from ups.check import CODES, explain; print(len(CODES), all(explain(code).strip() for code in CODES))"
    assert installed.run("python", "-c", explain).stdout == f"{len(CODES)} True\n"
    assert installed.run("ups", "--version").stdout.startswith("ups, version ")
    installed.run("ups", "doctor")


TYPED = """
import ups

with ups.create_wandb_context({"lr": 0.1}, mode="offline") as ctx:
    ctx.stage("operator").log(0, loss=1.0)
    ctx.stage("operator").log("first", loss=1.0)
ups.nothing
"""


@pytest.mark.release
def test_a_type_checker_knows_it(installed: Installed) -> None:
    """Right code passes mypy's strict mode; a step that is text, and a name that is not there, do not."""
    Path("user.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.python), "user.py"]
    told = subprocess.run(mypy, capture_output=True, text=True, check=False).stdout
    assert re.findall(r"user.py:(\d+): error: .*\[(.+)\]", told) == [("6", "arg-type"), ("7", "attr-defined")], told


IMAGE = """
import base64, numpy, pathlib, ups
png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
pathlib.Path("field.png").write_bytes(base64.b64decode(png))
with ups.create_wandb_context({{}}, mode="offline", strict=True) as ctx:
    ctx.log_image("field", {})
"""
TABLE = """
import sys, ups
assert len(ups.open_run(sys.argv[1]).to_{}()) == 60
"""
USES = {
    "media": IMAGE.format("numpy.eye(8)"),
    "media of a file": IMAGE.format("'field.png'"),
    "pandas": TABLE.format("pandas"),
    "polars": TABLE.format("polars"),
    "simulator": """
import sys
from ups.cli import main
sys.argv = ["ups", "train", "--preset", "smoke", "--mode", "offline"]
main()
""",
    "accelerate": "import ups.integrations.accelerate\n" + (EXAMPLES / "accelerate_stages.py").read_text(),
    "lightning": "import ups.integrations.lightning\n" + (EXAMPLES / "lightning_two_stages.py").read_text(),
    "transformers": "import ups.integrations.transformers\n" + (EXAMPLES / "transformers_two_trainers.py").read_text(),
}
LIGHT = ("media", "media of a file", "pandas", "polars")


@pytest.mark.parametrize(
    ("installed", "use"),
    [
        *(pytest.param("newest", use, marks=() if use in LIGHT else pytest.mark.release) for use in USES),
        *(pytest.param("oldest", use, marks=(OLDEST, pytest.mark.release)) for use in LIGHT),  # the rest: make oldest
    ],
    indirect=["installed"],
)
def test_an_extra_alone(installed: Installed, trained: Path, use: str) -> None:
    """What needs an extra works once that one is installed, and says before which to install."""
    extra = use.split()[0]
    Path("use.py").write_text(USES[use])
    done = installed.run("python", "use.py", trained, expect=None)
    assert f"pip install 'ups-tracking[{extra}]'" in " ".join(done.stderr.split())
    shutil.rmtree("ups-runs", ignore_errors=True)

    with_it = installed.with_extra(extra)
    done = with_it.run("python", "use.py", trained)
    assert "pip install" not in done.stderr
    if Path("ups-runs").exists():
        with_it.run("python", "-m", "ups", "check", "ups-runs")
