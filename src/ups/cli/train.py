"""``ups train``: train the three-stage neural simulator."""

import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ups.cli.output import echo
from ups.errors import UsageError
from ups.extras import require
from ups.text import command_line

if TYPE_CHECKING:
    from ups.simulator.pipeline import Outcome
    from ups.tracking import WandBContext

__all__ = ["command", "require_simulator"]

_LATEST = "latest"
_INTERRUPTED = 130

# Fixed, and here so that completing them does not import torch.
_PRESETS = ("smoke", "quick", "full")
_PROBLEMS = ("ks", "burgers")
_STAGES = ("operator", "diffusion_residual", "consistency_distill", "control")

_Mode = Literal["online", "offline", "local", "disabled"]


def _one_of(names: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """The completion of an option's value. A wrong name is an error of the command, which names the nearest."""
    return lambda _context, _option, incomplete: [name for name in names if name.startswith(incomplete)]


@click.command()
@click.option(
    "--preset",
    metavar="NAME",
    shell_complete=_one_of(_PRESETS),
    help="smoke (seconds), quick (minutes; the default) or full.",
)
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a preset's key. Repeatable.")
@click.option(
    "--problem", metavar="NAME", shell_complete=_one_of(_PROBLEMS), help="ks (Kuramoto-Sivashinsky) or burgers."
)
@click.option("--seed", type=int, help="Seed of the training data, the weights and the batches.")
@click.option(
    "--stage",
    metavar="NAME",
    shell_complete=_one_of(_STAGES),
    help="Train only this stage: operator, diffusion_residual, consistency_distill or control.",
)
@click.option(
    "--resume",
    metavar="[RUN_DIR]",
    is_flag=False,
    flag_value=_LATEST,
    help="Resume a run from its checkpoints. Default: the latest run.",
)
@click.option("--mode", type=click.Choice(["online", "offline", "local", "disabled"]), help="The tracking mode.")
@click.option("--project", help="The W&B project. Default: the one configured for wandb, else ups-simulator.")
@click.option("--name", help="The run's name in W&B.")
@click.option("--dir", "parent", type=click.Path(path_type=Path), help="The folder for the run's folder.")
def command(
    preset: str | None,
    overrides: tuple[str, ...],
    problem: str | None,
    seed: int | None,
    stage: str | None,
    resume: str | None,
    mode: _Mode | None,
    project: str | None,
    name: str | None,
    parent: Path | None,
) -> None:
    """Train a neural simulator in three stages, with every chart full.

    The stages are operator, diffusion_residual and consistency_distill. A control follows (the operator alone,
    trained with the compute of all three), then an evaluation of each. Ctrl-C saves a checkpoint first.

    \b
    Example:
      ups train --preset smoke
      ups train --problem burgers --set stages.operator.steps=500
      ups train --resume
      torchrun --nproc-per-node 2 -m ups train
    """
    require_simulator("ups train")
    from ups.simulator import pipeline, results, train_run
    from ups.simulator.config import load, nearest
    from ups.simulator.group import joined
    from ups.simulator.progress import Reporter
    from ups.simulator.trained import CONTROL, STAGES

    names = (*STAGES, CONTROL)
    if stage is not None and stage not in names:
        raise UsageError(f"there is no stage {stage!r}{nearest(stage, names)}")
    settings = {"problem": problem, "seed": seed}
    changes = [*overrides, *(f"{key}={value}" for key, value in settings.items() if value is not None)]
    if resume is not None and (preset or changes or mode or project or name):
        raise UsageError("--resume keeps the configuration of its run; leave out the other settings")
    with _sigterm_is_ctrl_c(), joined() as group:
        if resume is None:
            config = load(preset or "quick", changes)
            run_dir, context = train_run.start(
                config, stages=(stage,) if stage else names, parent=parent, mode=mode, project=project, name=name
            )
            run_dir = group.share(run_dir)
        else:
            run_dir = group.share(train_run.latest(parent) if resume == _LATEST else Path(resume))
            config, context = train_run.resume(run_dir, beside=not group.first)
        try:
            with context:
                reporter = Reporter(heard=group.first)
                outcome = pipeline.Pipeline(config, run_dir, context, reporter, group).run(stage)
                if outcome.evaluations:
                    results.show(outcome.evaluations, reporter)
        except KeyboardInterrupt:
            if group.first:
                echo(f"Interrupted. Resume with: {_ups('train', '--resume', _shown(run_dir))}", err=True)
            sys.exit(_INTERRUPTED)
        if group.first:
            _print_next(run_dir, context, outcome)


@contextlib.contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """SIGTERM, which ``torchrun`` and job schedulers send, ends the training as Ctrl-C does, also between stages."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_simulator(command: str) -> None:
    """Raise MissingDependency, which names the extra to install, unless ``command`` can run."""
    require("simulator", "matplotlib", "PIL", "rich", "torch", "yaml", user=repr(command))


def _print_next(run_dir: Path, context: "WandBContext", outcome: "Outcome") -> None:
    shown = _shown(run_dir)
    commands: list[tuple[str | Path, ...]]
    if outcome.stopped:
        commands = [("train", "--resume", shown)]
    else:
        commands = [("train", "--problem", "burgers"), ("train", "--preset", "full")]
        if context.enabled:
            commands = [("show", shown), ("check", shown), *commands]
    echo("Stopped. Resume with:" if outcome.stopped else "Next:")
    for words in commands:
        echo(f"  {_ups(*words)}")


def _ups(*words: str | Path) -> str:
    """The command line of this program with some arguments; below ``make train`` the shell does not find ``ups``."""
    beside = Path(sys.executable).with_name("ups")
    called = "ups" if shutil.which("ups") or not beside.exists() else _shown(beside)
    return command_line(called, *words)


def _shown(path: Path) -> Path:
    """A path relative to the current folder, if it lies in it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path
