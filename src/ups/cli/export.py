"""``ups export``: a run's rows for other tools."""

from pathlib import Path

import click

from ups.cli.output import echo, output_option
from ups.runfile.table import write_csv, write_parquet
from ups.runs import open_run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", type=click.Choice(["parquet", "csv"]), required=True, help="The format to write.")
@output_option
def command(run: Path, form: str, output: Path) -> None:
    """Write the rows of RUN as one table, with one column per metric.

    RUN is a .wandb file or a run's directory, made with UPS or not. Parquet needs polars
    (pip install 'ups-tracking[polars]').

    \b
    Example:
      ups export wandb/latest-run --to csv -o run.csv
    """
    opened = open_run(run)
    (write_parquet if form == "parquet" else write_csv)(opened, output)
    echo(f"{output}: {opened.rows:,} rows")
