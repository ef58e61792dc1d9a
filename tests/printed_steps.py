"""The steps that a trainer in another process prints, one per line, each when its ``log()`` has returned."""

from __future__ import annotations

import subprocess

__all__ = ["read_rest", "read_until"]


def read_until(process: subprocess.Popen[str], step: int) -> int:
    """Read the lines up to ``step``."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= step:
            return int(line)
    raise AssertionError("the trainer ended")


def read_rest(process: subprocess.Popen[str], last: int) -> int:
    """The last step that was printed whole, when the process has ended; ``last`` without one more."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            last = int(line)
    process.wait()
    return last
