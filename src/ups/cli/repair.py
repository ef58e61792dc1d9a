"""``ups repair``: write a corrected copy of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ups.cli.output import echo
from ups.text import command_line

if TYPE_CHECKING:
    from ups.repair.meant_axis import Keep

__all__ = ["command"]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", "into", type=click.Path(path_type=Path), help="The folder for the new run.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--axis", metavar="METRIC", help="A logged metric to use as the axis where a chart's own cannot be used.")
@click.option(
    "--keep",
    type=click.Choice(["last", "first", "all"]),
    default="last",
    show_default=True,
    help="Which attempt to keep where a chart goes back and attempts overlap; all continues the count of the axis.",
)
@click.option("--run-id", metavar="ID", help="The id of the copy. Default: a new one that begins with the run's id.")
def command(run: Path, into: Path | None, dry_run: bool, axis: str | None, keep: "Keep", run_id: str | None) -> None:
    """Write a corrected copy of RUN, with as many full charts as possible.

    The plan is printed first. RUN itself is never changed, and no existing file is overwritten.

    \b
    Example:
      ups repair wandb/latest-run --dry-run
      ups repair wandb/latest-run -o repaired
      wandb sync repaired/offline-run-*
    """
    from ups.errors import UsageError
    from ups.repair import plan_lines, plan_repair, write_repair
    from ups.repair.write import target_folders
    from ups.runs import find_run, open_files

    if into is None and not dry_run:
        raise UsageError("the copy needs a folder: give one with -o DIR, or see only the plan with --dry-run")
    plan = plan_repair(open_files(find_run(run)), keep=keep, axis=axis, run_id=run_id)
    for line in plan_lines(plan):
        echo(line)
    if into is None or plan.changes_nothing:
        return
    target_folders(plan, into)
    if dry_run:
        return
    written = write_repair(plan, into)
    for line in written.left_out:
        echo(f"ups: not copied: {line}", err=True)
    echo()
    echo(f"Wrote {written.rows:,} rows. Next:")
    echo(f"  {command_line('wandb', 'sync', *written.folders)}")
