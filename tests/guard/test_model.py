"""The model of W&B's rows, held against the real client."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import wandb

from guard.loops import open_run
from guard.made_loops import Call, made, play
from guard.model import Model
from guard.raw_calls import DEFINITIONS, KINDS, raw_calls
from held import read_held


def rows(held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as values that can be compared."""
    return [
        {name: float(value) for name, value in row.items() if name not in ("_timestamp", "_runtime")} for row in held
    ]


def raw(random: Random) -> list[Call]:
    """Calls without any habit."""
    return raw_calls(random.randrange(DEFINITIONS), [random.randrange(KINDS) for _ in range(12)])


@pytest.mark.parametrize("script", [made, raw])
@pytest.mark.parametrize(("first", "count"), [(0, 20), pytest.param(20, 180, marks=pytest.mark.soak)])
def test_the_model_has_the_rows_that_wandb_has(script: Callable[[Random], list[Call]], first: int, count: int) -> None:
    """Generated calls: the open row, ``step=``, ``commit=``, dropped rows, and an axis that is filled in."""
    folders = {}
    for seed in range(first, first + count):
        folders[seed] = Path(tempfile.mkdtemp(dir=Path.cwd()))
        run = open_run(folders[seed], reinit="create_new")
        play(script(Random(seed)), run)
        run.finish()
    wandb.teardown()
    for seed, folder in folders.items():
        model = Model()
        play(script(Random(seed)), model)
        model.finish()
        if any(chart.invented for chart in model.charts().values()) and _is_ambiguous(model):
            continue  # W&B chooses by chance
        assert str(rows(read_held(folder).rows)) == str(rows(_sorted(model, read_held(folder).rows))), seed


def _is_ambiguous(model: Model) -> bool:
    globs = [name for name, _ in model.calls if name == "*"]
    return bool(globs) and len(model.calls) > 1


def _sorted(model: Model, held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The model's rows with their names in the order of W&B's, where they have the same."""
    pairs = zip(model.rows, held, strict=False)
    ordered = [{name: row[name] for name in other if name in row} | row for row, other in pairs]
    return ordered + model.rows[len(ordered) :]
