"""A tracker's process, as a benchmark holds it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import psutil

from peers.trackers import VARIABLES

__all__ = ["TrackerProcess", "environment", "held"]

_QUIET = 0.05  # of a core, which a tracker may use for system metrics
_LOOK = 0.3  # seconds
_CALM_WITHIN = 20.0  # seconds
_ENDS_WITHIN = 60.0  # seconds that a tracker's other processes may take to end after its first
_LOCAL = ("WANDB_", "UPS_", "TRACKIO_", "SWANLAB_")


class TrackerProcess:
    """One tracker in a process of its own, with an open run.

    Args:
        name: As in :data:`peers.trackers.OPEN`.
        python: The interpreter that has the tracker.
        folder: Where it writes; made.

    Raises:
        RuntimeError: The process ended before it answered; the message has the end of what it printed.
    """

    def __init__(self, name: str, python: Path, folder: Path) -> None:
        self.name = name
        self.folder = folder
        (folder / "home").mkdir(parents=True)
        self._printed = (folder.parent / f"{folder.name}.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [python, "-m", "peers.worker", name, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            text=True,
            env=environment(folder),
            cwd=folder,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._printed.close()

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def finish(self) -> None:
        """Close the run, and wait until all its processes have ended."""
        others = self._others()
        self.ask(do="finish")
        self._process.wait()
        psutil.wait_procs(others, timeout=_ENDS_WITHIN)

    def log_and_kill(self, rows: int, compute: float) -> int:
        """Have it log rows, and SIGKILL it when it says how many. Returns that number.

        The tracker's other processes are left to end by themselves, and are waited for.
        """
        others = self._others()  # before, since looking takes time
        logged: int = self.ask(do="log", rows=rows, compute=compute, silent=True)["logged"]
        self._process.kill()
        self._process.wait()
        psutil.wait_procs(others, timeout=_ENDS_WITHIN)
        return logged

    def calm(self) -> None:
        """Wait until the tracker and its other processes have done what they were given."""
        until = time.monotonic() + _CALM_WITHIN
        before = self._used()
        while time.monotonic() < until:
            time.sleep(_LOOK)
            used = self._used()
            if used - before < _QUIET * _LOOK:
                return
            before = used

    def written(self) -> dict[str, int]:
        """Bytes of each file that the tracker wrote, by its path in the folder."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return {str(path.relative_to(self.folder)): path.stat().st_size for path in files}

    def _others(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def _used(self) -> float:
        """Seconds of processor time so far."""
        used = 0.0
        for process in (psutil.Process(self._process.pid), *self._others()):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._printed.seek(0)
            raise RuntimeError(f"{self.name} ended: {self._printed.read()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def held(name: str, python: Path, folder: Path) -> list[int]:
    """The steps of the rows that a tracker's files hold, after its own means of recovery."""
    done = subprocess.run(
        [python, "-m", "peers.worker", "--held", name, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment(folder),
        cwd=folder,
    )
    steps: list[int] = json.loads(done.stdout)
    return steps


def environment(folder: Path) -> dict[str, str]:
    """The environment without a user's settings; one core computes, as a training loop does, and one is free."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LOCAL)}
    own = {name: value.format(folder=folder) for name, value in VARIABLES.items()}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return kept | own | threads | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
