"""A run's own ``.wandb`` files as its source."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ups.errors import RunFileError
from ups.runfile import Run
from ups.runs.discovery import FoundRun
from ups.runs.source import Medium, Source
from ups.text import command_line

__all__ = ["FileSource", "empty_file", "open_files"]

_HIDDEN = frozenset(["_timestamp"])  # what a page shows beside the metrics


def open_files(found: FoundRun, on_read: Callable[[int], None] | None = None) -> Run:
    """Read the run from W&B's own files, also where its journals hold more.

    Raises:
        RunFileError: The run has no file, all of them are empty, or one cannot be read or is not W&B's.
    """
    run = _of_files(found, on_read=on_read)
    if not any(segment.size for segment in run.segments):
        raise empty_file(found.files[-1])
    return run


def empty_file(path: Path) -> RunFileError:
    """The error for a run whose newest file is empty."""
    return RunFileError(f"{path} is empty: the run has only just begun, or the file was not copied")


def _of_files(found: FoundRun, **options: Any) -> Run:
    """Make the run of some files.

    Raises:
        RunDirectoryError, RunFileError: It has no file, or its manifest cannot be read.
    """
    if not found.files:
        raise RunFileError(
            f"{found.path} holds no .wandb file; if it holds a journal, deliver it first with:"
            f" {command_line('ups', 'deliver', found.path)}"
        )
    stages: tuple[str, ...] = ()
    if found.directory is not None:
        from ups.journal.run_directory import RunDirectory  # most runs were made without UPS

        directory = RunDirectory(found.directory)
        manifest = directory.read_manifest()
        if manifest.unreadable is not None:
            raise RunFileError(
                f"{directory.manifest_file} cannot be read as a UPS run's manifest: {manifest.unreadable}"
            )
        stages = manifest.stages
    return Run(found.path, found.files, stages=stages, steps_identify_rows=found.directory is not None, **options)


class FileSource(Source):
    """A run read from its ``.wandb`` files."""

    journaled = False

    def __init__(self, found: FoundRun) -> None:
        self._found = found
        self._pieces: Iterator[int] | None = None
        self.generation = 0
        self.run = self._begin()

    def _begin(self) -> Run:
        return _of_files(self._found, hidden=_HIDDEN, with_summary=True, read=False)

    def advance(self, seconds: float) -> bool:
        """As for :class:`Source`."""
        until = time.monotonic() + seconds
        if self._pieces is None:
            try:
                sizes = [file.stat().st_size for file in self._found.files]
            except OSError as error:
                raise RunFileError(f"{error.filename} cannot be read: {error.strerror}") from error
            before = [segment.size for segment in self.run.segments]
            if sizes == before:
                return False
            if any(size < was for size, was in zip(sizes, before, strict=False)):
                self.run = self._begin()  # a file was replaced
                self.generation += 1
                self._caught_up, self._taken = False, 0
            self._total = max(sum(sizes), 1)
            self._pieces = self.run.read_more()
        rows = self.run.rows
        pieces, self._pieces = self._pieces, None  # a piece that fails is read again
        for size in pieces:
            self._taken += size
            if time.monotonic() > until:
                self._pieces = pieces
                return True
        if self.run.rows < rows:
            self.generation += 1  # rows were in two segments
        self._caught_up = True
        return True

    def summary(self) -> dict[str, Any]:
        """As for :class:`Source`."""
        return dict(self.run.summary)

    def media(self) -> list[Medium]:
        """As for :class:`Source`."""
        found = []
        for segment in self._found.files:
            folder = segment.parent / "files" / "media"
            for kind, below, pattern in (("table", "table", "*.table.json"), ("image", "images", "*.*")):
                for path in (folder / below).rglob(pattern) if (folder / below).is_dir() else ():
                    name = path.relative_to(folder / below).as_posix().removesuffix(".table.json")
                    name = name if kind == "table" else name.rpartition(".")[0]
                    with contextlib.suppress(OSError):  # a link that leads nowhere
                        found.append(Medium(kind, _without_step(name), path, path.stat().st_mtime))
        return sorted(found, key=lambda medium: (medium.time, medium.name))

    def close(self) -> None:
        """As for :class:`Source`."""
        self._pieces = None


def _without_step(name: str) -> str:
    """The name that was logged, of a file that wandb named ``<name>_<step>_<hash>``."""
    parts = name.rsplit("_", 2)
    return parts[0] if len(parts) == 3 and parts[1].isdigit() else name
