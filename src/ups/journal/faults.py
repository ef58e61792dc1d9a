"""Faults: whatever goes wrong on the way, counted per kind and reported once per kind."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from ups.journal.fork_lock import ForkLock
from ups.text import printable

__all__ = ["Faults", "notify"]


class Faults:
    """A count and a first message for each kind of fault. Safe to use from several threads.

    A fault never stops training. The first of a kind is reported on stderr at once, unless all are ``quiet``;
    :meth:`~ups.WandBContext.finish` reports the counts.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = ForkLock()
        self._counts: dict[str, int] = {}
        self._messages: dict[str, str] = {}

    def add(self, kind: str, message: str, count: int = 1, *, quiet: bool = False) -> None:
        """Count ``count`` faults of ``kind``; print ``message`` if it is the first of its kind, unless ``quiet``."""
        with self._lock:
            first = kind not in self._counts
            self._counts[kind] = self._counts.get(kind, 0) + count
            if first:
                self._messages[kind] = message
        if first and not (quiet or self._quiet):
            notify(message)

    def merge(self, reported: Mapping[str, Mapping[str, Any]], *, quiet: bool = False) -> None:
        """Add the counts of another process (see :meth:`as_dict`): of each kind the larger count stands."""
        for kind, fault in reported.items():
            missing = int(fault["count"]) - self._counts.get(kind, 0)
            if missing > 0:
                self.add(kind, str(fault["message"]), missing, quiet=quiet)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The faults as ``{kind: {"count": int, "message": str}}``, in the order in which the kinds first happened."""
        with self._lock:
            return {kind: {"count": count, "message": self._messages[kind]} for kind, count in self._counts.items()}


def notify(message: str) -> None:
    """Print ``message`` on stderr, as UPS's own. A stderr that takes nothing (closed, a full disk) raises nothing."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(f"ups: {printable(message)}", file=sys.stderr, flush=True)
