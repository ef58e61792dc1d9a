"""The order of a run's sessions, one per file, in W&B's own step."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from ups.charts import DEFAULT_AXIS
from ups.runfile import Run, Session

__all__ = ["Follows", "SessionStart", "session_starts"]


class Follows(StrEnum):
    """The place in W&B's own step where a session begins."""

    BEHIND = "behind"
    """After all earlier rows, as it should be."""
    FROM_ZERO = "from zero"
    """At 0 again: wandb counts so offline if the first row of a session has no ``step=``."""
    EARLIER = "earlier"
    """At a step above 0 that the run had passed: it was resumed from an older checkpoint, with ``step=``."""
    BESIDE = "beside"
    """At a step that the run had passed, and earlier in time than its last row: two processes wrote the run at once."""


class SessionStart(NamedTuple):
    """The start of a session, by the ``_step`` of its first row, and the highest that the run had reached before."""

    session: Session
    first: int
    reached: int
    follows: Follows


def session_starts(run: Run) -> list[SessionStart]:
    """The start of each session of a run but the first."""
    sessions = run.sessions
    steps = run.column(DEFAULT_AXIS)
    if len(sessions) < 2 or steps is None:
        return []
    x = steps.values
    times = np.full(run.rows, np.nan)
    stamps = run.column("_timestamp")
    if stamps is not None:
        times[stamps.rows] = stamps.values
    found = []
    for session in sessions[1:]:
        first, reached = int(x[session.begin]), int(x[: session.begin].max())
        before = times[: session.begin]
        last = before[np.isfinite(before)].max(initial=-np.inf)
        follows = Follows.BEHIND
        if first <= reached:
            follows = Follows.EARLIER if first else Follows.FROM_ZERO
            if times[session.begin] < last:
                follows = Follows.BESIDE
        found.append(SessionStart(session, first, reached, follows))
    return found
