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
@click.option("-o", "--output", "into", type=click.Path(path_type=Path), help="The folder that gets the new run.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--axis", metavar="METRIC", help="A logged metric to draw against where the axis cannot be used.")
@click.option(
    "--keep",
    type=click.Choice(["last", "first", "all"]),
    default="last",
    show_default=True,
    help="Where a chart goes back: which attempt to keep where they overlap; all counts the axis on.",
)
@click.option("--run-id", metavar="ID", help="The id of the copy. Default: a fresh one that begins with the run's.")
def command(run: Path, into: Path | None, dry_run: bool, axis: str | None, keep: "Keep", run_id: str | None) -> None:
    """Write a copy of RUN with every chart full that can be.

    The plan is shown first; RUN itself is never written, and nothing that exists is overwritten.

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
        raise UsageError("say where the copy goes with -o DIR, or see the plan alone with --dry-run")
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
