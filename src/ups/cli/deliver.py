"""``ups deliver``: bring a run's journal to W&B."""

import contextlib
import os
from pathlib import Path

import click

from ups.errors import DeliveryError, UsageError


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--mode",
    type=click.Choice(["online", "offline"]),
    help="Where to: W&B's server, or W&B's files for 'wandb sync'. Default: as the run was made.",
)
@click.option("--owner", hidden=True, help="The process whose end is the run's end.")
@click.option("--nice", type=int, default=0, hidden=True, help="Lower this process's priority.")
def command(run_dir: Path, mode: str | None, owner: str | None, nice: int) -> None:
    """Deliver the rows in RUN_DIR that W&B does not hold yet.

    Goes on where an earlier delivery was cut off, each row once, and follows a run that is still training. Use it
    for a run that was only journaled (mode 'local') on a machine that reaches W&B.

    \b
    Example:
      ups deliver ups-runs/3kq0x8ab
    """
    from ups.tracking.delivery import Delivery
    from ups.tracking.drain import journaled, progress_line
    from ups.tracking.mode import require_wandb, resolve_mode
    from ups.tracking.run_directory import RunDirectory

    if nice and hasattr(os, "nice"):
        os.nice(nice)
        if hasattr(os, "SCHED_BATCH"):
            with contextlib.suppress(OSError):  # waking up, it then takes the core from nobody
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    require_wandb()
    directory = RunDirectory.open(run_dir.absolute())
    made = directory.describe().mode
    chosen = mode or (made if made in ("online", "offline") else resolve_mode(None))
    if chosen not in ("online", "offline"):
        raise UsageError(f"{run_dir} was made with mode {made!r}: say --mode online or --mode offline")
    if owner is not None:
        status = Delivery(directory, chosen, owner=owner).run()
    else:
        with progress_line() as show:
            status = Delivery(directory, chosen, on_progress=lambda told: show(told, journaled(directory))).run()
    if owner is None:
        for fault in status.faults.values():
            click.echo(f"{fault['count']:,} x {fault['message']}", err=True)
    if status.state != "finished":
        raise DeliveryError(
            f"W&B holds {status.held or 0:,} of {status.rows:,} rows. The rest waits in {directory.journal}: try again"
            " later with the same command"
        )
    if status.url is not None:
        click.echo(f"W&B holds all {status.rows:,} rows of {directory.path.name}. {status.url}")
        return
    segments = " ".join(str(segment.parent) for segment in directory.segments())
    click.echo(
        f"W&B's files hold all {status.rows:,} rows of {directory.path.name}. To send them: wandb sync {segments}"
    )
