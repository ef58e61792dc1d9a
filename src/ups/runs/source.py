"""The one place from which a run is read, whatever holds it.

Each source grows one :class:`~ups.Run` in memory, so check, dashboard, report and export read a run alike.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.runfile import Run

__all__ = ["Medium", "Source"]


@dataclass(frozen=True)
class Medium:
    """A table or an image that a run logged.

    Attributes:
        kind: ``table`` or ``image``.
        time: Seconds since 1970.
    """

    kind: str
    name: str
    path: Path
    time: float
    caption: str | None = None


class Source(ABC):
    """The one place from which a run is read.

    Attributes:
        run: The run as far as it was read; it grows.
        generation: Changes when rows of the run were replaced, not only added.
        journaled: Whether the rows come from the journals, so that each chart is as it was meant.
    """

    run: Run
    generation: int
    journaled: bool
    _caught_up = False
    _taken = 0  # bytes
    _total = 0

    @property
    def read(self) -> float:
        """The share of the run that was read, from 0 to 1."""
        if self._caught_up:
            return 1.0
        return min(0.99, self._taken / self._total) if self._total else 0.0

    @abstractmethod
    def advance(self, seconds: float) -> bool:
        """Read for about ``seconds``. False if nothing was new.

        Raises:
            RunFileError, RunDirectoryError: The run cannot be read.
        """

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """The run's summary, with nested dictionaries."""

    @abstractmethod
    def media(self) -> list[Medium]:
        """The tables and images that the run logged, oldest first."""

    @abstractmethod
    def close(self) -> None:
        """Close open files."""
