"""W&B's own files of a run: what they hold, and left such that ``wandb sync`` takes all of them."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from ups.durable import sync_file, sync_folder
from ups.errors import RunFileError
from ups.journal.run_directory import RunDirectory
from ups.runfile import close_torn_segment, last_step, set_start_time, start_time
from ups.runfile.framing import HEADER, FrameReader

__all__ = ["last_step_held"]

_STAMP = "%Y%m%d_%H%M%S"  # in the name of a folder that wandb makes


def last_step_held(directory: RunDirectory) -> int:
    """The last ``_step`` in the files of a run to which nobody is writing; -1 for none.

    ``wandb sync`` stops at what it cannot read, and at a file without any record: the first is cut behind its last
    record before that, the other is removed. What is cut comes again from the journal. Files whose order the clock has
    upset are put in order. All are on the disk when this returns: a power cut can damage only the one that comes next.

    Raises:
        RunFileError, OSError: A file cannot be read or written.
    """
    filled: list[tuple[int, Path]] = []
    segments = directory.segments()
    for segment in segments:
        if segment.stat().st_size <= len(HEADER):
            segment.unlink()
            continue
        if segment == segments[-1] and not _cut_at_damage(segment):
            continue
        close_torn_segment(segment)
        step = last_step(segment)
        if step is not None:
            filled.append((step, segment))
        sync_file(segment)
    _put_in_order([segment for _, segment in sorted(filled)])
    for folder in {segment.parent for segment in directory.segments()}:
        sync_folder(folder)
    if directory.wandb.is_dir():
        sync_folder(directory.wandb)
    return max((step for step, _ in filled), default=-1)


def _cut_at_damage(segment: Path) -> bool:
    """Cut a file where its first damage begins; one that is none of W&B's any more is set aside. Whether it is left.

    After a power cut a file that nobody had synced may have any part missing.
    """
    try:
        reader = FrameReader(segment)
    except RunFileError:
        segment.rename(segment.with_name(f"{segment.name}.damaged"))
        return False
    for _ in reader:
        pass
    if reader.damage:
        os.truncate(segment, reader.damage[0].offset)
    return True


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
