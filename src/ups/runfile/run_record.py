"""A segment's run record: the identity of the run and its start time.

``wandb sync`` sends a run's segments in the order of these times.
"""

import os
from pathlib import Path

from ups.errors import RunFileError
from ups.runfile.framing import FrameReader, Writer
from ups.runfile.records import Kind, Record, RunInfo, find_payloads, first_run

__all__ = ["run_info", "set_start_time", "start_time"]


def run_info(path: str | os.PathLike[str], *, end: int | None = None) -> RunInfo | None:
    """The file's first run record, in its bytes up to ``end``; None without one.

    Raises:
        RunFileError: The file cannot be read, or is not a W&B run file.
    """
    found = (first_run(find_payloads(batch)) for batch in FrameReader(path, end=end))
    return next((info for info in found if info is not None), None)


def start_time(path: str | os.PathLike[str]) -> float | None:
    """The start time of the run, in seconds since 1970; None in a file without a run record.

    Raises:
        RunFileError: The file cannot be read, or is not a W&B run file.
    """
    info = run_info(path)
    return None if info is None else info.started


def set_start_time(path: str | os.PathLike[str], seconds: float) -> None:
    """Replace the file by one with another start time and the same other records. Its writer must be gone.

    Raises:
        RunFileError: The file cannot be read or written, or is not a W&B run file. It stays as it was.
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
        raise RunFileError(f"{path} cannot be replaced: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _with_start_time(record: bytes, seconds: float) -> bytes:
    message = Record(record)
    whole = int(seconds)
    message.run.start_time.seconds, message.run.start_time.nanos = whole, int((seconds - whole) * 1e9)
    return message.encode()
