"""The output of the commands, and the option of those that write one file."""

from pathlib import Path

import click

from ups.text import printable

__all__ = ["echo", "output_option"]

output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, which must not exist.",
)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print a line that may hold names and paths of anyone, with no control characters for the terminal."""
    click.echo(printable(line), err=err)
