"""Makes runs that need a repair with the real wandb client, one a function below: ``broken_runs.py FOLDER``.

Each lies in ``FOLDER/<name>/wandb``. Every value that is logged under a name is another number, so that a test can
tell each point from every other.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

STEP = "training/operator/step"
LOSS = "training/operator/loss"
ACCURACY = "training/operator/accuracy"
VAL = "training/operator/val"
RANDOM_RUNS = 24
Run = Any


def in_two_calls(run: Run) -> None:
    """The axis is never logged; loss and accuracy come in calls of their own, and a validation after every third."""
    run.define_metric("training/operator/*", step_metric=STEP)
    for step in range(9):
        run.log({LOSS: step})
        run.log({ACCURACY: 10 + step})
        if step % 3 == 2:
            run.log({VAL: 20 + step})


def never_in_the_same_row(run: Run) -> None:
    """The axis is logged after each loss, in a row of its own, and nothing is filled in: the chart is empty."""
    run.define_metric(LOSS, step_metric=STEP, step_sync=False)
    for step in range(5, 10):
        run.log({LOSS: step})
        run.log({STEP: step})


def every_tenth(run: Run) -> None:
    """The axis is logged at every tenth step only."""
    run.define_metric("training/operator/*", step_metric=STEP)
    for step in range(95):
        row = {LOSS: step, ACCURACY: 100 + step}
        run.log(row | {STEP: step} if step % 10 == 0 else row)


def lagging_with_two(run: Run) -> None:
    """Loss, then accuracy, then the axis, each in a call of its own."""
    run.define_metric("training/operator/*", step_metric=STEP)
    for step in range(3, 12):
        run.log({LOSS: step})
        run.log({ACCURACY: 20 + step})
        run.log({STEP: step})


def epoch_behind_its_batches(run: Run) -> None:
    """The epoch is logged once, in a row of its own, behind the batches that it ends with."""
    run.define_metric("train/*", step_metric="train/epoch")
    for epoch in range(3):
        for batch in range(4):
            run.log({"train/loss": 10 * epoch + batch})
        run.log({"train/epoch": epoch})


def resumed(run: Run) -> None:
    """Steps 0 to 9, then 5 to 7 from an older checkpoint, then the end; a validation at 0, 5 and so on."""
    run.define_metric("training/operator/*", step_metric=STEP)
    for attempt, steps in enumerate([range(10), range(5, 8)]):
        for step in steps:
            row = {LOSS: 100 * attempt + step, STEP: step}
            run.log(row | {VAL: 1000 + 100 * attempt + step} if step % 5 == 0 else row)


def epoch_in_every_row(run: Run) -> None:
    """Eight steps, then five from 0, and an epoch both in the training's rows and the validation's, as trainers log."""
    run.define_metric("*", step_metric="global_step")
    for attempt, steps in enumerate([8, 5]):
        for step in range(steps):
            run.log({"loss": 100 * attempt + step, "epoch": step // 4, "global_step": step})
            if step % 4 == 3:
                run.log({"val": 100 * attempt + step, "epoch": step // 4, "global_step": step})


def beside_a_full_chart(run: Run) -> None:
    """Batches are drawn against the epoch, as is the loss of each epoch, which comes at its end and is right."""
    run.define_metric("train/*", step_metric="train/epoch")
    for epoch in range(3):
        for batch in range(4):
            run.log({"train/loss": 10 * epoch + batch, "train/epoch": epoch})
        run.log({"train/epoch_loss": epoch, "train/epoch": epoch})


def defined_late(run: Run) -> None:
    """The chart's axis is named in the middle of the run, and never logged."""
    for step in range(6):
        if step == 3:
            run.define_metric(LOSS, step_metric=STEP)
        run.log({LOSS: step})


def two_globs(run: Run) -> None:
    """Two globs match, and the axis of the nearer one was never logged."""
    run.define_metric("*", step_metric="global_step")
    run.define_metric("training/operator/*", step_metric=STEP)
    for step in range(4):
        run.log({LOSS: step})


def misnamed(run: Run) -> None:
    """The glob and its axis are of another name than what is logged."""
    run.define_metric("training/diffusion/*", step_metric="training/diffusion/step")
    for step in range(3, 7):
        run.log({"training/diffusion_residual/loss": step, "training/diffusion_residual/step": step})


def everything(run: Run) -> None:
    """Three stages of which one is frozen, one folds back and one is right; results, text, images, an artifact."""
    import numpy as np

    run.config.update({"lr": 0.1, "net": {"width": 32}})
    for stage in ("operator", "diffusion_residual", "consistency_distill"):
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for step in range(6):
        run.log({LOSS: step, "phase": "one", "picture": wandb.Image(np.full((2, 2), step, np.uint8))})
    for start in (0, 3):
        for step in range(start, start + 6):
            name = "training/diffusion_residual"
            run.log({f"{name}/loss": 100 * start + step, f"{name}/step": step, "phase": "two"})
    for step in range(4):
        name = "training/consistency_distill"
        run.log({f"{name}/loss": step, f"{name}/step": step, "diverged": float("nan")})
    run.define_metric("eval/l2", summary="none")
    run.log({"eval/l2": 0.25, "eval/step": 9})
    run.summary["mine"] = 7
    weights = Path(run.dir) / "weights.txt"
    weights.write_text("weights")
    run.log_artifact(weights, name="weights", type="model")


def two_sessions(run: Run) -> None:
    """The run goes on in a second offline session, in which W&B's own step counts from 0 again, by tens."""
    run.define_metric(LOSS, step_metric=STEP)
    for step in range(5):
        run.log({LOSS: step, STEP: step, "speed": step})
    run.finish()
    time.sleep(1.1)  # the folders are named by the second
    again = wandb.init(mode="offline", dir=run.settings.root_dir, project="broken", id=run.id, settings=SETTINGS)
    again.define_metric(LOSS, step_metric=STEP)
    for step in range(5, 8):
        again.log({LOSS: step, STEP: step, "speed": step}, step=10 * (step - 5))
    again.finish()


def at_random(run: Run, seed: int) -> None:
    """Some stages, each with something wrong, or nothing, or several things."""
    rng = random.Random(seed)
    values = iter(range(10**6))
    for stage in ("a", "b", "c")[: rng.randint(1, 3)]:
        axis, sync = f"{stage}/step", rng.random() < 0.7
        match rng.choice(["exact", "glob", "two", "none"]):
            case "exact":
                for name in ("loss", "accuracy", "val"):
                    run.define_metric(f"{stage}/{name}", step_metric=axis, step_sync=sync)
            case "glob":
                run.define_metric(f"{stage}/*", step_metric=axis, step_sync=sync)
            case "two":
                run.define_metric("*", step_metric="global_step")
                run.define_metric(f"{stage}/*", step_metric=axis, step_sync=sync)
        logged = rng.choice(["never", "always", "always", "seldom", "before", "after"])
        apart, seldom = rng.random() < 0.4, rng.randint(2, 5)
        for _ in range(rng.choice([1, 1, 2, 3])):
            start = rng.randint(0, 8)
            for step in range(start, start + rng.randint(2, 12)):
                own = {axis: step} if logged == "always" or (logged == "seldom" and step % seldom == 0) else {}
                if logged == "before":
                    run.log({axis: step})
                if apart:
                    run.log({f"{stage}/loss": next(values), **own})
                    run.log({f"{stage}/accuracy": next(values), **own})
                else:
                    run.log({f"{stage}/loss": next(values), f"{stage}/accuracy": next(values), **own})
                if step % 4 == 3:
                    run.log({f"{stage}/val": next(values), **own})
                if logged == "after":
                    run.log({axis: step})


SETTINGS = wandb.Settings(silent=True, console="off", x_disable_stats=True)
CASES: dict[str, Callable[[Run], None]] = {
    made.__name__: made
    for made in (
        in_two_calls, never_in_the_same_row, every_tenth, lagging_with_two, epoch_behind_its_batches, resumed,
        epoch_in_every_row, beside_a_full_chart, defined_late, two_globs, misnamed, everything, two_sessions,
    )
}  # fmt: skip


def main(folder: Path) -> None:
    cases = CASES | {f"random{seed}": lambda run, seed=seed: at_random(run, seed) for seed in range(RANDOM_RUNS)}
    for name, make in cases.items():
        (folder / name).mkdir(parents=True)
        run = wandb.init(mode="offline", dir=folder / name, project="broken", id=name, name=name, settings=SETTINGS)
        make(run)
        run.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
