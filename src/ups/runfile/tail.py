"""The last step in a run's file, read from the end of the file."""

from pathlib import Path

from ups.runfile.chunks import BLOCK
from ups.runfile.framing import WINDOW, FrameReader
from ups.runfile.history import Columns
from ups.runfile.records import Kind, find_payloads

__all__ = ["last_step"]


def last_step(path: Path) -> int | None:
    """The highest ``_step`` of the rows in one ``.wandb`` file; None without rows.

    This reads only the end of the file, so a long run takes no longer than a short one.

    Raises:
        RunFileError: The file cannot be read, or is not a W&B run file.
    """
    size = path.stat().st_size if path.exists() else 0
    tail = WINDOW // 8
    while True:
        start = max(0, size - tail)
        columns = Columns()
        for batch in FrameReader(path, start=start - start % BLOCK):
            payloads = find_payloads(batch)
            history = payloads.kind == Kind.HISTORY
            columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
        if columns.rows:
            return int(columns.steps().max())
        if start == 0:
            return None
        tail *= 4
