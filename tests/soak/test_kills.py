"""The soak: whatever is killed at whatever instant, W&B finally holds every row whose ``log()`` had returned, once.

``SOAK_SEED``, ``SOAK_KILLS`` and ``SOAK_JOBS`` (trainings at a time) change the long form.
"""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from soak.kills import MODES, VICTIMS, Mode, Outcome, make_case, run_case, table

SEED = int(os.environ.get("SOAK_SEED", "20260101"))
KILLS = int(os.environ.get("SOAK_KILLS", "300"))
JOBS = int(os.environ.get("SOAK_JOBS", "12"))  # they wait, most of the time


@pytest.mark.parametrize(
    ("victim", "mode", "kills"),
    [
        ("trainer", "online", 1),
        ("delivery", "offline", 2),
        ("wandb-core", "online", 2),
        ("wandb-core", "offline", 1),
        ("all three", "offline", 1),
        ("delivery, and its recovery", "online", 3),
        ("trainer and delivery, and 'ups deliver'", "offline", 2),
    ],
)
def test_a_kill_costs_no_row_and_doubles_none(victim: str, mode: Mode, kills: int, tmp_path: Path) -> None:
    """A few kills of each kind: nothing lost, nothing doubled, every stage's steps strictly increasing."""
    outcome = run_case(make_case(victim, mode, SEED, kills), tmp_path / "case")
    assert outcome.good, outcome
    assert outcome.kills == kills


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_kills_cost_no_row_and_double_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kills of every kind, offline and online, and the table of what they cost: nothing."""
    cases = []
    planned = 0
    for number, victim, mode in ((n, v, m) for n in itertools.count() for v in VICTIMS for m in MODES):
        if planned >= KILLS:
            break
        cases.append(make_case(victim, mode, SEED + number))
        planned += len(cases[-1].waits)
    outcomes: list[Outcome] = []
    began = time.monotonic()
    with capsys.disabled(), ThreadPoolExecutor(JOBS) as pool:
        print(f"\nseed {SEED}: {len(cases)} trainings, {planned} kills")
        folders = [tmp_path / f"{index:03}" for index in range(len(cases))]
        for outcome in pool.map(run_case, cases, folders):
            outcomes.append(outcome)
            print(f"{len(outcomes):4} of {len(cases)}", "good" if outcome.good else f"bad: {outcome}", flush=True)
        print(f"{table(outcomes)}\n({time.monotonic() - began:.0f} s)")
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert sum(outcome.kills for outcome in outcomes) >= KILLS
