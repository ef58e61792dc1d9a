"""Runs: find them below a path, and read each from its one source as one :class:`~ups.Run`."""

from ups.runs.discovery import FoundRun, find_run, find_runs
from ups.runs.file_source import open_files
from ups.runs.reading import open_run, open_runs, read_run

__all__ = ["FoundRun", "find_run", "find_runs", "open_files", "open_run", "open_runs", "read_run"]
