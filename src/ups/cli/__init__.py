"""The command line: one module a command, and the only place that turns errors into exit codes."""

import importlib
import sys

import click

import ups
from ups.errors import DeliveryError, UPSError

__all__ = ["main"]

_COMMANDS = {
    "show": "Show runs in the browser, live while they train.",
    "check": "Say for every chart of any W&B run whether a person will see a line, and if not, why.",
    "deliver": "Deliver a run's journal to W&B, or go on with a delivery that was cut off.",
    "repair": "Write a corrected copy of a run, ready for 'wandb sync'.",
    "report": "Write a run as one HTML file: charts, findings, tables, images.",
    "export": "Write a run's rows as CSV or Parquet.",
    "evaluate": "Score the trained models of a run of 'ups train', with standard errors.",
    "train": "Train the three-stage neural simulator, every chart full.",
}


class _Commands(click.Group):
    """A group whose commands are imported when they are run, so that ``ups --help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"ups.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ups.__version__, prog_name="ups")
def _ups() -> None:
    """UPS: staged training in Weights & Biases, with every chart full.

    \b
    Example:
      ups train --preset smoke
    """


def main() -> None:
    """Run the command line and exit: 0 done, 1 findings or work not done, 2 wrong usage or unreadable input."""
    try:
        _ups.main(prog_name="ups", standalone_mode=True)
    except DeliveryError as error:
        click.echo(f"ups: {error}", err=True)
        sys.exit(1)
    except UPSError as error:
        click.echo(f"ups: {error}", err=True)
        sys.exit(2)
