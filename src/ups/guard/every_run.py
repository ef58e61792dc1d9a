"""The hold that ``ups.guard()`` has on every run of a process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

__all__ = ["EveryRun"]


class EveryRun(ABC):
    """Keeps every run that ``wandb.init`` makes from here on, until :meth:`release`. Also a context manager.

    The children that :mod:`multiprocessing` spawns do the same.
    """

    @abstractmethod
    def release(self) -> None:
        """Give wandb its own parts back. A run that is journaled stays so until it is finished."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
