"""What is right already is not touched: W&B holds the same rows and definitions as without a guard."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import wandb

from guard.loops import Loop, held_by
from held import Held


def staged(run: wandb.Run) -> None:
    """Three stages, each on its own axis, as the design says."""
    for stage in ("a", "b", "c"):
        run.define_metric(f"training/{stage}/step", hidden=True)
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step", summary="min")
    for stage in ("a", "b", "c"):
        for step in range(7):
            run.log({f"training/{stage}/loss": 0.5 * step, f"training/{stage}/step": step})


def counted(run: wandb.Run) -> None:
    """``step=`` that only grows, with several calls a row."""
    for step in range(0, 60, 10):
        run.log({"loss": 0.5 * step}, step=step)
        run.log({"lr": 0.1, "loss": 0.4 * step}, step=step)
        if step == 30:
            run.log({"eval": 1.0}, step=step, commit=True)


def filled_in(run: wandb.Run) -> None:
    """An axis that wandb fills in: the epoch in a row of its own before its results, or logged with one of them."""
    run.define_metric("epoch")
    run.define_metric("val/*", step_metric="epoch")
    for epoch in range(5):
        run.log({"epoch": epoch})
        run.log({"val/accuracy": 0.1 * epoch})
        run.log({"val/loss": 0.2 * epoch, "note": None})


def put_together(run: wandb.Run) -> None:
    """Rows put together from several calls, the axis in one of them."""
    run.define_metric("*", step_metric="global_step")
    for step in range(5):
        run.log({"loss": 0.5}, commit=False)
        run.log({"global_step": 2 * step}, commit=False)
        run.log({"norm": 0.1 * step})


def of_all_kinds(run: wandb.Run) -> None:
    """Values of all kinds, nested too."""
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    for step in range(3):
        run.log(
            {
                "loss": np.float32(0.5),
                "count": np.int64(step),
                "one": np.ones((1,)),
                "flag": True,
                "text": "warm-up",
                "none": None,
                "nan": float("nan"),
                "infinite": -float("inf"),
                "list": [1, 2],
                "nested": {"deep": {"er": step}, "text": "x"},
                "histogram": wandb.Histogram([1, 2, 3]),
                "image": wandb.Image(image),
                "images": [wandb.Image(image)],
            }
        )
        run.log({"table": wandb.Table(["a"], [[step]]), "custom": wandb.plot.line(wandb.Table(["x", "y"]), "x", "y")})
        run.log({})


def results(run: wandb.Run) -> None:
    """A line that ends where it was: the same x again, in a row that says so."""
    run.define_metric("*", step_metric="train/global_step", step_sync=True)
    for step in range(1, 6):
        run.log({"train/loss": 0.5, "train/epoch": step / 2, "train/global_step": step})
        run.log({"eval/loss": 0.5, "train/epoch": step / 2, "train/global_step": step})
    run.log({"train/total": 3.0, "train/global_step": 5})
    run.log({"test/loss": 0.5})


def seldom(run: wandb.Run) -> None:
    """Without ``step_sync``, rows that lack the axis are meant to make no point."""
    run.define_metric("loss", step_metric="epoch", step_sync=False)
    for step in range(9):
        run.log({"loss": 0.5 * step} | ({"epoch": step} if step % 3 == 0 else {}))


def clocked(run: wandb.Run) -> None:
    """Axes that W&B itself puts into each row."""
    run.define_metric("loss", step_metric="_timestamp")
    run.define_metric("load/*", step_metric="_runtime")
    for step in range(4):
        run.log({"loss": 0.5 * step, "load/cpu": 0.1 * step})


def taken_back(run: wandb.Run) -> None:
    """A definition that another one overwrites, which names no axis."""
    run.define_metric("loss", step_metric="epoch")
    run.define_metric("loss", overwrite=True)
    for step in range(4):
        run.log({"loss": 0.5 * step})


def evaluated_out_of_order(run: wandb.Run) -> None:
    """Evaluations of checkpoints as they finish, on the axis of the training."""
    run.define_metric("*", step_metric="training_step")
    finished = {25: 20, 52: 50, 57: 30, 80: 70, 90: 60}
    for step in range(100):
        run.log({"train/loss": 1 / (step + 1), "training_step": step})
        if step in finished:
            run.log({"eval/accuracy": finished[step] / 100, "training_step": finished[step]})


def measured(run: wandb.Run) -> None:
    """An axis that is measured, and one that falls: neither counts."""
    run.define_metric("reward", step_metric="kl")
    run.define_metric("quality", step_metric="noise")
    random = np.random.default_rng(0)
    for step in range(40):
        row = {"reward": step / 40, "kl": 0.5 * step + random.normal(0, 0.6)}
        run.log(row | {"quality": step / 40, "noise": 1 / (step + 1)})


def timed(run: wandb.Run) -> None:
    """``<folder>/step`` can be how long a step took."""
    random = np.random.default_rng(1)
    for step in range(40):
        took = random.uniform(5, 9)
        row = {"actor/loss": 0.5, "timing/generate": took, "timing/step": took + 1, "training/global_step": step}
        run.log(row, step=step)


def with_numpy_steps(run: wandb.Run) -> None:
    """``step=`` as NumPy counts."""
    for step in np.arange(0, 12, 3):
        run.log({"loss": 0.5 * step}, step=cast(int, step))


def without_clocks(held: Held) -> list[dict[str, Any]]:
    """The rows, less the times and the names of files that hold random letters."""
    return [{name: value for name, value in row.items() if not _varies(name)} for row in held.rows]


def definitions(held: Held) -> list[dict[str, Any]]:
    """The definitions of metrics; those that wandb derives from globs, in an order by chance, come last and sorted."""
    derived = [metric for metric in held.metrics if metric.get("expanded_from_glob")]
    return [metric for metric in held.metrics if metric not in derived] + sorted(derived, key=str)


def _varies(name: str) -> bool:
    return name in ("_timestamp", "_runtime") or name.endswith((".path", ".artifact_path", "_latest_artifact_path"))


@pytest.mark.parametrize(
    "loop",
    [
        staged,
        counted,
        filled_in,
        put_together,
        of_all_kinds,
        results,
        seldom,
        clocked,
        taken_back,
        evaluated_out_of_order,
        measured,
        timed,
        with_numpy_steps,
    ],
)
def test_a_run_that_is_right_is_held_as_without_a_guard(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    """Row for row and definition for definition, W&B holds the same; and nothing is said to have been changed."""
    plain, guarded = held_by(loop, guarded=False), held_by(loop)
    assert without_clocks(guarded) == without_clocks(plain)
    assert len(guarded.rows) >= 3
    assert all(row["_timestamp"] > 1e9 and "_runtime" in row for row in guarded.rows)
    assert definitions(guarded) == definitions(plain)
    changed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ups: guard of run")]
    assert not any(word in line for line in changed for word in ("rows", "parts", "metrics", "axis"))
