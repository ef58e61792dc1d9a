"""Faults: what went wrong on the way, counted by kind and said once a kind."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from ups.journal.fork_lock import ForkLock
from ups.text import printable

__all__ = ["Faults"]


class Faults:
    """A count and a first message for each kind of fault. Safe to use from several threads.

    A fault never stops training. The first of a kind is said on stderr as it happens; the counts stand in the
    report of :meth:`~ups.WandBContext.finish`.
    """

    def __init__(self, *, say: bool = True) -> None:
        self._say = say
        self._lock = ForkLock()
        self._counts: dict[str, int] = {}
        self._messages: dict[str, str] = {}

    def add(self, kind: str, message: str, count: int = 1, *, quiet: bool = False) -> None:
        """Count ``count`` faults of ``kind``; say ``message`` if it is the first of its kind, unless ``quiet``."""
        with self._lock:
            first = kind not in self._counts
            self._counts[kind] = self._counts.get(kind, 0) + count
            if first:
                self._messages[kind] = message
        if first and self._say and not quiet:
            say(message)

    def merge(self, reported: Mapping[str, Mapping[str, Any]], *, quiet: bool = False) -> None:
        """Take in what another process counted (see :meth:`as_dict`), keeping the larger count of each kind."""
        for kind, fault in reported.items():
            missing = int(fault["count"]) - self._counts.get(kind, 0)
            if missing > 0:
                self.add(kind, str(fault["message"]), missing, quiet=quiet)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """``{kind: {"count": int, "message": str}}``, in the order in which the kinds first happened."""
        with self._lock:
            return {kind: {"count": count, "message": self._messages[kind]} for kind, count in self._counts.items()}


def say(message: str) -> None:
    """Print ``message`` on stderr, as UPS's own. Where stderr takes nothing (closed, a full disk) training goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # there is nowhere to say it; the counts stand
            print(f"ups: {printable(message)}", file=sys.stderr, flush=True)
