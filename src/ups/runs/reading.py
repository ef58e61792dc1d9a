"""A run that was found, read from its one source: W&B's files, or its journals while W&B may lack some of their rows.

What reads journals is imported for a UPS run alone: most runs were made without UPS.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ups.runfile import Run
from ups.runs.discovery import FoundRun, find_run, find_runs
from ups.runs.file_source import FileSource, open_files
from ups.runs.source import Source

if TYPE_CHECKING:
    from ups.runs.journal_source import JournalSource

__all__ = ["open_run", "open_runs", "open_source", "read_run"]


def open_source(found: FoundRun) -> Source:
    """Open the source of a run, without reading it yet.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """
    return _journals(found) or FileSource(found)


def read_run(found: FoundRun, on_read: Callable[[int], None] | None = None) -> Run:
    """Read the run as it is now, from its source; ``on_read`` is called with the bytes of each part of its files.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """
    journals = _journals(found)
    return open_files(found, on_read) if journals is None else journals.read_all()


def open_run(path: str | os.PathLike[str]) -> Run:
    """Read the one run at ``path``: a ``.wandb`` file, or a run's directory, W&B's or UPS's.

    A UPS run is read from its journals while W&B's files may lack some of its rows.

    Raises:
        RunFileError: There is no run, or more than one, or a file of it cannot be read.
        RunDirectoryError: Its journals cannot be read.
    """
    return read_run(find_run(path))


def open_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Read every run at ``path``; see :func:`~ups.runs.find_runs`.

    Raises:
        RunFileError, RunDirectoryError: There is no run, or one of them cannot be read.
    """
    return [read_run(found) for found in find_runs(path)]


def _journals(found: FoundRun) -> "JournalSource | None":
    """The run's journals, where they are its source.

    Raises:
        RunDirectoryError: The run's directory cannot be read.
    """
    if found.directory is None:
        return None
    from ups.runs.journal_source import journals_of

    return journals_of(found.directory, has_files=bool(found.files))
