"""A run's summary, from the records that change it.

Two thirds of the records of a long run are such changes, and nearly all hold newer values of the same names. So only
those that hold the last value of a name, or remove a name, are parsed one by one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ups.nested import put, put_whole, remove
from ups.runfile.framing import Batch, FrameReader
from ups.runfile.history import last_rows
from ups.runfile.records import Change, Kind, Payloads, SummaryChange, find_payloads, parse

__all__ = ["SummaryReader", "apply_change"]


class SummaryReader:
    """The summary of a run's files, from records that it reads itself or that :meth:`take` is given.

    Attributes:
        taken: The summary, by the records so far.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._read = dict.fromkeys(files, 0)
        self.taken: dict[str, Any] = {}
        self._whole: set[tuple[str, ...]] = set()

    def read(self) -> dict[str, Any]:
        """Read the changes since the last time, and return the summary with nested dictionaries.

        Raises:
            RunFileError: A file cannot be read.
        """
        for path, at in self._read.items():
            reader = FrameReader(path, start=at)
            if at < reader.size:
                for batch in reader:
                    self.take(batch, find_payloads(batch))
                self._read[path] = reader.intact_length
        return self.taken

    def take(self, batch: Batch, payloads: Payloads) -> None:
        """Apply the changes among the next records."""
        changes = np.flatnonzero(payloads.kind == Kind.SUMMARY)
        if not len(changes):
            return
        # A change has its items where a row of the history has them, and its removals where a row has its step.
        last, takes_away = last_rows(payloads.buffer, payloads.start[changes], payloads.end[changes])
        for index in changes[np.union1d(last, takes_away)].tolist():
            record = parse(batch.record(index))
            if isinstance(record, SummaryChange):
                for path, value in record.update.items():
                    put_whole(self.taken, path, value, self._whole)
                for path in record.remove:
                    remove(self.taken, path)


def apply_change(target: dict[str, Any], change: Change) -> None:
    """Apply a change to nested dictionaries."""
    for path, value in change.update.items():
        put(target, path, value)
    for path in change.remove:
        remove(target, path)
