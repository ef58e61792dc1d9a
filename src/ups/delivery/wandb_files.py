"""W&B's own files of a run: the last step in them, and repairs that let ``wandb sync`` take all of them."""

import contextlib
import os
from datetime import datetime, timedelta
from pathlib import Path

from ups.durable import sync_file, sync_folder
from ups.errors import RunFileError
from ups.journal.run_directory import RunDirectory
from ups.runfile import close_torn_segment, last_step, set_start_time, start_time
from ups.runfile.framing import HEADER, FrameReader

__all__ = ["last_step_held", "link_for_script"]

_STAMP = "%Y%m%d_%H%M%S"  # in the name of a folder that wandb makes


def last_step_held(directory: RunDirectory) -> int:
    """The last ``_step`` in the files of a run, to which no process writes; -1 for none.

    ``wandb sync`` stops at damage, and at a file without records: so a damaged file is cut before its damage, and an
    empty one is removed. The rows that are cut come again from the journal. Where the clock was set back, the files are
    put in order. All are on the disk when this returns, so a power cut can damage only the file that comes next.

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


def link_for_script(folder: Path, session: Path, run_id: str) -> None:
    """Link the files of a session where the script that made the run looks for them.

    ``folder`` is the one that wandb has made there for the run. The first session's files are linked in it, and each
    later session beside it.

    Raises:
        OSError: A link cannot be made.
    """
    file = f"run-{run_id}.wandb"
    if os.path.lexists(folder / file):
        link = folder.parent / session.name
        link.symlink_to(_from(link, session), target_is_directory=True)
        return
    with contextlib.suppress(OSError):
        (folder / "files").rmdir()  # wandb has made it, and puts no file there
    for name in (file, f"{file}.syncstate", "files", "logs/debug-internal.log"):
        (folder / name).symlink_to(_from(folder / name, session / name), target_is_directory=name == "files")


def _from(link: Path, target: Path) -> str:
    """A target as a link to it has it, which holds where both are moved together."""
    return os.path.relpath(target.resolve(), link.parent.resolve())


def _cut_at_damage(segment: Path) -> bool:
    """Cut a file where its first damage begins. False where it is not a W&B file any more: then it is renamed.

    After a power cut a file that was not synced may lack any part.
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
    """Give later segments a later name and start time, where the clock was set back.

    Readers of a run go by the names of the folders, ``wandb sync`` by the start times.
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
