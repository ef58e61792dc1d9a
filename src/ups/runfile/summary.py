"""A run's summary, from the records that change it.

Two thirds of the records of a long run are such changes, nearly all of them the newest values of the same names.
Only those that hold the last value of some name, or take a name away, are parsed one by one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ups.runfile.framing import FrameReader
from ups.runfile.history import Columns
from ups.runfile.records import ConfigChange, Kind, SummaryChange, find_payloads, parse

__all__ = ["SummaryReader", "apply_change"]


class SummaryReader:
    """Reads the summary of a run's files; what was appended since, the next time."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._read = dict.fromkeys(files, 0)
        self._summary: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The summary as it now stands, with nested dictionaries.

        Raises:
            RunFileError: a file cannot be read.
        """
        for path, at in self._read.items():
            if at == path.stat().st_size:
                continue
            reader = FrameReader(path, start=at)
            for batch in reader:
                payloads = find_payloads(batch)
                changes = np.flatnonzero(payloads.kind == Kind.SUMMARY)
                columns = Columns(hidden=None)  # a change has its items where a row of the history has them
                columns.add(payloads.buffer, payloads.start[changes], payloads.end[changes])
                last = {int(column.rows[-1]) for name in columns.names() if (column := columns.get(name)) is not None}
                takes_away = np.flatnonzero(columns.steps())  # and what it takes away, where a row has its step
                for index in changes[sorted(last.union(takes_away.tolist()))].tolist():
                    start = int(batch.starts[index])
                    record = parse(batch.data[start : start + int(batch.lengths[index])])
                    if isinstance(record, SummaryChange):
                        apply_change(self._summary, record)
            self._read[path] = reader.intact_length
        return self._summary


def apply_change(target: dict[str, Any], change: ConfigChange | SummaryChange) -> None:
    """Carry out a change in nested dictionaries."""
    for path, value in change.update.items():
        inner = target
        for key in path[:-1]:
            below = inner.get(key)
            if not isinstance(below, dict):
                below = inner[key] = {}
            inner = below
        inner[path[-1]] = value
    for path in change.remove:
        inner = target
        for key in path[:-1]:
            below = inner.get(key)
            inner = below if isinstance(below, dict) else {}
        inner.pop(path[-1], None)
