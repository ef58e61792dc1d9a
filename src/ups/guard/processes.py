"""The processes that log to one guarded run: the one that made the guard, and those that are forked from it."""

import mmap
import os
import threading
import weakref

__all__ = ["Processes"]

_all: "weakref.WeakSet[Processes]" = weakref.WeakSet()


class Processes:
    """This process among those that log to the run; each knows that another has logged.

    Attributes:
        lock: The lock of this process's threads; free in a forked child, though another thread held it.
        forked: True in a child that was forked since the guard was made.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.forked = False
        self._shared = mmap.mmap(-1, 2)  # by forked children: one of them has logged; is_known() was called
        _all.add(self)

    @property
    def are_several(self) -> bool:
        """True in a forked child, and in each process once a child has logged."""
        return self.forked or bool(self._shared[0])

    def is_known(self) -> bool:
        """True where one of the processes has called this before; that one prints what is printed once."""
        self._shared[0] = 1
        known = bool(self._shared[1])
        self._shared[1] = 1
        return known


def _in_child() -> None:
    for processes in _all:
        processes.lock = threading.RLock()
        processes.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
