"""Processes that have imported what the commands and the scripts of pages need: each of these is a fork of one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from waiting import wait_for

from .given import STAND_INS

__all__ = ["WarmProcesses"]

_EVERY = ("numpy", "wandb", "ups.tracking", *(f"ups.cli.{name}" for name in ("check", "repair", "export", "report")))


class WarmProcesses:
    """Starts such a process where a page first needs it, and keeps it for the pages after it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._processes: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}

    def process(self, imports: Sequence[str], environment: Mapping[str, str]) -> Path:
        """The socket of one that has imported these modules too; it is started in ``environment``."""
        wanted = (*_EVERY, *imports)
        new = wanted not in self._processes
        path = Path(self._folder.name, str(len(self._processes) if new else [*self._processes].index(wanted)))
        if new:
            temporary = path.with_suffix(".temporary")
            temporary.mkdir()
            process = self._processes[wanted] = subprocess.Popen(
                [sys.executable, STAND_INS / "warm.py", path],
                env={**environment, "WARM_IMPORTS": " ".join(wanted), "TMPDIR": str(temporary)},
                stdout=subprocess.PIPE,  # as that of each command, which it is replaced by
                stderr=subprocess.STDOUT,
            )
            wait_for(lambda: path.exists() or process.poll() is not None)
        return path

    def end(self) -> None:
        """End them all."""
        for process in self._processes.values():
            process.kill()
            process.communicate()
        self._folder.cleanup()
