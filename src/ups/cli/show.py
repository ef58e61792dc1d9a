"""``ups show``: the dashboard in the browser."""

from pathlib import Path

import click

__all__ = ["command"]


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", metavar="N", help="The port; 0 for any free one. Default: 8877, or the next free one.")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on. Other machines need the token in the address that is printed.",
)
@click.option("--open/--no-open", "open_browser", default=True, help="Open a browser, or not.  [default: open]")
def command(paths: tuple[Path, ...], port: str | None, host: str, open_browser: bool) -> None:
    """Show runs in the browser, live while they train.

    PATH is a run (a UPS run directory, a W&B run's directory or a .wandb file) or a folder of runs; by default the
    current folder. No data leaves this machine, and the runs are only read.

    \b
    Example:
      ups show
      ups show ups-runs/3kq0x8ab wandb/latest-run
      ups show --port 9000 --no-open
    """
    from ups.cli.output import echo
    from ups.dashboard.serve import serve
    from ups.errors import UsageError

    if port is not None and not (port.isdecimal() and int(port) < 65536):
        raise UsageError(f"--port {port} is not a port; give a number from 0 to 65535, or leave it out")
    serve(
        paths or (Path.cwd(),),
        host=host,
        port=None if port is None else int(port),
        open_browser=open_browser,
        notify=echo,
    )
