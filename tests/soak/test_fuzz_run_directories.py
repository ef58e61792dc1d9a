"""Changed run directories end in no traceback, hang nothing, and cost no record that is intact.

``SOAK_SEED``, ``SOAK_DIRECTORIES`` and ``SOAK_JOBS`` (processes) change the long form.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from memory import peak_memory
from soak.fuzz_run_directories import READERS, change, make_originals, read

SEED = int(os.environ.get("SOAK_SEED", "20260101"))
DIRECTORIES = int(os.environ.get("SOAK_DIRECTORIES", "20000"))
JOBS = int(os.environ.get("SOAK_JOBS", "2"))
_MOST_MEMORY = 1_000_000  # kB


def fuzz(originals: list[Path], folder: Path, seeds: range, readers: int) -> tuple[Counter[str], list[str], int]:
    """Change and read a run per seed, in ``readers`` ways: how often each way, what went wrong, and kB of memory."""
    counts: Counter[str] = Counter()
    problems = []
    for seed in seeds:
        chance = random.Random(seed)
        changed = change(chance.choice(originals), folder / f"{seed}", chance)
        for reader in chance.sample(list(READERS), readers):
            counts[reader] += 1
            problem = read(changed, reader, folder)
            if problem is not None:
                problems.append(f"seed {seed}: {problem}")
        for left in (changed.path, folder / "repaired", folder / "run.csv", folder / "run.html"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
    return counts, problems, peak_memory()


def fuzz_apart(originals: list[Path], folder: Path, seeds: range, readers: int) -> tuple[Counter[str], list[str], int]:
    """As :func:`fuzz`, in this process of a pool."""
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    return fuzz(originals, folder, seeds, readers)


@pytest.fixture
def originals(tmp_path: Path) -> list[Path]:
    """The runs to change."""
    folder = tmp_path / "originals"
    folder.mkdir()
    return make_originals(folder)


def test_a_changed_run_directory_ends_in_no_traceback(originals: list[Path], tmp_path: Path) -> None:
    """Fifty changed directories, each read in every way."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        seeds = range(SEED, SEED + 50)
        counts, problems, memory = pool.submit(fuzz_apart, originals, tmp_path / "0", seeds, len(READERS)).result()
    assert problems == []
    assert counts.total() == 50 * len(READERS)
    assert memory < _MOST_MEMORY


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_thousands_of_changed_run_directories(
    originals: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each read in two ways of six, and the table of what came of it: no problem."""
    began = time.monotonic()
    at_once = 250
    parts = [range(SEED + at, SEED + min(at + at_once, DIRECTORIES)) for at in range(0, DIRECTORIES, at_once)]
    counts: Counter[str] = Counter()
    problems: list[str] = []
    most = done = 0
    with (
        capsys.disabled(),
        get_context("spawn").Pool(JOBS, maxtasksperchild=8) as pool,  # an executor with that limit can hang
    ):
        print(f"\nseed {SEED}: {DIRECTORIES:,} directories")
        results = [
            pool.apply_async(fuzz_apart, (originals, tmp_path / f"{index}", seeds, 2))
            for index, seeds in enumerate(parts)
        ]
        for result in results:
            part, found, memory = result.get()
            counts += part
            problems += found
            most, done = max(most, memory), done + at_once
            print(f"{done:7,}  {len(problems)} problems  {most / 1000:.0f} MB", *found, sep="\n", flush=True)
        print("\n".join(f"{reader:8}  {count:7,}" for reader, count in sorted(counts.items())))
        print(f"{len(problems)} problems, at most {most / 1000:.0f} MB ({time.monotonic() - began:.0f} s)")
    assert problems == []
    assert most < _MOST_MEMORY
