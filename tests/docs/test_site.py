"""The site is whole: it builds without a warning, and its reference has all that there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from sphinx.util.inventory import InventoryFile

from environments import THIS_SESSION, kept

from .snippets import ROOT, SOURCE, commands, inline_code

PUBLIC = {
    "ups",
    "ups.charts",
    "ups.check",
    "ups.errors",
    "ups.guard",
    "ups.integrations",
    "ups.integrations.accelerate",
    "ups.integrations.lightning",
    "ups.integrations.transformers",
    "ups.repair",
    "ups.report",
    "ups.runfile",
    "ups.testing",
}
"""The modules that others may build on."""


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built as ``make docs`` builds it."""
    with kept("site", THIS_SESSION) as (folder, new):
        if new:
            command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--nitpicky", "-q"]
            done = subprocess.run([*command, ROOT / "docs", folder], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def names(site: Path) -> dict[str, set[str]]:
    """What the site has an entry for, by kind: ``py:function``, ``std:cmdoption``, …."""
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    return {kind: set(entries) for kind, entries in inventory.data.items()}


def exported(module: str) -> list[str]:
    """A module's ``__all__``, without importing it: some bring in whole frameworks."""
    path = SOURCE.parent / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def test_the_site_builds_without_a_warning(site: Path) -> None:
    """Every page of the documents is a page of the site, and building them warns of nothing."""
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).exists()


def test_the_reference_has_every_public_name(names: dict[str, set[str]]) -> None:
    """Each name that a public module exports is in the reference, there or where it is exported from as well."""
    assert names["py:module"] == PUBLIC
    entries = set().union(*(found for kind, found in names.items() if kind.startswith("py:")))
    homes: dict[str, set[str]] = {}
    for module in PUBLIC:
        for name in exported(module):
            homes.setdefault(name, set()).add(f"{module}.{name}")
    assert [names for names in homes.values() if not names & entries] == []


def test_the_reference_has_every_command_and_option(site: Path, names: dict[str, set[str]]) -> None:
    """The page on the command line has each command with its usage, and its options, and no others."""
    page = re.sub(r"<[^>]+>", "", (site / "reference" / "command-line.html").read_text(encoding="utf-8"))
    expected = set()
    for name, command in commands().items():
        context = click.Context(command, info_name=name)
        assert " ".join([name, *command.collect_usage_pieces(context)]) in page
        options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
        written = {text for option in options if not option.hidden for text in (*option.opts, *option.secondary_opts)}
        expected |= {f"{name.replace(' ', '-')}.{text}" for text in written | {"-h"}}
    assert names["std:cmdoption"] == expected


def test_the_reference_has_every_environment_variable() -> None:
    """The page on environment variables has those of UPS and of wandb that the source names, and no others."""
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    read = {*re.findall(r"\bUPS_[A-Z_]+\b", source), *re.findall(r"\"(WANDB_[A-Z_]+)\"", source)}
    listed = {code for code in inline_code(ROOT / "docs/reference/environment.md") if re.fullmatch(r"[A-Z_]+", code)}
    assert {name for name in listed if name.startswith(("UPS_", "WANDB_"))} == read
