"""Scripts as people write them, run plainly and under UPS: W&B holds the same of both."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from environments import THIS_SESSION, kept
from held import Held, read_held

FOLDER = Path(__file__).with_name("scripts")
SCRIPTS = [path for path in sorted(FOLDER.glob("*.py")) if path.stem != "resumed"]
CLOCKS = {"_timestamp", "_runtime", "_wandb", "_wandb.runtime"}
FILES_OF_THE_MACHINE = (
    "conda-environment.yaml",
    "requirements.txt",
    "wandb-metadata.json",
    "wandb-summary.json",
    "output.log",
)


def runs_of(script: Path, *under: str) -> list[Path]:
    """The ``.wandb`` folders that a script leaves, oldest first; with ``under``, the modules that run it."""
    name = f"dropin-{script.stem}-{'-'.join(under) or 'plain'}"
    with kept(name, THIS_SESSION) as (folder, new):
        if new:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
            own = {
                "WANDB_MODE": "offline",
                "WANDB_ERROR_REPORTING": "false",
                "WANDB_CONSOLE": "off",
                "HOME": str(folder),
            }
            done = subprocess.run(
                [sys.executable, *under, script],
                cwd=folder,
                env=inherited | own,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    found = [path.parent for path in folder.glob("**/run-*.wandb")]
    return sorted(found, key=lambda path: path.name)


def masked(value: Any) -> str:
    """A value as text, without the random ids of artifacts."""
    return re.sub(r"wandb-client-artifact://[0-9a-z]+", "wandb-client-artifact://…", str(value))


def rows(held: Held) -> list[dict[str, str]]:
    """The rows, without what the clock puts into them."""
    return [{name: masked(value) for name, value in row.items() if name not in CLOCKS} for row in held.rows]


def values(held: dict[str, Any]) -> dict[str, str]:
    """Summary or configuration, likewise."""
    return {name: masked(value) for name, value in held.items() if name not in CLOCKS}


def definitions(held: Held) -> list[str]:
    """The definitions that a script or a guard made."""
    return sorted({str(metric) for metric in held.metrics if not metric.get("expanded_from_glob")})


def files(folders: Sequence[Path]) -> dict[str, str]:
    """The files beside a run, by their path, with a hash of each."""
    found = {}
    for folder in folders:
        for path in sorted((folder / "files").rglob("*")):
            if path.is_file() and path.name not in FILES_OF_THE_MACHINE:
                found[str(path.relative_to(folder / "files"))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_wandb_holds_is_the_same(script: Path) -> None:
    """Rows with their numbers, names, definitions, summary, configuration, files byte for byte."""
    plain, journaled = runs_of(script), runs_of(script, "-m", "ups.guard")
    assert len(plain) == len(journaled) > 0
    for one, other in zip(plain, journaled, strict=True):
        before, after = read_held(one), read_held(other)
        assert rows(after) == rows(before)
        assert definitions(after) == definitions(before)
        assert values(after.config) == values(before.config)
        assert values(after.summary) == values(before.summary)
        assert files([other]) == files([one])
        assert after.exit_codes == before.exit_codes


def test_a_script_that_resumes_goes_on_with_its_run_offline_too() -> None:
    """Plain wandb begins again at step 0 in its second file; the journal's run continues, as it does online."""
    plain, journaled = runs_of(FOLDER / "resumed.py"), runs_of(FOLDER / "resumed.py", "-m", "ups.guard")
    assert [[row["_step"] for row in read_held(each).rows] for each in plain] == [list(range(5)), list(range(5))]
    (wandb,) = {each.parents[2].parent / "wandb" for each in journaled}
    assert {link.resolve() for link in wandb.glob("offline-run-*")} == set(journaled)
    assert (wandb / "latest-run").resolve() == journaled[-1]
    steps = [row["_step"] for each in journaled for row in read_held(each).rows]
    epochs = [row["epoch"] for each in journaled for row in read_held(each).rows]
    assert steps == epochs == list(range(10))
