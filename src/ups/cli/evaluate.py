"""``ups evaluate``: score the trained models of a run."""

import json
from pathlib import Path

import click

from ups.cli.train import require_simulator
from ups.errors import RunDirectoryError
from ups.text import command_line

__all__ = ["command"]

_TRAJECTORIES = 96
_STEPS = 110


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="For people or programs.")
@click.option(
    "--trajectories",
    type=click.IntRange(min=2),
    help=f"The number of test trajectories. Default: the run's own, at least {_TRAJECTORIES}.",
)
def command(run: Path, form: str, trajectories: int | None) -> None:
    """Score every trained model of a run, with standard errors.

    RUN is the directory of a run of 'ups train'. The scores are printed, and are kept in the run's summary and
    tables and in checkpoints/evaluation.json. docs/simulator.md explains each.

    \b
    Example:
      ups evaluate ups-runs/3kq0x8ab
      ups evaluate ups-runs/3kq0x8ab --format json
    """
    require_simulator("ups evaluate")
    import torch
    from rich.console import Console

    from ups.simulator import results, train_run
    from ups.simulator.data import make_test
    from ups.simulator.group import joined
    from ups.simulator.progress import Reporter
    from ups.simulator.trained import TrainedModels

    config = train_run.load_config(run)
    reporter = Reporter(Console(stderr=form == "json"))
    with joined() as group:
        torch.set_num_threads(config.training.threads)
        simulators = TrainedModels(config, run, group.device).simulators()
        if not simulators:
            resume = command_line("ups", "train", "--resume", run)
            raise RunDirectoryError(f"{run} has no stage that is trained to its end; finish one with: {resume}")
        _, context = train_run.resume(run)
        with context:
            count = trajectories or max(_TRAJECTORIES, config.data.test_trajectories)
            truth = make_test(config, trajectories=count, steps=max(_STEPS, config.data.test_steps))
            evaluations = results.evaluate_models(simulators, truth, config, reporter, group.device)
            content = results.keep(evaluations, truth, config, run, context)
    if form == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        results.show(evaluations, reporter)
