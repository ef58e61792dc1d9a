"""The processes that log to one guarded run: the one that made the guard, and those that it forked."""

import mmap
import os

__all__ = ["Processes"]


class Processes:
    """Which process this is, and whether several have logged, known to all of them."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._flags = mmap.mmap(-1, 2)  # shared with the children that are forked from here on

    def owns(self) -> bool:
        """True in the process that made the guard."""
        return os.getpid() == self._owner

    def several(self) -> bool:
        """True once a process has logged that does not own the guard; such a one has when it asks."""
        if os.getpid() != self._owner:
            self._flags[0] = 1
        return bool(self._flags[0])

    def is_known(self) -> bool:
        """True where one of them has asked this before: what is to be printed once is printed by that one."""
        known = bool(self._flags[1])
        self._flags[1] = 1
        return known
