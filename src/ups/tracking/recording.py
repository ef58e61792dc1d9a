"""The recording of a test: each run that begins during it stays in its journal, where the test looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ups.tracking.recorder import Recorder

__all__ = ["Recording", "begin_recording", "end_recording", "recording"]

_recording: Recording | None = None


class Recording:
    """The runs of a test, as this process tracks them.

    Attributes:
        contexts: A context per run, and per time that a run was resumed or joined, in the order of their begin.
        guarded: True while the rows of a script are made by the guard's decisions, as the code under test wants it.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        self.contexts: list[Recorder] = []
        self.guarded = guarded


def begin_recording(*, guarded: bool = False) -> Recording:
    """Keep each run that begins from here on in its journal."""
    global _recording
    _recording = Recording(guarded=guarded)
    return _recording


def end_recording() -> None:
    """Track runs as they ask for it again."""
    global _recording
    _recording = None


def recording() -> Recording | None:
    """The recording that lasts; None outside a test's."""
    return _recording
