"""Paths → runs: which files belong to which run."""

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ups.errors import RunFileError
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import WINDOW, FrameReader
from ups.runfile.history import Columns
from ups.runfile.records import Kind, find_payloads
from ups.runfile.regular_file import open_regular
from ups.runfile.run import Run
from ups.text import command_line

__all__ = [
    "RunFiles",
    "find_runs",
    "last_step",
    "open_run",
    "open_runs",
    "runs_below",
    "segment_age",
    "segment_folder_run",
    "segment_folder_time",
]

_SEGMENT_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)\Z")
_FOLDER_NUMBER = re.compile(r"-\d+\Z")
_DESCRIPTION = "run.json"
_LARGEST_DESCRIPTION = 1 << 26  # bytes
_DEPTH = 6  # folders below the one that was named
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", "venv"}


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, found but not read.

    Attributes:
        path: what names the run: its file or its directory.
        files: its ``.wandb`` files, oldest first; none of a UPS run that is only journaled.
        description: the ``run.json`` of a UPS run directory, where W&B's ``_step`` identifies the row; else None.
    """

    path: Path
    files: tuple[Path, ...]
    description: Path | None = None

    @property
    def size(self) -> int:
        """Bytes in all files; 0 of one that cannot be looked at, which :meth:`open` reports."""
        return sum(map(_size_of, self.files))

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
            RunFileError: a file cannot be read, is not a W&B run file, or all of them are empty; or there is none.
        """
        if not self.files:
            raise RunFileError(
                f"{self.path} holds a journal and no .wandb file: deliver it first, with:"
                f" {command_line('ups', 'deliver', self.path)}"
            )
        run = self._run(on_read=on_read)
        if not any(segment.size for segment in run.segments):
            raise RunFileError(f"{self.files[-1]} is empty: the run has only just begun, or the file was not copied")
        return run

    def _run(self, **options: Any) -> Run:
        stages = _declared_stages(self.description) if self.description else ()
        return Run(self.path, self.files, stages=stages, steps_identify_rows=self.description is not None, **options)


def find_runs(path: str | os.PathLike[str], *, unreadable: list[RunFileError] | None = None) -> list[RunFiles]:
    """Every run at ``path``: a ``.wandb`` file, a run's directory (W&B's or UPS's), or a folder with runs below it.

    Several files of one run id in one folder are one run. The runs of a folder are ordered by the time of their first
    file.

    Args:
        unreadable: takes what cannot be read below ``path``, and the runs beside it are returned; without it, that is
            raised.

    Raises:
        RunFileError: there is no run, or the path cannot be read.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise RunFileError(f"{path} does not exist") from error
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    if stat.S_ISREG(mode):
        return [RunFiles(path, (path,))]
    if not stat.S_ISDIR(mode):
        raise RunFileError(f"{path} is neither a file nor a directory")
    runs, errors = runs_below(path)
    if errors and unreadable is None:
        raise errors[0]
    if unreadable is not None:
        unreadable += errors
    if not runs and not errors:
        if (path / _DESCRIPTION).is_file():
            return [RunFiles(path, (), path / _DESCRIPTION)]
        raise RunFileError(f"{path} holds no .wandb file: name a run's directory, a wandb folder or a .wandb file")
    if len(runs) == 1 and runs[0].description is None:
        return [replace(runs[0], path=path)]
    return runs


def runs_below(folder: Path) -> tuple[list[RunFiles], list[RunFileError]]:
    """The runs in a folder and the folders below it, also behind links, and what of them cannot be read."""
    walk = _Walk()
    beside = folder.parent / _DESCRIPTION
    description = beside if folder.name == "wandb" and beside.is_file() else None
    return walk.runs_in(folder, _DEPTH, description), walk.unreadable


class _Walk:
    """Goes through a folder and those below it."""

    def __init__(self) -> None:
        self.unreadable: list[RunFileError] = []
        self._seen: set[tuple[int, int]] = set()  # the folders and files: a link leads to some of them again

    def runs_in(self, folder: Path, depth: int, description: Path | None = None) -> list[RunFiles]:
        """The runs in a folder, then those in the folders in it, down to ``depth``.

        Args:
            description: the ``run.json`` of the UPS run whose folder this is.
        """
        try:
            if not self._is_new(folder):
                return []
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            self._note(folder, error)
            return []
        names = {entry.name for entry in inside}
        if "pyvenv.cfg" in names:
            return []
        of_ups = _DESCRIPTION in names and bool(names & {"journal", "wandb"})
        if of_ups or (_DESCRIPTION in names and depth == _DEPTH):
            description = folder / _DESCRIPTION
        by_run: dict[str, list[Path]] = {}
        below: list[Path] = []
        for entry in inside:
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    file = _segment_in(path)
                    if file is not None:
                        if self._is_new(file):
                            by_run.setdefault(file.stem.removeprefix("run-"), []).append(file)
                    elif of_ups and entry.name == "wandb" and not path.resolve().is_relative_to(folder.resolve()):
                        self.unreadable.append(RunFileError(f"{path} leads out of the run's directory: it is not read"))
                    elif entry.name == "wandb" if of_ups else _may_hold_runs(entry.name):
                        below.append(path)
                elif entry.name.endswith(".wandb") and not entry.is_dir() and self._is_new(path):
                    by_run[entry.name] = [path]  # a run of its own
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link that leads nowhere has no run
                    self._note(path, error)
        runs = [
            RunFiles(
                files[0].parent if segment_folder_run(files[0].parent.name) else files[0],
                tuple(sorted(files, key=segment_age)),
                description,
            )
            for files in by_run.values()
        ]
        runs.sort(key=lambda run: segment_age(run.files[0]))
        for path in below if depth or of_ups else ():
            runs += self.runs_in(path, max(depth - 1, 0), description if of_ups else None)
        if of_ups and len(runs) < 2:
            return [RunFiles(folder, runs[0].files if runs else (), description)]
        return runs

    def _is_new(self, path: Path) -> bool:
        found = path.stat()
        seen = (found.st_dev, found.st_ino) in self._seen
        self._seen.add((found.st_dev, found.st_ino))
        return not seen

    def _note(self, path: Path, error: OSError) -> None:
        self.unreadable.append(_cannot_be_read(path, error))


def _segment_in(folder: Path) -> Path | None:
    """The ``.wandb`` file in a folder that wandb made for a run; None in others.

    A second folder of one run in the same second has a number behind the run id.
    """
    run_id = segment_folder_run(folder.name)
    if run_id is None:
        return None
    names = [f"run-{run_id}.wandb", f"run-{_FOLDER_NUMBER.sub('', run_id)}.wandb"]
    inside = set(folder.iterdir())
    return next((folder / name for name in names if folder / name in inside), None)


def _may_hold_runs(folder: str) -> bool:
    return folder not in _PASSED_OVER and (folder == ".wandb" or not folder.startswith("."))


def _cannot_be_read(path: Path, error: OSError) -> RunFileError:
    return RunFileError(f"{path} cannot be read: {error.strerror}")


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
    files = [file for run in find_runs(path) for file in run.files] if path.is_dir() else [path]
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


def segment_folder_run(name: str) -> str | None:
    """The run id in the name of a folder that wandb made for a run; None for other names."""
    named = _SEGMENT_FOLDER.match(name)
    return named[2] if named else None


def segment_folder_time(name: str) -> str | None:
    """The time in the name of a folder that wandb made for a run, as ``20260730_120000``; None for other names."""
    named = _SEGMENT_FOLDER.match(name)
    return named[1] if named else None


def segment_age(file: Path) -> tuple[str, int, str]:
    """The key that sorts a run's ``.wandb`` files, the oldest first: the time in the folder's name, then its number."""
    folder = file.parent.resolve().name
    return (segment_folder_time(folder) or "", len(folder), str(file))


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _declared_stages(path: Path) -> tuple[str, ...]:
    try:
        with open_regular(path) as file:
            described = json.loads(file.read(_LARGEST_DESCRIPTION))
    except (OSError, ValueError, RecursionError) as error:
        raise RunFileError(f"{path} cannot be read as a UPS run's description: {error}") from error
    stages = described.get("stages", []) if isinstance(described, dict) else None
    if not isinstance(stages, list):
        raise RunFileError(f"{path} cannot be read as a UPS run's description: it holds no list of stages")
    return tuple(str(stage) for stage in stages)
