"""A segment's run record: who the run is, and when it says that it was started.

``wandb sync`` sends a run's segments in the order of these times.
"""

import os
from pathlib import Path

import numpy as np

from ups.errors import RunFileError
from ups.runfile.framing import FrameReader, Writer
from ups.runfile.records import Kind, RunInfo, find_payloads, parse, parse_message

__all__ = ["run_info", "set_start_time", "start_time"]


def run_info(path: str | os.PathLike[str], *, end: int | None = None) -> RunInfo | None:
    """What the file's first run record says; None without one.

    Args:
        path: a ``.wandb`` file.
        end: how many bytes of it to look through; by default all.

    Raises:
        RunFileError: the file cannot be read, or is not a W&B run file.
    """
    for batch in FrameReader(path, end=end):
        for index in np.flatnonzero(find_payloads(batch).kind == Kind.RUN).tolist():
            start = int(batch.starts[index])
            record = parse(batch.data[start : start + int(batch.lengths[index])])
            if isinstance(record, RunInfo):
                return record
    return None


def start_time(path: str | os.PathLike[str]) -> float | None:
    """The start time of the run, in seconds since 1970; None in a file without a run record.

    Raises:
        RunFileError: the file cannot be read, or is not a W&B run file.
    """
    info = run_info(path)
    return None if info is None else info.started


def set_start_time(path: str | os.PathLike[str], seconds: float) -> None:
    """Write the file anew with another start time, and every other record as it is. Nobody may be writing to it.

    Raises:
        RunFileError: the file cannot be read or written, or is not a W&B run file; it is left as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with Writer(temporary) as writer:
            for batch in FrameReader(path):
                is_run = find_payloads(batch).kind == Kind.RUN
                for record, run in zip(batch.records(), is_run.tolist(), strict=True):
                    writer.write(_with_start_time(record, seconds) if run else record)
        temporary.replace(path)
    except OSError as error:
        raise RunFileError(f"{path} cannot be written anew: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _with_start_time(record: bytes, seconds: float) -> bytes:
    message = parse_message(record)
    whole = int(seconds)
    message.run.start_time.seconds, message.run.start_time.nanos = whole, int((seconds - whole) * 1e9)
    written = message.SerializeToString()
    assert isinstance(written, bytes)
    return written
