"""Makes runs with the real wandb client, one a function below; run as a script: ``made_runs.py FOLDER [NAME…]``.

For every verdict and finding there is a run that has it, and a near miss that does not. Each lies in
``FOLDER/<name>/wandb``. One process makes them all, for starting the client takes longest. It needs nothing but
wandb, and is run with the interpreter of whichever wandb is wanted, from 0.19 on.
"""

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

STEP = "training/operator/step"
LOSS = "training/operator/loss"
Run = Any


def staged(run: Run) -> None:
    """Three stages, each with its own axis, as they should be."""
    for stage, steps in (("operator", 100), ("diffusion_residual", 50), ("consistency_distill", 30)):
        axis = f"training/{stage}/step"
        run.define_metric(axis, hidden=True)
        run.define_metric(f"training/{stage}/loss", step_metric=axis)
        for step in range(steps):
            run.log({f"training/{stage}/loss": 1 / (step + 1), axis: step})


def naive(run: Run) -> None:
    """The staged training that counts step= from 0 in each stage and never logs the axis."""
    for stage, steps in (("operator", 100), ("diffusion_residual", 50)):
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
        for step in range(steps):
            run.log({f"training/{stage}/loss": 1.0}, step=step)


def every_value(run: Run) -> None:
    """Every form that a value can have."""
    import numpy as np

    run.log(
        {
            "int": 3,
            "negative": -7,
            "huge": 10**60,
            "float": 0.1,
            "tiny": 5e-324,
            "big": 1.7976931348623157e308,
            "float32": np.float32(1.1),
            "bool": True,
            "nan": math.nan,
            "inf": math.inf,
            "minus_inf": -math.inf,
            "text": "hi",
            "number_text": "12",
            "none": None,
            "list": [1, 2],
            "nested": {"a": {"b": 2.5}},
            "dot.ted": 4,
            "ünï/cödé": 5,
            "histogram": wandb.Histogram([1, 2, 3]),
            "image": wandb.Image(np.zeros((4, 4, 3), np.uint8)),
            "table": wandb.Table(columns=["a"], data=[[1]]),
        }
    )


def many_rows(run: Run) -> None:
    """Records across several blocks, and values as wide as they get."""
    for step in range(2000):
        run.log({"x": step, "sin": math.sin(step), "exp": math.exp(step % 700 - 350), "wide": "w" * 50})
    run.log({"longer_than_a_block": "z" * 100_000, "x": 2000})


def declared(run: Run) -> None:
    """Two stages declared, one of them logged."""
    run.config["ups"] = {"stages": ["operator", "diffusion_residual"]}
    run.define_metric(STEP, hidden=True)
    run.define_metric(LOSS, step_metric=STEP)
    for step in range(3):
        run.log({LOSS: step, STEP: step})


def killed(run: Run) -> None:
    """The process is killed before the run finishes; only made when asked for by name."""
    run.config["ups"] = {"stages": ["operator"]}
    run.log({"other": 1})
    run.log({"other": 2})
    run.config["filler"] = "z" * 100_000  # 0.19 writes whole blocks only
    (file,) = Path(run.dir).parent.glob("*.wandb")
    while file.stat().st_size < 98_304:
        time.sleep(0.05)
    time.sleep(1.5)  # until the rest of what was logged is in the file
    os.kill(os.getpid(), signal.SIGKILL)


def described(run: Run) -> None:
    """What a run says about itself."""
    run.config.update({"lr": 0.1, "model": {"width": 32, "layers": [1, 2]}})
    run.config.update({"lr": 0.2}, allow_val_change=True)
    run.define_metric(LOSS, step_metric=STEP, summary="min")
    run.log({LOSS: 3.0, STEP: 0})
    run.log({LOSS: 2.0, STEP: 1})
    run.log({LOSS: 4.0, STEP: 2})
    run.summary["best"] = {"loss": 2.0}
    run.finish(exit_code=3)


def empty(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP, step_sync=False)
    for value in range(5):
        run.log({LOSS: value})


def empty_near_miss(run: Run) -> None:
    """One row of five lacks the axis."""
    run.define_metric(LOSS, step_metric=STEP, step_sync=False)
    for value in range(5):
        run.log({LOSS: value, STEP: value} if value else {LOSS: value})


def mostly_empty(run: Run) -> None:
    """The axis is logged every fifth time, or is NaN every second time."""
    run.define_metric(LOSS, step_metric=STEP, step_sync=False)
    run.define_metric("other", step_metric="other_step")
    for value in range(10):
        run.log({LOSS: value, STEP: value} if value % 5 == 0 else {LOSS: value})
        run.log({"other": value, "other_step": math.nan if value % 2 else value})


def frozen(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP)
    for value in range(5):
        run.log({LOSS: value})


def frozen_near_miss(run: Run) -> None:
    """The values stand still, the axis does not."""
    run.define_metric(LOSS, step_metric=STEP)
    for step in range(5):
        run.log({LOSS: 1.0, STEP: step})


def stages_of_both_kinds(run: Run) -> None:
    """The first stage is well, the second one frozen."""
    for stage in ("operator", "refine"):
        run.define_metric(f"training/{stage}/loss", step_metric=f"training/{stage}/step")
        for step in range(3):
            run.log({f"training/{stage}/loss": step} | ({STEP: step} if stage == "operator" else {}))


def stale(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP)
    for value in range(9):
        run.log({LOSS: value, STEP: value} if value % 3 == 0 else {LOSS: value})


def stale_near_miss(run: Run) -> None:
    """The axis comes more often than the metric."""
    run.define_metric(LOSS, step_metric=STEP)
    for step in range(9):
        run.log({LOSS: step, STEP: step} if step % 3 == 0 else {"other": step, STEP: step})


def lagging(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP)
    for value in range(9):
        run.log({LOSS: value})
        run.log({STEP: value})


def lagging_near_miss(run: Run) -> None:
    """The axis comes in a row of its own before the metric's, and a second metric every third step."""
    run.define_metric("training/operator/*", step_metric=STEP)
    for value in range(9):
        run.log({STEP: value})
        run.log({LOSS: value})
        if value % 3 == 0:
            run.log({"training/operator/val": value})


def bare_steps(run: Run) -> None:
    """Now and then the axis comes alone, but every value has its own."""
    run.define_metric(LOSS, step_metric=STEP)
    for value in range(9):
        run.log({LOSS: value, STEP: value})
        if value % 3 == 2:
            run.log({STEP: value + 0.5})


def validated(run: Run) -> None:
    """A validation before training and after every third step, in rows without the axis."""
    run.define_metric("training/operator/*", step_metric=STEP)
    run.log({"training/operator/val": 0})
    for value in range(1, 10):
        run.log({LOSS: value, STEP: value})
        if value % 3 == 0:
            run.log({"training/operator/val": value})


def validated_before(run: Run) -> None:
    """A validation before training, and one after each epoch, which is logged before it, alone."""
    run.define_metric(LOSS, step_metric=STEP)
    run.log({LOSS: 9})
    for epoch in range(1, 6):
        run.log({STEP: epoch})
        run.log({LOSS: 9 - epoch})


def backwards(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP)
    for value in [0, 1, 2, 3, 1, 2, 3, 4]:
        run.log({LOSS: value, STEP: value})


def backwards_near_miss(run: Run) -> None:
    """Steps are left out, and a second stage begins at 0 again, on an axis of its own."""
    for stage, steps in (("operator", (0, 1, 5, 100)), ("refine", (0, 1, 2))):
        run.define_metric(f"training/{stage}/loss", step_metric=f"training/{stage}/step")
        for step in steps:
            run.log({f"training/{stage}/loss": step, f"training/{stage}/step": step})


def single_point(run: Run) -> None:
    run.log({"test/accuracy": 0.9})


def two_points(run: Run) -> None:
    for value in (0.8, 0.9):
        run.log({"test/accuracy": value})


def not_numeric(run: Run) -> None:
    for value in ("good", "bad"):
        run.log({"text": value, "none": None, "list": [1], "mixed": value if value == "good" else 1, "yes": True})
    run.log({"mixed": 2})


def mostly_text(run: Run) -> None:
    """Two numbers among words, and among nothing: that is how a metric is left out of a row."""
    for value in range(6):
        run.log({"words": value if value > 3 else "n/a", "gaps": value if value > 3 else None})


def not_finite(run: Run) -> None:
    for value in (1.0, 2.0, math.nan):
        run.log({"some": value, "all": math.inf, "words": "NaN", "large": 1e308})


def never_logged(run: Run) -> None:
    run.define_metric(LOSS, step_metric=STEP)
    run.define_metric("training/diffusion/*", step_metric="training/diffusion/step")
    run.define_metric("shown/later", hidden=True)
    run.log({"other": 1})
    run.log({"other": 2})


def never_logged_near_miss(run: Run) -> None:
    """Each definition fits one row, and one comes after its rows."""
    run.log({"other": 1})
    run.define_metric(LOSS, step_metric=STEP)
    run.define_metric("training/diffusion/*", step_metric="training/diffusion/step")
    run.define_metric("other")
    for step in range(2):
        run.log({"training/diffusion/loss": step, "training/diffusion/step": step, "other": step})
        run.log({LOSS: step, STEP: step})


def overwritten(run: Run) -> None:
    """Definitions that were taken back."""
    run.define_metric(LOSS, step_metric=STEP)
    run.define_metric(LOSS, overwrite=True)
    run.define_metric("other", hidden=True)
    run.define_metric("other", overwrite=True)
    for value in range(3):
        run.log({LOSS: value, "other": value})


def only_its_step(run: Run) -> None:
    """A glob and a declared stage that fit nothing but their own step metric."""
    run.config["ups"] = {"stages": ["refine"]}
    run.define_metric("training/operator/*", step_metric=STEP)
    run.define_metric("training/refine/step", hidden=True)
    run.define_metric("shown", step_metric="training/refine/step")
    for value in range(3):
        run.log({STEP: value, "operator/loss": value, "training/refine/step": value, "shown": value})


def nothing_to_draw(run: Run) -> None:
    """Text and NaN beside an axis that was never logged, and a result that was NaN at first."""
    for stage, synced in (("a", True), ("b", False)):
        run.define_metric(f"{stage}/*", step_metric=f"{stage}/step", step_sync=synced)
        for _ in range(3):
            run.log({f"{stage}/nan": math.nan, f"{stage}/text": "text"})
    run.log({"eval/accuracy": math.nan})
    run.log({"eval/accuracy": 0.5})


def ambiguous(run: Run) -> None:
    run.define_metric("*", step_metric="global_step")
    run.define_metric("training/operator/*", step_metric=STEP)
    run.define_metric("training/operator/exact", step_metric=STEP)
    for value in range(3):
        run.log({LOSS: value, "training/operator/exact": value, STEP: value, "global_step": value})


def ambiguous_once(run: Run) -> None:
    """The nearer glob names an axis that is never logged."""
    run.define_metric("*", step_metric="global_step")
    run.define_metric("training/operator/*", step_metric=STEP)
    for value in range(3):
        run.log({LOSS: value, "global_step": value})


def globs_that_agree(run: Run) -> None:
    run.define_metric("training/*", step_metric=STEP)
    run.define_metric("training/operator/*", step_metric=STEP)
    for value in range(3):
        run.log({LOSS: value, STEP: value})


def orphan(run: Run) -> None:
    run.define_metric("training/diffusion/*", step_metric="training/diffusion_residual/step")
    for value in range(3):
        run.log({"training/diffusion_residual/loss": value, "training/diffusion_residual/step": value})
        run.log({"training/diffusion_residual/alone": value})


def orphan_near_miss(run: Run) -> None:
    """A glob that does fit, a metric of no stage, and steps in the same rows that go back or stand still."""
    run.define_metric("training/diffusion*", step_metric="training/diffusion_residual/step")
    for value in range(3):
        run.log({"training/diffusion_residual/loss": value, "training/diffusion_residual/step": value, "speed": value})
    run.define_metric("train/epoch_loss", step_metric="train/epoch")
    for epoch in range(2):
        for length in (9, 3, 7):
            run.log({"env/reward": length, "env/step": length, "train/loss": length, "train/epoch": epoch})
        run.log({"train/epoch_loss": epoch, "train/epoch": epoch})


def lost(run: Run) -> None:
    for stage in ("a", "b"):
        for step in range(10 if stage == "a" else 4):
            run.log({f"{stage}/loss": step}, step=step)


def lost_but_one(run: Run) -> None:
    """Two stages of the same length: the last row of the second is one more of the first."""
    for stage in ("a", "b"):
        for step in range(5):
            run.log({f"{stage}/loss": step}, step=step)


def lost_near_miss(run: Run) -> None:
    """step= grows, with gaps, and comes twice: the second call adds to the row."""
    for step in (0, 5, 5, 100):
        run.log({"a/loss" if step < 100 else "b/loss": step}, step=step)


def whole_numbers(run: Run) -> None:
    """Whole numbers that a float rounds: an axis, metrics, and some among other values. One chart is frozen."""
    run.define_metric("ns/*", step_metric="ns/step")
    run.define_metric(LOSS, step_metric=STEP)
    for step in range(8):
        values = {"bytes": 2**63 - 1 - step, "lowest": -(2**63) + step, "mixed": 2**60 + step if step else 0.5}
        if step % 2:
            values["some"] = 2**53 + step
        run.log({f"ns/{name}": value for name, value in values.items()} | {"ns/step": 2**60 + step, LOSS: 1.0})


def steps_of_nanoseconds(run: Run) -> None:
    """W&B's own step is a time."""
    for step in range(3):
        run.log({"loss": step}, step=2**60 + step)


def raised(run: Run) -> None:
    """Training failed, and the run was finished all the same."""
    for value in range(3):
        run.log({"loss": value})
    run.finish(exit_code=1)


CASES: dict[str, Callable[[Run], None]] = {
    made.__name__: made
    for made in (
        staged, naive, every_value, many_rows, declared, killed, described, raised, empty, empty_near_miss, frozen,
        frozen_near_miss, stale, stale_near_miss, lagging, lagging_near_miss, bare_steps, validated, validated_before,
        backwards, backwards_near_miss, single_point, two_points, not_numeric, not_finite, never_logged,
        never_logged_near_miss, nothing_to_draw, ambiguous, globs_that_agree, orphan, orphan_near_miss, lost,
        lost_near_miss, stages_of_both_kinds, mostly_empty, mostly_text, overwritten, only_its_step, ambiguous_once,
        lost_but_one, whole_numbers, steps_of_nanoseconds,
    )
}  # fmt: skip


def main(folder: Path, names: list[str]) -> None:
    for name in names or [name for name in CASES if name != "killed"]:
        (folder / name).mkdir(parents=True)
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        if name == "every_value" and hasattr(settings, "x_history_value_encoding"):
            settings.x_history_value_encoding = "json,typed"
        if name == "killed" and hasattr(settings, "x_transaction_log_flush_interval"):
            settings.x_transaction_log_flush_interval = 0.2
        run = wandb.init(
            mode="offline",
            dir=folder / name,
            project="made",
            id=name,
            name=f"{name} run",
            tags=["t"],
            settings=settings,
        )
        CASES[name](run)
        run.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
