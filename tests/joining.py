"""A stage of a run that another process has begun; a module, so that a spawned process can import it."""

import threading

import ups

__all__ = ["train", "train_in_threads"]


def train(stage: str, steps: int) -> None:
    """Log the stage's steps."""
    with ups.join_wandb_context() as ctx:
        for step in range(steps):
            ctx.log_training_metric(stage, "loss", 1 / (step + 1), step)


def train_in_threads(stage: str, threads: int, rows: int) -> None:
    """Log ``rows`` rows of the stage in each of ``threads`` threads at once, each with a metric of its own."""
    with ups.join_wandb_context() as ctx:
        begun = ctx.stage(stage)

        def log(number: int) -> None:
            for step in range(rows):
                begun.log(step, {f"loss{number}": float(step)})

        started = [threading.Thread(target=log, args=(number,)) for number in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
