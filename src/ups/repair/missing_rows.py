"""The rows that a run's UPS journal holds and its ``.wandb`` files do not.

Delivery gives each row the time at which it was logged, so a row of the journal is in the files if a row there has
the same ``_timestamp`` and holds the same metric. The journal's rows are read in the order in which
delivery took them up (``delivery/sequence.jsonl``), then those that it never did; each missing row has its place
behind the row before it in that order. Nothing is written.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.errors import RunFileError
from ups.journal.row_reader import RowReader, rows_of
from ups.journal.row_rule import Row
from ups.journal.run_directory import RunDirectory
from ups.runfile import Run

__all__ = ["Missing", "journaled_rows", "missing_rows"]


@dataclass(frozen=True)
class Missing:
    """The rows of a journal that the run's files lack.

    Attributes:
        folder: The UPS run directory.
        number: int64, shape (missing,): which of :func:`journaled_rows`, from 0, increasing.
        after: int64, shape (missing,): the row of the files behind which it belongs; -1 before all.
        points: For each metric, how many of them hold it.
        axes: The step metric of each of these metrics, where it has one.
        last: The journal's newest value of every name.
    """

    folder: Path
    number: NDArray[np.int64]
    after: NDArray[np.int64]
    points: dict[str, int] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    last: dict[str, object] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """Read the missing rows from the journal once more."""
        wanted = iter(self.number.tolist())
        number = next(wanted, None)
        for index, row in enumerate(journaled_rows(self.folder)):
            if index == number:
                yield row
                number = next(wanted, None)


def missing_rows(run: Run) -> Missing | None:
    """Find the rows that the journal of the run's UPS directory holds beyond its files; None if it has no journal.

    Raises:
        RunFileError, RunDirectoryError: The journal, or the run's manifest, cannot be read.
    """
    try:
        return _missing_rows(run)
    except OSError as error:
        raise RunFileError(f"the journal of {run.path} cannot be read: {error}") from error


def _missing_rows(run: Run) -> Missing | None:
    folder = next((place for place in _around(run) if any((place / "journal").glob("*.jsonl"))), None)
    if folder is None:
        return None
    stamps = run.column("_timestamp")
    times, rows = (stamps.values, stamps.rows) if stamps is not None else (np.empty(0), np.empty(0, dtype=np.int64))
    order = np.argsort(times, kind="stable")
    times, rows = times[order], rows[order]
    numbers: list[int] = []
    places: list[int] = []
    points: Counter[str] = Counter()
    axes: dict[str, str] = {}
    last: dict[str, object] = {}
    newest = -1

    @cache
    def rows_of(metric: str) -> NDArray[np.int64]:
        column = run.column(metric)
        return np.empty(0, dtype=np.int64) if column is None else column.rows

    for number, row in enumerate(journaled_rows(folder)):
        last.update(row.values)
        numeric = [name for name, value in row.values.items() if isinstance(value, int | float)]
        metric = next(iter(numeric), None)
        at = int(np.searchsorted(times, row.time))
        while (
            metric is not None
            and at < len(times)
            and times[at] == row.time
            and not _holds(rows_of(metric), int(rows[at]))
        ):
            at += 1
        if at < len(times) and times[at] == row.time:
            newest = max(newest, int(rows[at]))
            continue
        numbers.append(number)
        places.append(newest)
        for name in numeric:
            if name != row.axis:
                points[name] += 1
                axes[name] = row.axis or DEFAULT_AXIS
    return Missing(folder, np.array(numbers, dtype=np.int64), np.array(places, dtype=np.int64), points, axes, last)


def journaled_rows(folder: Path) -> Iterator[Row]:
    """The rows that the journals in a UPS run directory give, in the order of their delivery."""
    directory = RunDirectory(folder)
    if not RunDirectory.exists(folder):
        return rows_of(RowReader(directory, "first").read_all())
    manifest = directory.read_manifest()
    return rows_of(RowReader(directory, manifest.repeated, guarded=manifest.guarded).read_all())


def _around(run: Run) -> Iterator[Path]:
    """The folders that may be the run's UPS directory: what was opened, and those around its first file."""
    yield run.path
    for segment in run.segments[:1]:
        yield from segment.path.absolute().parents[1:3]


def _holds(rows: NDArray[np.int64], row: int) -> bool:
    at = int(np.searchsorted(rows, row))
    return at < len(rows) and int(rows[at]) == row
