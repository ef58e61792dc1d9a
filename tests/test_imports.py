"""What importing costs, and which way imports point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
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
    "numpy.ma",
    "pandas",
    "plotly",
    "polars",
    "rich",
    "psutil",
    "starlette",
    "torch",
    "ups.delivery",
    "ups.tracking",
    "uvicorn",
    "wandb",
}

_GROUND = {"errors", "extras", "text", "terminal", "course", "charts", "durable", "regular_file", "credentials"}
_GROUND |= {"installed_wandb", "nested"}
_READING = _GROUND | {"runfile", "journal", "runs", "check", "report"}
# A part may import those that stand in its line, and itself.
ALLOWED = {
    "errors": set(),
    "extras": {"errors"},
    "text": set(),
    "terminal": set(),
    "nested": set(),
    "course": set(),
    "credentials": set(),
    "installed_wandb": {"errors", "extras", "text"},
    "regular_file": {"errors"},
    "durable": {"errors"},
    "charts": {"errors", "text"},
    "runfile": _GROUND,
    "journal": _GROUND | {"guard"},  # its decisions on the rows of a script
    "runs": _GROUND | {"runfile", "journal"},
    "check": _GROUND | {"runfile"},
    "report": _GROUND | {"runfile", "check"},
    "repair": _GROUND | {"runfile", "journal", "runs", "check"},
    "delivery": _GROUND | {"runfile", "journal"},
    "tracking": _READING | {"delivery"},
    "guard": _GROUND | {"journal", "tracking", "dropin"},  # which ups.guard() turns on
    "dropin": _READING | {"tracking", "guard"},
    "wandb": {"dropin"},
    "testing": _READING | {"tracking", "dropin"},
    "integrations": _GROUND | {"journal", "tracking"},
    "simulator": _GROUND | {"journal", "tracking"},
    "dashboard": _READING | {"repair"},
    "cli": _READING | {"repair", "delivery", "tracking", "dashboard", "simulator"},
}
# Packages that a part may import: those of `pip install ups-tracking`, and those of the part's own extra.
CORE = {"click", "numpy", "orjson"}
EXTRAS = {
    "dashboard/": {"plotly", "psutil", "starlette", "tsdownsample", "uvicorn"},  # show
    "delivery/": {"google", "psutil", "wandb"},  # wandb, which brings google.protobuf
    "guard/": {"wandb"},
    "dropin/": {"google", "wandb"},
    "wandb.py": {"wandb"},
    "testing/__init__.py": {"pytest"},  # which loads it
    "installed_wandb.py": {"wandb"},
    "integrations/lightning.py": {"lightning", "pytorch_lightning", "torch"},
    "integrations/transformers.py": {"transformers"},
    "integrations/accelerate.py": {"accelerate"},
    "simulator/": {"matplotlib", "rich", "torch", "yaml"},
    "cli/evaluate.py": {"rich", "torch"},  # after `require_simulator`
    "tracking/media.py": {"PIL"},  # these two after `require`
    "tracking/config.py": {"yaml"},
}
# These alone import wandb: the delivery process, the guard and the drop-in of a process that has wandb itself.
WITH_WANDB = ("delivery/", "installed_wandb.py", "guard/guarded_run.py", "guard/patch_init.py", "dropin/", "wandb.py")


def modules_imported(path: Path) -> set[str]:
    """The modules that a module imports anywhere in it, also for a type checker alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules_of(root: Path) -> dict[str, Path]:
    """The modules of the package ``ups`` below ``root``, by name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none if there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


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


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Nor inside a folder. What ``ups`` itself has is loaded when it is used."""
    modules = modules_of(SOURCE.parent)
    assert len(modules) > 100
    imports = {name: (modules_imported(path) & modules.keys()) - {name} for name, path in modules.items()}
    for name in imports:  # `from ups.a import b` names the package and its module; only the module is meant
        packages = {each for each in imports[name] if any(other.startswith(f"{each}.") for other in imports[name])}
        imports[name] -= packages | {"ups"}
    assert circle_in(imports) == []


def test_a_circle_is_seen() -> None:
    """Of two modules, and of three."""
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle_in({"a": {"b"}, "b": {"a"}})) == {"a", "b"}
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def test_a_part_needs_the_packages_of_the_core_and_of_its_own_extra() -> None:
    """Nothing else: a package that a part of the core imported would have to be installed by everyone."""
    needed: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        allowed = CORE | {each for part, packages in EXTRAS.items() if name.startswith(part) for each in packages}
        packages = {each.split(".")[0] for each in modules_imported(path)} - sys.stdlib_module_names - {"ups"}
        if packages - allowed:
            needed[name] = packages - allowed
    assert needed == {}
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]} == CORE  # type: ignore[index]


def test_wandb_is_imported_by_delivery_and_by_what_guards_a_run() -> None:
    """A training process that tracks with UPS never loads wandb; nor does whatever only reads."""
    with_wandb = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if any(name.split(".")[0] == "wandb" for name in modules_imported(path))
    }
    assert "delivery/session.py" in with_wandb
    assert [path for path in sorted(with_wandb) if not path.startswith(WITH_WANDB)] == []


def test_protobuf_is_imported_beside_wandb_alone() -> None:
    """wandb may need any version of it, so UPS reads and writes W&B's files with its own codec."""
    found = {path for path in SOURCE.rglob("*.py") for name in modules_imported(path) if name.split(".")[0] == "google"}
    assert {path.parent.name for path in found} <= {"delivery", "dropin"}


def test_a_public_name_counts_as_the_part_that_has_it(tmp_path: Path) -> None:
    """``from ups import open_run`` imports the part runs, and ``guard`` is a part as well as a name."""
    module = tmp_path / "module.py"
    module.write_text(
        "from ups import charts, guard, open_run\nfrom ups.journal.row_rule import Row\nimport ups.check\n"
    )
    assert imported_parts(module) == {"charts", "guard", "runs", "journal", "check"}


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
        (("-m", "ups", "check", "--format", "json", "RUN"), {"click", "numpy"}),
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
        getattr(ups, "nothing")  # noqa: B009
