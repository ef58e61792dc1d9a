"""The soak: whenever the power is cut, W&B finally holds every row that the disk still has or gets, once.

``SOAK_SEED``, ``SOAK_CUTS`` and ``SOAK_JOBS`` (trainings at a time) change the long form.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from soak.disks import DiskKind, make_disk, why_no_ext4
from soak.power_cuts import MODES, RECOVERIES, Mode, Outcome, Recovery, judge, make_case, run_case, table

SEED = int(os.environ.get("SOAK_SEED", "20260101"))
CUTS = int(os.environ.get("SOAK_CUTS", "200"))
JOBS = int(os.environ.get("SOAK_JOBS", "4"))  # they wait, half of the time

KINDS: tuple[DiskKind, ...] = ("ext4", "simulated")

WRITER = """
import os, pathlib
folder = pathlib.Path("folder")
folder.mkdir()
for name in ("appended", "replaced"):
    with (folder / name).open("wb", buffering=0) as file:
        file.write(b"synced")
        os.fsync(file)
        if name == "appended":
            file.write(b" and not synced")
for path in (folder, pathlib.Path()):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
(folder / "new").write_bytes(b"synced")
(folder / "new").replace(folder / "replaced")
"""


def need(kind: DiskKind) -> None:
    """Skip where there is no disk of this kind."""
    if kind == "ext4" and (reason := why_no_ext4()):
        pytest.skip(reason)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_leaves_what_was_synced(kind: DiskKind, tmp_path: Path) -> None:
    """All that was synced is there after each cut; some of what was not synced is missing."""
    need(kind)
    left = []
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with make_disk(kind, folder, random.Random(seed)) as disk:
            subprocess.run([sys.executable, "-c", WRITER], cwd=disk.path, env=os.environ | disk.variables, check=True)
            disk.cut()
            disk.restart()
            names = {path.name: path.read_bytes() for path in (disk.path / "folder").iterdir()}
            left.append(names.pop("appended"))
            assert left[-1].startswith(b"synced"), seed
            assert "replaced" in names, seed
    assert any(b"not synced" not in content for content in left)


def test_the_judge_sees_rows_that_are_missing_doubled_or_wrong() -> None:
    """Rows 0 … 5 were on the disk, W&B held 9 at the cut: 2 and 9 are missing, 1 is doubled, 5 has a wrong value."""
    steps = (0, 1, 1, 3, 4, 5)
    history = [
        {"_step": number, "training/operator/step": step, "training/operator/loss": step + 0.5}
        for number, step in enumerate(steps)
    ]
    history[-1]["training/operator/loss"] = 0.5
    outcome = Outcome(make_case("simulated", "online", "ups deliver", SEED))
    judge(outcome, history, {("operator", step) for step in range(6)}, {("operator", 9)})
    assert (outcome.lost, outcome.doubled) == (1, 1)
    assert outcome.problems == [
        "1 rows are gone that the server held at a cut",
        "operator: 1 rows lost, from step 2 to 2",
        "operator: steps do not strictly increase",
        "operator: a value stands at another's step",
    ]


@pytest.mark.parametrize(
    ("kind", "mode", "recovery", "wait"),
    [
        ("ext4", "online", "resume, next stage", 8.0),
        ("ext4", "offline", "resume, same stage", 8.0),
        ("simulated", "online", "ups deliver", 8.0),
        ("simulated", "offline", "resume, next stage", 8.0),
    ],
)
def test_a_power_cut_costs_no_row_on_the_disk(
    kind: DiskKind, mode: Mode, recovery: Recovery, wait: float, tmp_path: Path
) -> None:
    """After a cut in the middle of a training W&B holds each row of the disk, and each logged afterwards, once."""
    need(kind)
    outcome = run_case(make_case(kind, mode, recovery, SEED, (wait,)), tmp_path / "case")
    assert outcome.good, "\n".join(outcome.problems)
    assert outcome.on_disk > 0


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_power_cuts_cost_no_row_on_the_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cuts at random instants, offline and online, with and without resume, and the table of what they cost."""
    kinds: tuple[DiskKind, ...] = ("simulated",) if why_no_ext4() else ("ext4", "ext4", "ext4", "simulated")
    cases = []
    planned = 0
    for number, (mode, recovery, kind) in enumerate(itertools.cycle(itertools.product(MODES, RECOVERIES, kinds))):
        if planned >= CUTS:
            break
        cases.append(make_case(kind, mode, recovery, SEED + number))
        planned += len(cases[-1].waits)
    outcomes: list[Outcome] = []
    began = time.monotonic()
    with capsys.disabled(), ThreadPoolExecutor(JOBS) as pool:
        print(f"\nseed {SEED}: {len(cases)} trainings, {planned} cuts; {why_no_ext4() or 'ext4 can be mounted'}")
        folders = [tmp_path / f"{index:03}" for index in range(len(cases))]
        for outcome in pool.map(run_case, cases, folders):
            outcomes.append(outcome)
            print(f"{len(outcomes):4} of {len(cases)}", "good" if outcome.good else f"bad: {outcome}", flush=True)
        print(f"{table(outcomes)}\n({time.monotonic() - began:.0f} s)")
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert sum(outcome.cuts for outcome in outcomes) >= CUTS
