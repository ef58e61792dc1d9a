"""Mutated ``.wandb`` files: no traceback, no hang, no gigabyte, and every intact record read.

``FUZZ_FILES`` and ``FUZZ_SEED`` change the long form.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from soak import fuzz_run_files

SEED = int(os.environ.get("FUZZ_SEED", "20260101"))
FILES = int(os.environ.get("FUZZ_FILES", "20000"))
IN_CI = 120


def run_fuzzer(first: int, count: int, folder: Path) -> str:
    """Run the fuzzer in a process of its own, which a hang or the limit of its memory may end; what did not hold."""
    done = subprocess.run(
        [sys.executable, "-m", "soak.fuzz_run_files", str(first), str(count), folder],
        cwd=Path(fuzz_run_files.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"{done.stdout}\n{done.stderr[-2000:]}"  # each seed is a line of the latter


def test_no_mutated_file_does_harm(tmp_path: Path) -> None:
    """A hundred files and more, through check, export, report and repair."""
    assert not run_fuzzer(0, IN_CI, tmp_path / "mutant")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_mutated_file_of_many_does_harm(tmp_path: Path) -> None:
    """The same, a hundred times as many and more."""
    assert not run_fuzzer(SEED, FILES, tmp_path / "mutant")
