"""Frameworks that are missing, too old, or as old as their extra admits."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from held import read_held
from integrations.old_frameworks import OLDEST, oldest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
INTEGRATIONS = {"lightning": "UPSLogger", "transformers": "UPSCallback", "accelerate": "UPSTracker"}

# Says of the frameworks that they are not installed, as the standard library would.
WITHOUT = """
import sys
from importlib import metadata
known = metadata.version
def version(name):
    if name in ("lightning", "pytorch-lightning", "transformers", "accelerate"):
        raise metadata.PackageNotFoundError(name)
    return known(name)
metadata.version = version
"""
IMPORT = """
from ups.errors import MissingDependency
try:
    from ups.integrations.{module} import {name}
except MissingDependency as error:
    print(error)
"""


def admitted(module: str) -> str:
    """The oldest version of a framework that its extra admits."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (bound,) = [want.partition(">=")[2] for want in extras[module] if want.startswith(f"{module}>=")]
    return str(bound)


def run(source: str, *, first: Path | None = None) -> str:
    """What a script prints, with the packages in ``first`` before all others."""
    environment = {**os.environ, "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    if first is not None:
        environment["PYTHONPATH"] = str(first)
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", INTEGRATIONS)
def test_a_missing_framework_is_one_clear_line(module: str) -> None:
    """Importing an integration without its framework names the extra to install."""
    told = run(WITHOUT + IMPORT.format(module=module, name=INTEGRATIONS[module]))
    assert told == f"{module} is not installed: pip install 'ups-tracking[{module}]'\n"


@pytest.mark.parametrize("module", INTEGRATIONS)
def test_a_framework_that_is_too_old_is_one_clear_line(module: str, tmp_path: Path) -> None:
    """Importing an integration with an older framework says both versions, and what to do."""
    folder = tmp_path / f"{module}-0.9.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.9.1\n")
    told = run(IMPORT.format(module=module, name=INTEGRATIONS[module]), first=tmp_path)
    assert told == (
        f"{module} 0.9.1 is older than {admitted(module)}, the oldest that UPS works with: pip install --upgrade"
        f" 'ups-tracking[{module}]'\n"
    )


def test_the_oldest_tried_is_the_oldest_admitted() -> None:
    """The versions that these tests install are the first that the extras admit."""
    for module in INTEGRATIONS:
        bound = admitted(module)
        tried = OLDEST[module][0].partition("==")[2]
        assert tried.startswith(bound), f"{module}>={bound}, tried with {tried}"


@pytest.mark.parametrize(
    ("framework", "example", "stages"),
    [
        ("lightning", "lightning_two_stages", {"pretrain/train/loss": 20, "finetune/train/loss": 12}),
        ("pytorch-lightning", "lightning_two_stages", {"pretrain/train/loss": 20, "finetune/train/loss": 12}),
        pytest.param(
            "transformers",
            "transformers_two_trainers",
            {"pretrain/loss": 20, "finetune/loss": 12},
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason="its tokenizers are older than this Python"),
        ),
        ("accelerate", "accelerate_stages", {"operator/loss": 30, "consistency_distill/loss": 10}),
    ],
)
def test_the_oldest_framework_gives_full_charts(framework: str, example: str, stages: dict[str, int]) -> None:
    """The example gives the same with the oldest version that the extra admits; Lightning under either of its names."""
    source = (EXAMPLES / f"{example}.py").read_text()
    if framework == "pytorch-lightning":
        source = source.replace("import lightning\n", "import pytorch_lightning as lightning\n")
        source = "import sys\nsys.modules['lightning'] = None\n" + source
    run(source, first=oldest(framework))
    (run_dir,) = Path("ups-runs").iterdir()
    held = read_held(run_dir)
    for name, count in stages.items():
        stage, _, metric = name.partition("/")
        assert len(held.stage(stage, metric)) == count
