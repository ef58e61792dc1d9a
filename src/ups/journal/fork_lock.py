"""A lock that a forked child finds free, whichever thread held it in the parent.

A fork copies only the thread that calls it. A plain lock that another thread holds at that moment stays locked in the
child for ever.
"""

import os
import threading
import weakref

__all__ = ["ForkLock"]

_locks: "weakref.WeakSet[ForkLock]" = weakref.WeakSet()


class ForkLock:
    """A re-entrant lock to use with ``with``. The thread that holds it must not fork."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def free(self) -> None:
        """Free the lock, in a forked child."""
        self._lock = threading.RLock()


def _free_all() -> None:
    for lock in _locks:
        lock.free()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
