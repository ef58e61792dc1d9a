"""What importing costs, and which way imports point."""

from __future__ import annotations

import ast
import re
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

# A part may import those that stand in its line, and itself.
ALLOWED = {
    "errors": set(),
    "text": set(),
    "course": set(),
    "charts": {"errors", "text"},
    "runfile": {"errors", "text", "course", "charts"},
    "check": {"errors", "text", "course", "charts", "runfile"},
    "report": {"errors", "text", "course", "charts", "runfile", "check"},
    "repair": {"errors", "text", "course", "charts", "runfile", "check", "tracking"},
    "tracking": {"errors", "text", "course", "charts", "runfile", "check", "report"},
    "dashboard": {"errors", "text", "course", "charts", "runfile", "check", "report", "repair", "tracking"},
    "simulator": {"errors", "text", "tracking"},
    "guard": {"errors", "text", "course", "charts", "tracking"},
    "integrations": {"errors", "text", "charts", "tracking"},
    "cli": {
        "errors",
        "text",
        "course",
        "charts",
        "runfile",
        "check",
        "report",
        "repair",
        "dashboard",
        "tracking",
        "simulator",
    },
}


def imported_parts(path: Path) -> set[str]:
    """The parts of UPS that a module imports, anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            homes = [ups._HOMES.get(alias.name, f"ups.{alias.name}") for alias in node.names]  # `from ups import Run`
            names = homes if node.module == "ups" else [node.module]
        parts |= {name.split(".")[1] for name in names if name.startswith("ups.")}
    return parts & set(ALLOWED)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    """A part imports only what the design lets it."""
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    assert imported_parts(path) <= ALLOWED[part] | {part}


def test_a_public_name_counts_as_the_part_that_has_it(tmp_path: Path) -> None:
    """``from ups import open_run`` imports the part runfile, and ``guard`` is a part as well as a name."""
    module = tmp_path / "module.py"
    module.write_text("from ups import charts, guard, open_run\nfrom ups.tracking.rows import Row\nimport ups.check\n")
    assert imported_parts(module) == {"charts", "guard", "runfile", "tracking", "check"}


def test_the_design_lays_out_every_file() -> None:
    """What docs/design.md says of ``src/ups`` is there; and of a part whose files it lists, it lists each."""
    text = (Path(__file__).parents[1] / "docs" / "design.md").read_text(encoding="utf-8")
    layout = text.partition("src/ups/\n")[2].partition("\ntests/")[0]
    told, part = set(), ""
    for indent, names in re.findall(r"^( +)(\w+(?:\.py|/)(?:, \w+\.py)*)", layout, re.MULTILINE):
        part = names if len(indent) == 2 and names.endswith("/") else part if len(indent) == 4 else ""
        told |= {name if len(indent) == 2 else part + name for name in names.split(", ")}
    assert [name for name in sorted(told) if not (SOURCE / name).exists()] == []
    listed = {Path(name).parent for name in told if name.endswith(".py")}
    files = {path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if path.stem != "__init__"}
    assert [file.as_posix() for file in sorted(files) if file.parent in listed and file.as_posix() not in told] == []


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
