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

from soak.kills import MODES, ONE_LINE, PLAIN, VICTIMS, Case, Mode, Outcome, make_case, run_case, table

SEED = int(os.environ.get("SOAK_SEED", "20260101"))
KILLS = int(os.environ.get("SOAK_KILLS", "300"))
JOBS = int(os.environ.get("SOAK_JOBS", "12"))  # they wait, most of the time


@pytest.mark.parametrize(
    ("victim", "mode", "kills", "script"),
    [
        ("trainer", "online", 1, ONE_LINE),
        ("delivery", "offline", 1, "UPS"),
        ("wandb-core", "online", 1, "UPS"),
        ("all three", "offline", 1, ONE_LINE),
        ("delivery, and its recovery", "online", 2, "UPS"),
        ("trainer and delivery, and 'ups deliver'", "offline", 2, "UPS"),
    ],
)
def test_a_kill_costs_no_row_and_doubles_none(victim: str, mode: Mode, kills: int, script: str, tmp_path: Path) -> None:
    """A few kills of each kind: nothing lost, nothing doubled, every stage's steps strictly increasing."""
    outcome = run_case(make_case(victim, mode, SEED, kills, script), tmp_path / "case")
    assert outcome.good, outcome
    assert outcome.kills == kills


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("script", ["UPS", ONE_LINE])
def test_hundreds_of_kills_cost_no_row_and_double_none(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kills of every kind, offline and online, and the table of what they cost: nothing."""
    cases: list[Case] = []
    planned = 0
    for number, victim, mode in ((n, v, m) for n in itertools.count() for v in VICTIMS for m in MODES):
        if planned >= KILLS:
            break
        cases.append(make_case(victim, mode, SEED + number, script=script))
        planned += len(cases[-1].waits)
    with capsys.disabled():
        print(f"\nseed {SEED}: {len(cases)} trainings, {planned} kills, of {script}")
        outcomes = outcomes_of(cases, tmp_path)
        if script == ONE_LINE:
            print(f"beside it, {PLAIN}:")
            outcomes_of([make_case("trainer", mode, SEED + n, 1, PLAIN) for n in range(10) for mode in MODES], tmp_path)
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert sum(outcome.kills for outcome in outcomes) >= KILLS


def outcomes_of(cases: list[Case], folder: Path) -> list[Outcome]:
    """Run the cases, some at a time, and print their table."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(JOBS) as pool:
        for outcome in pool.map(run_case, cases, [folder / f"{id(case)}" for case in cases]):
            outcomes.append(outcome)
            print(f"{len(outcomes):4} of {len(cases)}", "good" if outcome.good else f"bad: {outcome}", flush=True)
    print(f"{table(outcomes)}\n({time.monotonic() - began:.0f} s)")
    return outcomes
