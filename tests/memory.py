"""The most memory that a process has had."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

__all__ = ["PRINT_PEAK", "peak_memory"]

PRINT_PEAK = r"""
import atexit, pathlib, re
def peak():
    return re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print("peak", peak()))
"""
"""Python that has a process print its peak, in kB, at its end."""


def peak_memory() -> int:
    """The peak of this process in kB. ``ru_maxrss`` of a process that was forked is that of its parent at least."""
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
        assert found is not None
        return int(found[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
