"""What importing costs, and which way imports point."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ups
from runfile.real_runs import wandb_file

SOURCE = Path(ups.__file__).parent
HEAVY = {
    "click",
    "google.protobuf",
    "matplotlib",
    "numpy",
    "pandas",
    "plotly",
    "polars",
    "rich",
    "starlette",
    "torch",
    "ups.tracking",
    "uvicorn",
    "wandb",
}

# A part may import those left of it that stand in its line, and itself.
ALLOWED = {
    "errors": set(),
    "charts": {"errors"},
    "runfile": {"errors", "charts"},
    "check": {"errors", "charts", "runfile"},
    "report": {"errors", "charts", "runfile", "check"},
    "repair": {"errors", "charts", "runfile", "check", "tracking"},
    "tracking": {"errors", "charts", "runfile", "check", "report"},
    "dashboard": {"errors", "charts", "runfile", "check", "report", "repair", "tracking"},
    "simulator": {"errors", "tracking"},
    "guard": {"errors", "charts", "tracking"},
    "integrations": {"errors", "charts", "tracking"},
    "cli": {"errors", "charts", "runfile", "check", "report", "repair", "dashboard", "tracking", "simulator"},
}


def imported_parts(path: Path) -> set[str]:
    """The parts of UPS that a module imports, anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "ups" else [node.module]
        parts |= {name.split(".")[1] for name in names if name.startswith("ups.")}
    return parts & set(ALLOWED)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    """A part imports only what the design lets it."""
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    assert imported_parts(path) <= ALLOWED[part] | {part}


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("-c", "import ups"), set()),
        (("-c", "import ups.charts, ups.errors"), set()),
        (("-m", "ups", "--help"), {"click"}),
        (("-m", "ups", "train", "--help"), {"click"}),
        (("-m", "ups", "check", "--format", "json", "RUN"), {"click", "google.protobuf", "numpy", "rich"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_starting_brings_in_only_what_is_needed(arguments: tuple[str, ...], needed: set[str]) -> None:
    """``import ups`` imports nothing heavy, ``ups --help`` only click, and ``ups check`` no wandb and no web parts."""
    run = wandb_file("staged") if "RUN" in arguments else ""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *(str(run) if each == "RUN" else each for each in arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ups" in imported
    assert imported & HEAVY <= needed


def test_the_training_process_does_not_import_wandb() -> None:
    """A training that logs through UPS and finishes has not imported wandb: its delivery has."""
    code = """
import sys, ups
with ups.create_wandb_context({}, mode="offline") as ctx:
    ctx.stage("a").log(0, loss=1.0)
print("wandb" in sys.modules, "torch" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "False"]


def test_every_public_name_is_there() -> None:
    """Each name of ``ups.__all__`` can be had, and nothing else is pretended."""
    for name in ups.__all__:
        assert getattr(ups, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ups.nothing  # noqa: B018
