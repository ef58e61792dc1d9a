"""The processes that wandb runs for a session are ended in time; a copy of ``sleep`` stands for one that hangs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ups.delivery.backend import alive, ending_backend_after, running_backend


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this one with the name of wandb's own, which does not end by itself."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    with subprocess.Popen([shutil.copy(sleep, tmp_path / "wandb-core"), "60"]) as process:
        while psutil.Process(process.pid).name() != "wandb-core":  # it has not yet begun
            time.sleep(0.01)
        yield process
        process.kill()


def test_a_backend_that_does_not_finish_in_time_is_ended(hanging: subprocess.Popen[bytes]) -> None:
    """A wandb without ``finish_timeout`` would wait for it without end."""
    backend = running_backend()
    assert [process.pid for process in alive(backend)] == [hanging.pid]
    with ending_backend_after(0.1, backend):
        hanging.wait(10)
    assert alive(backend) == []


def test_a_backend_that_finishes_in_time_is_let_be(hanging: subprocess.Popen[bytes]) -> None:
    """The time limit is over once ``finish`` has returned."""
    backend = running_backend()
    with ending_backend_after(0.2, backend):
        pass
    time.sleep(0.4)
    assert [process.pid for process in alive(backend)] == [hanging.pid]
