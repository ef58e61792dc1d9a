"""W&B's own files of a run: what they hold, and left such that ``wandb sync`` takes all of them."""

from datetime import datetime, timedelta
from pathlib import Path

from ups.runfile import close_torn_segment, last_step, set_start_time, start_time
from ups.runfile.framing import HEADER
from ups.tracking.run_directory import RunDirectory

__all__ = ["last_step_held"]

_STAMP = "%Y%m%d_%H%M%S"  # in the name of a folder that wandb makes


def last_step_held(directory: RunDirectory) -> int:
    """The last ``_step`` in the files of a run to which nobody is writing; -1 for none.

    ``wandb sync`` stops at a file that ends within a record, and at one without any: the first is cut after its last
    whole record, the other is removed. Files whose order the clock has upset are put in order.

    Raises:
        RunFileError, OSError: A file cannot be read or written.
    """
    filled: list[tuple[int, Path]] = []
    for segment in directory.segments():
        if segment.stat().st_size <= len(HEADER):
            segment.unlink()
            continue
        close_torn_segment(segment)
        step = last_step(segment)
        if step is not None:
            filled.append((step, segment))
    _put_in_order([segment for _, segment in sorted(filled)])
    return max((step for step, _ in filled), default=-1)


def _put_in_order(segments: list[Path]) -> None:
    """Where the clock was set back, give later segments a later name and start time.

    Who reads a run goes by the names of the folders, and ``wandb sync`` by the start times.
    """
    stamp, started = "", 0.0
    for segment in segments:
        own_start = start_time(segment) or 0.0
        if own_start <= started:
            own_start = started + 1.0
            set_start_time(segment, own_start)
        started = own_start
        kind, _, rest = segment.parent.name.partition("run-")
        own, _, tail = rest.partition("-")
        if own <= stamp:
            own = (datetime.strptime(stamp, _STAMP) + timedelta(seconds=1)).strftime(_STAMP)
            segment.parent.rename(segment.parent.with_name(f"{kind}run-{own}-{tail}"))
        stamp = own
