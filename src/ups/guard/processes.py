"""The processes that log to one guarded run: the one that made the guard, and those that are forked from it."""

import mmap
import os
import threading
import weakref

__all__ = ["Processes"]

_all: "weakref.WeakSet[Processes]" = weakref.WeakSet()


class Processes:
    """Which process this is, and whether others have logged, known to all of them.

    Attributes:
        lock: one for the threads of this process; free in a forked child, whoever held it before.
        forked: True in a child that was forked since the guard was made.
        others: its first byte is 1 once a forked child has logged. Children share it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.forked = False
        self.others = mmap.mmap(-1, 2)
        _all.add(self)

    def is_known(self) -> bool:
        """True where one of the processes has asked this before: what is to be printed once is printed by that one."""
        self.others[0] = 1
        known = bool(self.others[1])
        self.others[1] = 1
        return known


def _in_child() -> None:
    for processes in _all:
        processes.lock = threading.RLock()
        processes.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
