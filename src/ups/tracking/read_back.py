"""Read a run back at its end: check every chart, and print the tree."""

import contextlib
import sys
from collections.abc import Mapping

from ups import terminal
from ups.check import RunCheck, check_run
from ups.errors import RunFileError
from ups.installed_wandb import sync_command
from ups.journal.faults import Faults, notify
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from ups.journal.waiting import waits
from ups.report import render_tree
from ups.runs import find_run, open_files
from ups.runs.journal_source import JournalSource
from ups.text import short_path

__all__ = ["read_back"]


def read_back(directory: RunDirectory, faults: Faults) -> RunCheck | None:
    """Check W&B's files of a run, and print the tree on stderr, with the run's faults and where it is.

    Online, each chart's rows are compared with the server's count. Where rows wait in the journals, the run is checked
    from those, as W&B will hold it once it is delivered: rows that wait are not missing.

    Returns:
        The check; None where nothing can be read, which is reported.
    """
    status = read_status(directory)
    try:
        check = check_run(
            JournalSource(directory).read_all() if waits(directory) else open_files(find_run(directory.path))
        )
    except RunFileError as error:
        notify(f"nothing can be read back yet: {error}")
        return None
    if status is not None:
        _note_skipped(status.skipped_values, faults)
        if status.counts is not None:
            _compare_with_server(check, status.counts, faults)
    if sys.stderr is not None:
        counted = [(fault["message"], fault["count"]) for fault in faults.as_dict().values()]
        tree = render_tree(check, faults=counted, width=terminal.width(), unicode=terminal.has_unicode(sys.stderr))
        with contextlib.suppress(OSError, ValueError):  # a stderr that takes nothing does not end the training
            terminal.echo(tree, stream=sys.stderr)
        notify(_where(directory, status, check.rows))
    return check


def _where(directory: RunDirectory, status: Status | None, rows: int) -> str:
    """A line about where the run is, and the next step for a person."""
    if directory.read_manifest().mode == "local":
        return f"journaled only. Bring it to W&B with: {directory.deliver_command()}"
    if status is not None and status.state == "incomplete":
        held = f"W&B lacks some of {rows:,} rows, and no longer takes them under this run id"
        return f"{held}. Bring all of them there as a new run with: {directory.deliver_command('--as-new')}"
    if status is None or status.state != "finished":
        known = status.confirmed_rows if status is not None else None
        journaled = max(rows, known or 0)  # W&B may hold rows that a power cut has taken from the journal
        held = (
            f"it is not known yet how many of {rows:,} rows are"
            if known is None
            else f"{known:,} of {journaled:,} rows are"
        )
        return f"{held} in W&B. Bring the rest there with: {directory.deliver_command()}"
    if status.mode == "online":
        return f"in W&B{'' if status.confirmed else ', which has not confirmed it'}: {status.url}"
    sync = sync_command([short_path(segment.parent) for segment in directory.segments()])
    return f"in {short_path(directory.path)}. To see it: ups show. To send it: {sync}"


def _note_skipped(skipped_values: Mapping[str, int], faults: Faults) -> None:
    for stage, count in skipped_values.items():
        message = f"stage {stage!r}: values at steps that went back are in the journal and are not drawn"
        faults.merge({f"step:{stage}": {"count": count, "message": message}}, quiet=True)


def _compare_with_server(check: RunCheck, counts: dict[str, int], faults: Faults) -> None:
    for chart in check.charts:
        held = counts.get(chart.metric, 0)
        if held < chart.rows and "." not in chart.metric:  # a server may count a nested name by its parts
            message = f"the server holds {held:,} of {chart.rows:,} rows of {chart.metric}"
            faults.add(f"server:{chart.metric}", message, quiet=True)
