"""Loops that people write, each logged by the real wandb client: ``loops_people_write.py FOLDER``.

Each lies in ``FOLDER/<name>/wandb``. The names say which kind of loop it is; ``test_loops.py`` says what is right.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

Run = Any


def begin(folder: Path, **options: Any) -> Run:
    """A quiet offline run."""
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    return wandb.init(mode="offline", dir=folder, project="loops", settings=settings, **options)


def evaluations_out_of_order(run: Run) -> None:
    """Checkpoints are evaluated beside training, and results are logged as they come, at the step they are of."""
    run.define_metric("*", step_metric="training_step")
    done = {25: 20, 52: 50, 57: 30, 80: 70, 90: 60}
    for step in range(100):
        run.log({"train/loss": 1 / (step + 1), "training_step": step})
        if step in done:
            run.log({"eval/acc": done[step] / 100, "training_step": done[step]})


def measured_axis(run: Run) -> None:
    """The reward is drawn against a divergence, which is measured."""
    random.seed(0)
    run.define_metric("reward", step_metric="kl")
    for step in range(40):
        run.log({"reward": step / 40 + random.gauss(0, 0.02), "kl": step * 0.5 + random.gauss(0, 0.6)})


def falling_axis(run: Run) -> None:
    """The loss is drawn against a noise level, which falls."""
    run.define_metric("loss", step_metric="sigma")
    for step in range(30):
        run.log({"loss": 1 / (step + 1), "sigma": 30 - step})


def clock_that_restarts(run: Run) -> None:
    """The axis is a clock of the process, which begins again when the run is resumed; no step is logged twice."""
    run.define_metric("loss", step_metric="seconds")
    for step in range(60):
        run.log({"loss": 1 / (step + 1), "seconds": (step % 30) * 1.5 + (step >= 30) * 0.7})


def clock_beside_a_step(run: Run) -> None:
    """The clock begins again with the values that it had, while the step in the same rows counts on."""
    run.define_metric("loss", step_metric="wall_time")
    for step in range(60):
        run.log({"loss": 1 / (step + 1), "wall_time": 2.5 * (step % 30), "global_step": step})


def folds(run: Run) -> None:
    """Twelve folds of a cross-validation, each of which counts its epochs from 1."""
    run.define_metric("loss", step_metric="epoch")
    for fold in range(12):
        for epoch in range(6):
            run.log({"loss": 100 * fold + epoch, "epoch": epoch + 1})


def one_metric_runs_again(run: Run) -> None:
    """Two trainings on one axis: each has a loss of its own, and both log the learning rate."""
    run.define_metric("*", step_metric="step")
    for name in ("encoder", "decoder"):
        for step in range(40):
            run.log({f"{name}/loss": 1 / (step + 1), "lr": 1e-3 * (step + 1), "step": step})


def epoch_in_every_row(run: Run) -> None:
    """The epoch is the axis and stands in each batch's row, beside a learning rate that does not change."""
    run.define_metric("*", step_metric="epoch")
    for epoch in range(5):
        for batch in range(8):
            run.log(
                {"loss/current": 1 / (1 + 8 * epoch + batch), "lr": 1e-3, "epoch": epoch + 1}, step=8 * epoch + batch
            )


def epoch_in_every_row_and_its_mean(run: Run) -> None:
    """The epoch stands in each batch's row, and in a row with the mean of its batches."""
    run.define_metric("loss/*", step_metric="epoch")
    for epoch in range(5):
        for batch in range(8):
            run.log({"loss/batch": 1 / (1 + 8 * epoch + batch), "epoch": epoch})
        run.log({"loss/epoch_avg": 1 / (epoch + 1), "epoch": epoch})


def two_evaluations_at_one_step(run: Run) -> None:
    """A trainer evaluates on two sets at its last step."""
    run.define_metric("train/global_step")
    run.define_metric("*", step_metric="train/global_step", step_sync=True)
    run.log({"eval/loss": 1.2, "train/epoch": 0, "train/global_step": 0})
    for step in range(1, 7):
        run.log({"train/loss": 1 / step, "train/epoch": step / 2, "train/global_step": step})
    for loss in (0.05, 1.6):
        run.log({"eval/loss": loss, "train/epoch": 3, "train/global_step": 6})


def rungs(run: Run) -> None:
    """A search gives many trials a small budget and few a large one; the budget is the axis."""
    run.define_metric("score", step_metric="budget")
    for budget, trials in ((1, 9), (3, 3), (9, 1)):
        for trial in range(trials):
            run.log({"score": budget + trial / 10, "budget": budget})


def never_logged_beside_lost_rows(run: Run) -> None:
    """Validation counts its own steps, which W&B has passed."""
    run.define_metric("val/loss", step_metric="val_step")
    count = 0
    for epoch in range(4):
        for batch in range(10):
            run.log({"train/loss": 1 / (1 + 10 * epoch + batch)}, step=10 * epoch + batch)
        for batch in range(5):
            run.log({"val/loss": 1 / (1 + count), "val_step": count}, step=10 * epoch + batch)
            count += 1


def escaped_dot(run: Run) -> None:
    """A metric with a dot in its name is defined as wandb asks for."""
    run.define_metric(r"my\.loss", step_metric="s", summary="min")
    for step in range(20):
        run.log({"my.loss": 1 / (step + 1), "s": 3 * step})


def two_counters(run: Run) -> None:
    """Training counts in fours and evaluation in ones."""
    for step in range(60):
        run.log({"train/loss": 1 / (step + 1)}, step=4 * step)
        if step % 10 == 9:
            run.log({"eval/reward": step / 60}, step=step)


def second_call_at_a_committed_step(run: Run) -> None:
    """The row of a step is closed, and comes again with more."""
    for step in range(40):
        run.log({"train/loss": 1 / (step + 1)}, step=step, commit=True)
        if step % 10 == 9:
            run.log({"eval/loss": 2 / (step + 1)}, step=step, commit=True)


def below_zero(run: Run) -> None:
    """An evaluation before training is logged as step -1."""
    run.log({"eval/loss": 3.0}, step=-1)
    for step in range(10):
        run.log({"train/loss": 1 / (step + 1)}, step=step)


def stage_from_zero(run: Run) -> None:
    """A second stage counts its steps from 0 again."""
    for stage, steps in (("a", 30), ("b", 20)):
        for step in range(steps):
            run.log({f"{stage}/loss": 1 / (step + 1)}, step=step)


def another_counter_is_logged(run: Run) -> None:
    """The axis that is named is the epoch, and the rows hold the global step."""
    run.define_metric("train/*", step_metric="train/global_step")
    run.define_metric("eval/*", step_metric="eval/epoch")
    for step in range(1, 61):
        run.log({"train/loss": 1 / step, "train/global_step": step})
        if step % 20 == 0:
            run.log({"eval/reward": step / 60, "eval/global_step": step})


def own_count_is_the_same(run: Run) -> None:
    """The step of the folder is W&B's own in each row."""
    for step in range(30):
        run.log({"train/loss": 1 / (step + 1), "train/step": step}, step=step)


def large_steps_again(run: Run) -> None:
    """Steps of eight digits, some of which come again."""
    run.define_metric("loss", step_metric="env_steps")
    for step in [*range(40), *range(30, 60)]:
        run.log({"loss": 1 / (step + 1), "env_steps": 12_345_600 + step})


def dot_in_the_axis(run: Run) -> None:
    """The name of the axis has a dot: wandb does not find it in the rows, and fills in its own."""
    run.define_metric("reward", step_metric="Wall Time (sec.)")
    for step in range(20):
        run.log({"reward": step / 3, "Wall Time (sec.)": 7.25 * step})


def defined_again_later(run: Run) -> None:
    """A metric is drawn against another axis for its second half, which the first half does not hold."""
    run.define_metric("loss", step_metric="step")
    for step in range(30):
        run.log({"loss": 1 / (step + 1), "step": step})
    run.define_metric("loss", step_metric="ft_step", step_sync=False)
    for step in range(30):
        run.log({"loss": 1 / (step + 1), "ft_step": step})


def resumed_with_step(folder: Path) -> None:
    """A crashed run is resumed from its checkpoint, with ``step=``."""
    for first, end in ((0, 15), (10, 30)):
        run = begin(folder, id="crash", resume="allow", reinit=True)
        for step in range(first, end):
            run.log({"loss": 1 / (step + 1)}, step=step)
        run.finish(1 if end == 15 else 0)
        time.sleep(1.1)  # the folders are named by the second


def two_processes(folder: Path) -> None:
    """Two processes write one run at the same time."""
    script = (
        "import sys, time, wandb\n"
        "number = int(sys.argv[2])\n"
        "time.sleep(1.5 * number)\n"
        "settings = wandb.Settings(silent=True, console='off', x_disable_stats=True)\n"
        "run = wandb.init(mode='offline', dir=sys.argv[1], project='loops', id='shared', settings=settings)\n"
        "for step in range(100):\n"
        "    run.log({f'rank{number}/loss': 1 / (step + 1), 'both': step + number / 2}, step=step)\n"
        "    time.sleep(0.03)\n"
        "run.finish()\n"
    )
    own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    both = [subprocess.Popen([sys.executable, "-c", script, folder, str(number)], env=own) for number in range(2)]
    assert [process.wait() for process in both] == [0, 0]


def rewound(folder: Path) -> None:
    """A run is rewound to step 200, and goes on from there; both sessions may begin in one second."""
    run = begin(folder, id="rew")
    for step in range(300):
        run.log({"loss": 1 / (step + 1)})
    run.finish()
    run = begin(folder, resume_from="rew?_step=200")
    for step in range(100):
        run.log({"loss": 2 / (step + 201)})
    run.finish()


def rewound_twice(folder: Path) -> None:
    """A run is rewound two times; only the last rewind's rows are behind its step."""
    for number, start in enumerate(("rew", "rew?_step=5", "rew?_step=2")):
        run = begin(folder, id="rew") if number == 0 else begin(folder, resume_from=start)
        for step in range(8):
            run.log({"loss": 100 * number + step})
        run.finish()
        time.sleep(1.1)


LOOPS: dict[str, Callable[[Run], None]] = {
    made.__name__: made
    for made in (
        evaluations_out_of_order, measured_axis, falling_axis, clock_that_restarts, one_metric_runs_again,
        epoch_in_every_row, epoch_in_every_row_and_its_mean, two_evaluations_at_one_step, rungs,
        never_logged_beside_lost_rows, escaped_dot, two_counters, second_call_at_a_committed_step, below_zero,
        stage_from_zero, another_counter_is_logged, own_count_is_the_same, large_steps_again, defined_again_later,
        dot_in_the_axis, clock_beside_a_step, folds,
    )
}  # fmt: skip
SESSIONS = {made.__name__: made for made in (resumed_with_step, two_processes, rewound, rewound_twice)}


def main(folder: Path) -> None:
    for name, loop in LOOPS.items():
        (folder / name).mkdir()
        run = begin(folder / name, id=name, name=name)
        loop(run)
        run.finish()
    for name, made in SESSIONS.items():
        (folder / name).mkdir()
        made(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
