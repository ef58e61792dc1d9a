"""The option of the commands that write one file."""

from pathlib import Path

import click

__all__ = ["output_option"]

output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, which must not exist.",
)
