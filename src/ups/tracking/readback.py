"""After the end: read what W&B holds, check every chart, and print the tree."""

import sys

from ups.check import RunCheck, check_run
from ups.errors import RunFileError
from ups.report import render_tree
from ups.runfile import open_run
from ups.tracking.faults import Faults, say
from ups.tracking.run_directory import RunDirectory
from ups.tracking.status import read_status

__all__ = ["read_back"]


def read_back(directory: RunDirectory, faults: Faults) -> RunCheck | None:
    """Check what W&B's files of a run hold and print it on stderr, with the faults that were survived.

    Online, each chart's rows are compared with what the server said it holds.

    Returns:
        The check; None where there is nothing that can be read, which is said.
    """
    try:
        check = check_run(open_run(directory.path))
    except RunFileError as error:
        say(f"there is nothing to read back yet: {error}")
        return None
    status = read_status(directory)
    if status is not None:
        for stage, count in status.withheld.items():
            message = f"stage {stage!r}: values at steps that went back are in the journal and are not drawn"
            faults.merge({f"step:{stage}": {"count": count, "message": message}}, quiet=True)
        if status.counts is not None:
            _compare_with_server(check, status.counts, faults)
    if sys.stderr is not None:
        from rich.console import Console

        told = [(fault["message"], fault["count"]) for fault in faults.as_dict().values()]
        Console(stderr=True).print(render_tree(check, faults=told))
    return check


def _compare_with_server(check: RunCheck, counts: dict[str, int], faults: Faults) -> None:
    for chart in check.charts:
        held = counts.get(chart.metric, 0)
        if held < chart.rows:
            message = f"the server holds {held:,} of {chart.rows:,} rows of {chart.metric}"
            faults.add(f"server:{chart.metric}", message, quiet=True)
