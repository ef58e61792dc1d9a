"""``ups deliver``: deliver a run's journal to W&B."""

import contextlib
import os
import signal
from pathlib import Path

import click

from ups.cli.output import echo
from ups.errors import DeliveryError, UsageError


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--mode",
    type=click.Choice(["online", "offline"]),
    help="The target: W&B's server, or W&B's files for 'wandb sync'. Default: the run's own mode.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="The W&B server for the run, with the credentials configured here. Default: the one configured here, if"
    " the run names no other.",
)
@click.option(
    "--as-new",
    is_flag=True,
    help="Deliver a copy of the run under a fresh run id, if a server lost rows or cannot be asked for them.",
)
@click.option("--owner", hidden=True, help="The process whose end is the run's end.")
@click.option("--wandb-folder", type=click.Path(path_type=Path), hidden=True, help="Where the script's W&B files are.")
@click.option("--nice", type=int, default=0, hidden=True, help="Lower this process's priority.")
def command(
    run_dir: Path,
    mode: str | None,
    base_url: str | None,
    as_new: bool,
    owner: str | None,
    wandb_folder: Path | None,
    nice: int,
) -> None:
    """Deliver the rows in RUN_DIR that W&B does not hold yet.

    It resumes a delivery that was cut off, sends each row once, and follows a run that is still training. Use it for a
    run that was only journaled (mode 'local'), on a machine that reaches W&B. After the run's end, it asks the server
    again whether it holds every row.

    \b
    Example:
      ups deliver ups-runs/3kq0x8ab
    """
    if owner is not None:
        _outlive_the_job()
    from ups.installed_wandb import check_wandb, sync_command

    check_wandb(otherwise="run 'ups deliver' on a machine that has wandb")
    from ups.delivery.delivery import Delivery
    from ups.journal.new_run import copy_as_new
    from ups.journal.run_directory import RunDirectory
    from ups.tracking.mode import resolve_mode
    from ups.tracking.wait import progress_line

    if nice and hasattr(os, "nice"):
        os.nice(nice)
        if hasattr(os, "SCHED_BATCH"):
            with contextlib.suppress(OSError):  # as it wakes up, it then takes the core from no other process
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if base_url is not None:
        os.environ["WANDB_BASE_URL"] = base_url
    directory = RunDirectory.open(run_dir.absolute())
    if as_new:
        directory = copy_as_new(directory)
        echo(f"The copy is the run {directory.path.name}, in {directory.path}", err=True)
    made = directory.read_manifest().mode
    chosen = mode or (made if made in ("online", "offline") else resolve_mode(None))
    if chosen not in ("online", "offline"):
        raise UsageError(f"{run_dir} has the mode {made!r}; choose --mode online or --mode offline")
    if owner is not None:
        status = Delivery(directory, chosen, owner=owner, wandb_folder=wandb_folder).run()
    else:
        with progress_line() as show:
            delivery = Delivery(
                directory,
                chosen,
                any_server=base_url is not None,
                on_progress=lambda status: show(status, directory.journaled_bytes()),
            )
            status = delivery.run()
        for fault in status.faults.values():
            echo(f"{fault['count']:,} x {fault['message']}", err=True)
    if status.state == "incomplete":
        raise DeliveryError(
            f"W&B holds {status.held_of_all}, and takes no rows between those. To deliver all of"
            f" them as a new run: {directory.deliver_command('--as-new')}"
        )
    if status.state != "finished":
        unknown = f"it is not known how many of {status.rows:,} rows W&B holds"
        held = unknown if status.confirmed_rows is None else f"W&B holds {status.held_of_all}"
        raise DeliveryError(f"{held}. The rest is in {directory.journal}; run the same command again later")
    if not status.confirmed:
        echo(
            f"{status.rows:,} rows of {directory.path.name} were sent to W&B, but its server has not confirmed them."
            f" {status.url}"
        )
    elif status.url is not None:
        echo(f"W&B holds all {status.rows:,} rows of {directory.path.name}. {status.url}")
    else:
        sync = sync_command([segment.parent for segment in directory.segments()])
        echo(f"W&B's files hold all {status.rows:,} rows of {directory.path.name}. To send them: {sync}")


def _outlive_the_job() -> None:
    """Ignore signals that end a whole job: this process ends after the training, and rows may wait until then.

    A scheduler signals every process of a job, and kills the rest after a grace period, which is for delivery. wandb's
    own process ends at the signal; rows that it had not taken are sent again from the journal.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
