"""``ups run``: run a script with every wandb run of it journaled."""

import os
import sys

import click

__all__ = ["command"]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(program: tuple[str, ...]) -> None:
    """Run a script that logs with wandb: no row of it is lost, and every chart is full.

    PROGRAM is a script, or -m and a module, with its own arguments. Nothing in it is changed: each run that it makes
    with wandb.init is journaled in its process, and delivered to W&B by another.

    \b
    Example:
      ups run train.py --lr 0.001
    """
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ups.guard", *program])
