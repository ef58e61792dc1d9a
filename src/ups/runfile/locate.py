"""Paths → runs: which files belong to which run."""

import json
import os
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.errors import RunFileError
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import WINDOW, FrameReader
from ups.runfile.history import Columns
from ups.runfile.records import Kind, find_payloads
from ups.runfile.run import Run

__all__ = [
    "RunFiles",
    "find_runs",
    "last_step",
    "open_run",
    "open_runs",
    "segment_age",
    "segment_folder_run",
    "segment_folder_time",
]

_SEGMENT_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)\Z")
_DESCRIPTION = "run.json"


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, found but not read.

    Attributes:
        path: what names the run: its file or its directory.
        files: its ``.wandb`` files, oldest first.
        description: the ``run.json`` of a UPS run directory, where W&B's ``_step`` identifies the row; else None.
    """

    path: Path
    files: tuple[Path, ...]
    description: Path | None = None

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.stat().st_size for file in self.files)

    def begin(self, *, hidden: Container[str] = ()) -> Run:
        """The run with nothing read yet: :meth:`Run.read_more` reads, summary too, again and again while it grows.

        Args:
            hidden: the names with a leading ``_`` to hold from the start.

        Raises:
            RunFileError: the run's description cannot be read.
        """
        return self._run(hidden=hidden, with_summary=True, read=False)

    def open(self, on_read: Callable[[int], None] | None = None) -> Run:
        """Read the run; ``on_read`` is told how many more bytes were read, again and again.

        Raises:
            RunFileError: a file cannot be read, is not a W&B run file, or all of them are empty.
        """
        run = self._run(on_read=on_read)
        if not any(segment.size for segment in run.segments):
            raise RunFileError(f"{self.files[-1]} is empty: the run has only just begun, or the file was not copied")
        return run

    def _run(self, **options: Any) -> Run:
        stages = _declared_stages(self.description) if self.description else ()
        return Run(self.path, self.files, stages=stages, steps_identify_rows=self.description is not None, **options)


def find_runs(path: str | os.PathLike[str]) -> list[RunFiles]:
    """Every run at ``path``: a ``.wandb`` file, a run's directory (W&B's or UPS's), or a folder of runs.

    Several files of one run id in one folder are one run. Runs are ordered by the time of their first file.

    Raises:
        RunFileError: there is no run, or the path cannot be read.
    """
    path = Path(path)
    try:
        if path.is_file():
            return [RunFiles(path, (path,))]
        if not path.is_dir():
            path.stat()  # says why, if it is more than absence
            raise RunFileError(f"{path} is neither a file nor a directory")
        next(path.iterdir(), None)
    except FileNotFoundError as error:
        raise RunFileError(f"{path} does not exist") from error
    except OSError as error:
        raise RunFileError(f"{path} cannot be read: {error.strerror}") from error
    runs = list(_runs_in(path))
    if not runs and (path / _DESCRIPTION).is_file():
        raise RunFileError(f"{path} holds a journal and no .wandb file: deliver it first, with 'ups deliver {path}'")
    for below in sorted(path.iterdir()) if not runs else ():
        if (below / _DESCRIPTION).is_file():
            runs += _runs_in(below)
    if not runs:
        raise RunFileError(f"{path} holds no .wandb file: name a run's directory, a wandb folder or a .wandb file")
    return runs


def _runs_in(path: Path) -> Iterator[RunFiles]:
    by_id: dict[str, list[Path]] = {}
    for file in _segment_files(path):
        by_id.setdefault(file.stem, []).append(file)
    home = path.parent if path.name == "wandb" else path
    description = home / _DESCRIPTION if (home / _DESCRIPTION).is_file() else None
    for files in by_id.values():
        yield RunFiles(path if len(by_id) == 1 else files[0].parent, tuple(files), description)


def open_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Every run at ``path``, read; see :func:`find_runs`.

    Raises:
        RunFileError: there is no run, or a file of it cannot be read.
    """
    return [found.open() for found in find_runs(path)]


def open_run(path: str | os.PathLike[str]) -> Run:
    """The one run at ``path``; see :func:`find_runs`.

    Raises:
        RunFileError: there is no run, or more than one, or a file of it cannot be read.
    """
    runs = find_runs(path)
    if len(runs) > 1:
        found = ", ".join(str(run.path) for run in runs)
        raise RunFileError(f"{path} holds {len(runs)} runs; name one of them: {found}")
    return runs[0].open()


def last_step(path: str | os.PathLike[str]) -> int | None:
    """The highest ``_step`` of the rows in one ``.wandb`` file, or of a run's directory; None without rows.

    Reads the ends of the files only, so it takes as long for a long run as for a short one.

    Raises:
        RunFileError: a file cannot be read, or is not a W&B run file.
    """
    path = Path(path)
    files = _segment_files(path) if path.is_dir() else [path]
    return max((step for file in files if (step := _last_step_of_file(file)) is not None), default=None)


def _last_step_of_file(path: Path) -> int | None:
    size = path.stat().st_size if path.exists() else 0
    tail = WINDOW // 8
    while True:
        start = max(0, size - tail)
        columns = Columns()
        for batch in FrameReader(path, start=start - start % BLOCK):
            payloads = find_payloads(batch)
            history = payloads.kind == Kind.HISTORY
            columns.add(payloads.buffer, payloads.start[history], payloads.end[history])
        if columns.rows:
            return int(columns.steps().max())
        if start == 0:
            return None
        tail *= 4


def _segment_files(path: Path) -> list[Path]:
    """The ``.wandb`` files in a run directory or ``wandb`` folder, oldest first."""
    for pattern in ("*.wandb", "*run-*/run-*.wandb", "wandb/*run-*/run-*.wandb"):
        files = [file for file in path.glob(pattern) if not file.parent.is_symlink() or file.parent == path]
        if files:
            return sorted(files, key=segment_age)
    return []


def segment_folder_run(name: str) -> str | None:
    """The run id in the name of a folder that wandb made for a run; None for other names."""
    named = _SEGMENT_FOLDER.match(name)
    return named[2] if named else None


def segment_folder_time(name: str) -> str | None:
    """The time in the name of a folder that wandb made for a run, as ``20260730_120000``; None for other names."""
    named = _SEGMENT_FOLDER.match(name)
    return named[1] if named else None


def segment_age(file: Path) -> tuple[str, str]:
    """What sorts a run's ``.wandb`` files, the oldest first: by the time in the name of the folder."""
    return (segment_folder_time(file.parent.resolve().name) or "", str(file))


def _declared_stages(path: Path) -> tuple[str, ...]:
    try:
        stages = json.loads(path.read_text(encoding="utf-8")).get("stages", [])
    except (OSError, ValueError, AttributeError) as error:
        raise RunFileError(f"{path} cannot be read as a UPS run's description: {error}") from error
    return tuple(str(stage) for stage in stages)
