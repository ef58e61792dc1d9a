"""A run's summary, from the records that change it.

Two thirds of the records of a long run are such changes, nearly all of them the newest values of the same names.
Only those that hold the last value of some name, or take a name away, are parsed one by one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ups.runfile.framing import Batch, FrameReader
from ups.runfile.history import last_rows
from ups.runfile.records import ConfigChange, Kind, Payloads, SummaryChange, find_payloads, parse

__all__ = ["SummaryReader", "apply_change", "put"]


class SummaryReader:
    """Keeps the summary of a run's files: reads it, or is given the records that were read anyway."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._read = dict.fromkeys(files, 0)
        self._summary: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The summary as it now stands, with nested dictionaries: what was appended since the last time is read.

        Raises:
            RunFileError: a file cannot be read.
        """
        for path, at in self._read.items():
            reader = FrameReader(path, start=at)
            if at < reader.size:
                for batch in reader:
                    self.take(batch, find_payloads(batch))
                self._read[path] = reader.intact_length
        return self.taken

    @property
    def taken(self) -> dict[str, Any]:
        """The summary by the records that were taken."""
        return self._summary

    def take(self, batch: Batch, payloads: Payloads) -> None:
        """Take up the changes among the next records."""
        changes = np.flatnonzero(payloads.kind == Kind.SUMMARY)
        if not len(changes):
            return
        # A change has its items where a row of the history has them, and what it takes away where a row has its step.
        last, takes_away = last_rows(payloads.buffer, payloads.start[changes], payloads.end[changes])
        for index in changes[np.union1d(last, takes_away)].tolist():
            start = int(batch.starts[index])
            record = parse(batch.data[start : start + int(batch.lengths[index])])
            if isinstance(record, SummaryChange):
                apply_change(self._summary, record)


def apply_change(target: dict[str, Any], change: ConfigChange | SummaryChange) -> None:
    """Carry out a change in nested dictionaries."""
    for path, value in change.update.items():
        put(target, path, value)
    for path in change.remove:
        inner = target
        for key in path[:-1]:
            below = inner.get(key)
            inner = below if isinstance(below, dict) else {}
        inner.pop(path[-1], None)


def put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value into nested dictionaries, which are made where there are none."""
    for key in path[:-1]:
        below = target.get(key)
        if not isinstance(below, dict):
            below = target[key] = {}
        target = below
    target[path[-1]] = value
