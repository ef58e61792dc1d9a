"""Runs, wherever they lie: found, and each read from one source as one :class:`~ups.Run`."""

from ups.runs.discovery import FoundRun, find_run, find_runs
from ups.runs.source import open_files, open_run, open_runs, read_run

__all__ = ["FoundRun", "find_run", "find_runs", "open_files", "open_run", "open_runs", "read_run"]
