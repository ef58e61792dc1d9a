"""``ups report``: a run as one HTML file."""

from pathlib import Path

import click

from ups.cli.output import echo, output_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@output_option
def command(run: Path, output: Path) -> None:
    """Write RUN as one HTML file to share: its charts, findings, values, tables and images.

    RUN is a UPS run directory, a W&B run's directory or a .wandb file. The file opens in any browser, with no server
    and no network.

    \b
    Example:
      ups report wandb/latest-run -o report.html
    """
    from ups.dashboard.html_report import write_report

    size = write_report(run, output)
    echo(f"{output}: {size / 1e6:.1f} MB")
