"""The command line: one module per command, and the only place that turns errors into exit codes."""

import importlib
import io
import sys

import click
from click.shell_completion import CompletionItem

import ups
from ups.cli.output import echo
from ups.errors import DeliveryError, UPSError
from ups.text import printable

__all__ = ["command", "main"]

_TOUR = {
    "Look at runs": {
        "check": "Report which charts of a W&B run show a line, and why the others do not.",
        "show": "Show runs in the browser, live while they train.",
        "report": "Write a run as one HTML file: charts, findings, tables, images.",
    },
    "Correct and deliver runs": {
        "repair": "Write a corrected copy of a run, ready for 'wandb sync'.",
        "deliver": "Deliver a run's journal to W&B, or resume a delivery that was cut off.",
        "export": "Write a run's rows as CSV or Parquet.",
    },
    "Train": {
        "run": "Run a script that logs with wandb: no row lost, every chart full.",
        "train": "Train the three-stage neural simulator, with every chart full.",
        "evaluate": "Score the trained models of a run of 'ups train', with standard errors.",
    },
    "This machine": {
        "doctor": "Test whether UPS works here, and print what to do if not.",
        "completion": "Print a script with which your shell completes UPS's commands.",
    },
}
_INTERRUPTED = 130  # as in shells; click would exit with 1, which is a finding
_COMMANDS = {name: line for commands in _TOUR.values() for name, line in commands.items()}


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        mistyped = bool(args) and args[0] not in _COMMANDS and not args[0].startswith("-")
        if mistyped and not ctx.resilient_parsing:  # a completion prints no error
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            ctx.fail(f"there is no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            # It repeats an argument, which may be a file's name.
            error.message = printable(error.message)  # type: ignore[misc]
            raise
        except KeyboardInterrupt:
            click.echo("\nAborted!", err=True)  # on a line of its own, below the terminal's ^C
            ctx.exit(_INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for part, commands in _TOUR.items():
            with formatter.section(part):
                formatter.write_dl([(name.ljust(max(map(len, _COMMANDS))), line) for name, line in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [CompletionItem(name, help=line) for name, line in _COMMANDS.items() if name.startswith(incomplete)]
        return commands or click.Command.shell_complete(self, ctx, incomplete)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ups.__version__, prog_name="ups")
def command() -> None:
    """UPS: staged training in Weights & Biases, with every chart full.

    Are your charts empty? 'ups check' reports why, and 'ups repair' writes a corrected copy. To keep charts full, log
    through 'import ups'. 'ups show' draws them, with no account and no network.

    \b
    Example:
      ups check wandb/latest-run
      ups show
      ups train --preset smoke
      ups COMMAND --help
    """


def main() -> None:
    """Run the command line and exit.

    0 done, 1 findings or work not done, 2 wrong usage or unreadable input, 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that it cannot print is not an error, as on stderr
    try:
        command.main(prog_name="ups", standalone_mode=True)
    except DeliveryError as error:
        echo(f"ups: {error}", err=True)
        sys.exit(1)
    except UPSError as error:
        echo(f"ups: {error}", err=True)
        sys.exit(2)
