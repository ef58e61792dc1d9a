"""The wandb that is installed: one that is missing, too old or broken, and the command that syncs with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from environments import ROOT
from ups.installed_wandb import OLDEST, load_wandb

TRACK = "import ups; ups.create_wandb_context({}, mode='offline')"
LOAD = "from ups.installed_wandb import load_wandb; load_wandb()"
SYNC = """
from pathlib import Path
from ups.installed_wandb import sync_command
print(sync_command([Path("a"), Path("b")]))
"""


def stand_in(**files: str) -> None:
    """A package ``wandb`` in the working directory, which Python finds before any other."""
    for name, text in {"__init__": "", **files}.items():
        path = Path("wandb", *name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def last_line(code: str, *options: str) -> str:
    """The last line of the output of Python in the working directory."""
    command = [sys.executable, *options, "-c", f"import sys; sys.path.insert(1, {str(ROOT / 'src')!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().rpartition("\n")[2]


def test_the_capabilities_are_those_of_the_package() -> None:
    """What it is asked for is what it has, and a wandb without a capability lists it."""
    import wandb

    installed = load_wandb()
    assert installed.version == wandb.__version__
    assert isinstance(wandb.init(mode="disabled"), installed.run_type)
    assert {"init_timeout", "x_stats_pid", "console"} <= installed.settings
    lacking = installed.lacking(own_process=False)
    assert ("refusals" in lacking) is ("stop_on_fatal_error" not in wandb.Settings.model_fields)
    assert ("stop" in lacking) is ("stop_fn" not in wandb.Settings.model_fields)


@pytest.mark.parametrize("version", ["0.18.7", "0.19.10", "0.9.0"])
def test_an_old_wandb_is_refused_at_the_start(version: str) -> None:
    """The error has its version, the oldest that UPS takes, and the command."""
    stand_in(__init__=f'__version__ = "{version}"\n')
    assert last_line(TRACK) == (
        f"ups.errors.MissingDependency: wandb {version} is too old: UPS needs {OLDEST} or newer."
        f" Install one: pip install 'wandb>={OLDEST}'"
    )


def test_a_folder_of_runs_is_no_wandb() -> None:
    """The folder ``wandb`` that wandb makes in the working directory does not count as the package."""
    Path("wandb").mkdir()
    found = "from ups.installed_wandb import {0}; {0}()"
    assert "wandb is not installed: pip install" in last_line(found.format("check_wandb"), "-S")
    assert "wandb is not installed: pip install" in last_line(LOAD, "-S")


def test_a_wandb_that_cannot_be_imported_is_reported() -> None:
    """As beside a protobuf that it does not know: the error has the cause and both versions."""
    stand_in(__init__="raise TypeError('Descriptors cannot be created directly')\n")
    line = last_line(LOAD)
    assert "wandb cannot be imported (TypeError: Descriptors cannot be created directly)" in line
    assert "Installed are wandb " in line
    assert "pip install --force-reinstall 'wandb==<version>'" in line


@pytest.mark.parametrize(
    ("commands", "printed"),
    [
        ('click.option("--append", help="Append run")', "wandb sync --append a b"),
        ('click.option("--append", help="(legacy only) Append")', "wandb sync a b"),
        ('click.option("--yes")', "wandb sync a b"),
    ],
    ids=["before 0.28", "0.28", "0.30"],
)
def test_a_sync_in_python_appends(commands: str, printed: str) -> None:
    """Several folders need ``--append`` where ``wandb sync`` would write each over the one before."""
    stand_in(**{"cli.cli": commands})
    assert last_line(SYNC) == printed
