"""What a guard cannot mend, it reports: once a kind on stderr, and counted at the end."""

from __future__ import annotations

import datetime
import decimal
import fractions
import inspect

import pytest
import wandb
from wandb.util import json_dumps_safer_history

from guard.loops import Loop, held_by


def overwritten(run: wandb.Run) -> None:
    """Gradient accumulation: four calls a step, of one name."""
    for step in range(3):
        for micro in range(4):
            run.log({"loss": step + micro / 10}, step=step)
            run.log({"epoch": 0, "step_size": 0.1}, step=step)  # the same again is nothing lost


def overwritten_tables(run: wandb.Run) -> None:
    """Two tables of one name in a row that is still open."""
    for half in range(2):
        run.log({"candidates": wandb.Table(columns=["half"], data=[[half]])}, commit=False)
    run.log({"score": 0.5})


def growing_table(run: wandb.Run) -> None:
    """W&B uploads a table once; one that says so, each time."""
    once, each = wandb.Table(columns=["step"]), wandb.Table(columns=["step"], log_mode="MUTABLE")
    for step in range(4):
        once.add_data(step)
        each.add_data(step)
        run.log({"predictions": once, "all": each}, step=step)


def text(run: wandb.Run) -> None:
    """Numbers and times that W&B keeps as text."""
    for step in range(2):
        run.log({"price": decimal.Decimal(step) / 4, "ratio": fractions.Fraction(step, 7)})
        run.log({"when": datetime.datetime(2024, 1, 1 + step), "day": datetime.date(2024, 1, 1)})
        run.log({"wave": 1j, "kinds": {1, 2}})


def large(run: wandb.Run) -> None:
    """Steps of which the last digits count."""
    run.define_metric("loss", step_metric="env_steps")
    for step in [*range(40), *range(30, 60)]:
        run.log({"loss": 1 / (step + 1), "env_steps": 12_345_600 + step})


def _takes_decimals() -> bool:
    try:
        return bool(json_dumps_safer_history(decimal.Decimal(1)))
    except TypeError:
        return False


TABLES_GROW = pytest.mark.skipif(
    "log_mode" not in inspect.signature(wandb.Table).parameters, reason="the tables of this wandb do not grow"
)
TAKES_DECIMALS = pytest.mark.skipif(not _takes_decimals(), reason="this wandb raises TypeError for a Decimal")


@pytest.mark.parametrize(
    ("loop", "line", "count"),
    [
        (overwritten, "loss is logged twice in a row that is still open: W&B keeps 0.1, not 0.0", ": 9"),
        (overwritten_tables, "candidates is logged twice in a row that is still open: W&B keeps only the last", ": 1"),
        pytest.param(
            growing_table,
            "predictions has 2 rows, and had 1 when it was first logged, which W&B keeps",
            ": 3",
            marks=TABLES_GROW,
        ),
        pytest.param(
            text,
            "price is Decimal('0'): W&B keeps it, and no line can show what is not a number",
            ": 12",
            marks=TAKES_DECIMALS,
        ),
        (large, "env_steps goes back from 12345639 to 12345630: from here on it is part2/env_steps", ": 1"),
    ],
)
def test_it_is_said_once_and_counted(loop: Loop, line: str, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line where it happens first, and the count in the summary."""
    held_by(loop)
    first, summary = (each for each in capsys.readouterr().err.splitlines() if each.startswith("ups: "))
    assert first.startswith(f"ups: {line}")
    assert summary.startswith("ups: guard of run ")
    assert summary.endswith(count)
