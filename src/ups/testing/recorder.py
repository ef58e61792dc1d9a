"""Records the runs of a test: whatever calls wandb or UPS, in this process, no service and no delivery starts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ups.durable import unsynced
from ups.errors import MissingDependency
from ups.installed_wandb import load_wandb
from ups.journal.run_directory import RunDirectory
from ups.testing.charts import WandbCharts
from ups.tracking.recording import Recording, begin_recording, end_recording

if TYPE_CHECKING:
    from ups.check import RunCheck

__all__ = ["recorded"]

_SET = {  # for wandb's own code, which then looks for nothing that only a real run needs
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_GIT": "true",
}
_UNSET = ("WANDB_DISABLED", "WANDB_SERVICE", "UPS_RUN_DIR")


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[WandbCharts]:
    """Record the runs that begin while this is open, below ``folder``.

    Raises:
        MissingDependency: The installed wandb is one that UPS cannot record.
    """
    with unsynced(), _process(folder), _recording() as recording:
        checks = _Checks(recording)
        try:
            yield WandbCharts(checks)
        finally:
            for context in recording.contexts:
                context.finish()


class _Checks:
    """The checks of the runs, made again once there are new records."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._checked: dict[Path, tuple[int, RunCheck]] = {}

    def __call__(self) -> list[RunCheck]:
        for context in self._recording.contexts:
            context.flush()  # values that a device still computes
        folders = dict.fromkeys(context.dir for context in self._recording.contexts)
        return [self._check(RunDirectory(folder)) for folder in folders]

    def _check(self, directory: RunDirectory) -> RunCheck:
        from ups.check import check_run
        from ups.runs.journal_source import JournalSource

        size = directory.journaled_bytes()
        before = self._checked.get(directory.path)
        if before is None or before[0] != size:
            source = JournalSource(directory)
            source.read_all()
            source.settle()
            source.run.end(source.run.exit_code or 0)
            before = self._checked[directory.path] = size, check_run(source.run)
        return before[1]


def _recording() -> AbstractContextManager[Recording]:
    spec = find_spec("wandb")
    if spec is None or spec.origin is None:  # without an origin, the folder with wandb's runs
        return _without_wandb()
    from ups.dropin.turn_on import unable_to_journal

    if (reason := unable_to_journal(load_wandb().version)) is not None:
        raise MissingDependency(f"wandb_charts cannot record the runs of this wandb: {reason}")
    from ups.dropin.seam import recorded_runs

    return recorded_runs()


@contextlib.contextmanager
def _without_wandb() -> Iterator[Recording]:
    try:
        yield begin_recording()
    finally:
        end_recording()


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[None]:
    """Set W&B's variables; then restore all of W&B's and UPS's, and the hooks that wandb puts into each process."""
    before, hooks = _variables(), (sys.excepthook, sys.exit)
    for name in _UNSET:
        os.environ.pop(name, None)
    os.environ.update(_SET, WANDB_DIR=str(folder))
    try:
        yield
    finally:
        for name in _variables().keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        sys.excepthook, sys.exit = hooks


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("WANDB_", "UPS_"))}
