"""Paths → runs: the files that belong to each run."""

import errno
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ups.errors import RunFileError, UsageError
from ups.journal import MANIFEST

__all__ = [
    "FoundRun",
    "check_path",
    "find_below",
    "find_run",
    "find_runs",
    "runs_below",
    "segment_age",
    "segment_folder_run",
    "segment_folder_time",
]

_SEGMENT_FOLDER = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)\Z")
_FOLDER_NUMBER = re.compile(r"-\d+\Z")
_DEPTH = 6  # folders below the one that was named
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", "venv"}


@dataclass(frozen=True)
class FoundRun:
    """A run that was found, and not read.

    Attributes:
        path: The path that names the run: its file or its directory.
        files: Its ``.wandb`` files, oldest first; empty for a UPS run that is only journaled.
        directory: Its UPS run directory, where W&B's ``_step`` identifies a row; None for any other run.
    """

    path: Path
    files: tuple[Path, ...]
    directory: Path | None = None

    @cached_property
    def key(self) -> str:
        """A name for it that does not reveal its path."""
        from hashlib import blake2b  # a check has no use for a key

        place = (self.directory or self.files[0]).resolve()
        return blake2b(os.fsencode(place), digest_size=8).hexdigest()

    @property
    def size(self) -> int:
        """The bytes in all files; a file that cannot be looked at counts 0, and an error when it is read."""
        return sum(map(_size_of, self.files))


def find_runs(path: str | os.PathLike[str], *, unreadable: list[RunFileError] | None = None) -> list[FoundRun]:
    """Every run at ``path``: a ``.wandb`` file, a run's directory (W&B's or UPS's), or a folder with runs below it.

    Several files of one run id in one folder are one run. The runs of a folder are ordered by the time of their first
    file. ``unreadable`` gets the errors below ``path``, so that the other runs are returned; without it, the first of
    them is raised.

    Raises:
        RunFileError: There is no run, or the path cannot be read.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise RunFileError(f"{path} does not exist") from error
    except OSError as error:
        raise _cannot_be_read(path, error) from error
    if stat.S_ISREG(mode):
        return [FoundRun(path, (path,))]
    if not stat.S_ISDIR(mode):
        raise RunFileError(f"{path} is neither a file nor a directory")
    runs, errors = runs_below(path)
    if errors and unreadable is None:
        raise errors[0]
    if unreadable is not None:
        unreadable += errors
    if not runs and not errors:
        if (path / MANIFEST).is_file():
            return [FoundRun(path, (), path)]
        raise RunFileError(f"{path} holds no .wandb file: name a run's directory, a wandb folder or a .wandb file")
    if len(runs) == 1 and runs[0].directory is None:
        return [replace(runs[0], path=path)]
    return runs


def runs_below(folder: Path) -> tuple[list[FoundRun], list[RunFileError]]:
    """The runs in a folder and the folders below it, also behind links, and the errors among them."""
    walk = _Walk()
    around = folder.parent if folder.name == "wandb" and (folder.parent / MANIFEST).is_file() else None
    return walk.runs_in(folder, _DEPTH, around), walk.unreadable


class _Walk:
    """Goes through a folder and those below it."""

    def __init__(self) -> None:
        self.unreadable: list[RunFileError] = []
        self._seen: set[tuple[int, int]] = set()  # the folders and files: a link leads to some of them again

    def runs_in(self, folder: Path, depth: int, directory: Path | None = None) -> list[FoundRun]:
        """The runs in a folder, then those in the folders in it, down to ``depth``.

        ``directory`` is the UPS run directory whose ``wandb`` folder this is, if it is one.
        """
        try:
            if not self._is_new(folder):
                return []
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            self.unreadable.append(_cannot_be_read(folder, error))
            return []
        names = {entry.name for entry in inside}
        if "pyvenv.cfg" in names:
            return []
        of_ups = MANIFEST in names and bool(names & {"journal", "wandb"})
        if of_ups or (MANIFEST in names and depth == _DEPTH):
            directory = folder
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
                if error.errno != errno.ELOOP:  # a link in a circle has no run
                    self.unreadable.append(_cannot_be_read(path, error))
        runs = [
            FoundRun(
                files[0].parent if segment_folder_run(files[0].parent.name) else files[0],
                tuple(sorted(files, key=segment_age)),
                directory,
            )
            for files in by_run.values()
        ]
        runs.sort(key=lambda run: segment_age(run.files[0]))
        for path in below if depth or of_ups else ():
            runs += self.runs_in(path, max(depth - 1, 0), directory if of_ups else None)
        if of_ups and len(runs) < 2:
            return [FoundRun(folder, runs[0].files if runs else (), directory)]
        return runs

    def _is_new(self, path: Path) -> bool:
        found = path.stat()
        seen = (found.st_dev, found.st_ino) in self._seen
        self._seen.add((found.st_dev, found.st_ino))
        return not seen


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


def find_below(paths: Iterable[Path]) -> list[FoundRun]:
    """The runs at and below some paths, each once. Unreadable files and folders are passed over.

    Raises:
        UsageError: A path does not exist, or is a file that is not a ``.wandb`` file.
    """
    found: dict[str, FoundRun] = {}
    for path in paths:
        check_path(path)
        runs = [FoundRun(path, (path,))] if path.is_file() else runs_below(path.resolve())[0]
        for run in runs:
            found.setdefault(run.key, run)
    return list(found.values())


def check_path(path: Path) -> None:
    """Check that ``path`` may hold runs.

    Raises:
        UsageError: It does not exist, or is a file that is not a ``.wandb`` file.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist: name a run, or a folder with runs below it")
    if path.is_file() and path.suffix != ".wandb":
        raise UsageError(f"{path} is not a run: name a .wandb file, a run's directory or a folder of runs")


def find_run(path: str | os.PathLike[str]) -> FoundRun:
    """The one run at ``path``; see :func:`find_runs`.

    Raises:
        RunFileError: There is no run, or more than one, or the path cannot be read.
    """
    runs = find_runs(path)
    if len(runs) > 1:
        found = ", ".join(str(run.path) for run in runs[:5])
        raise RunFileError(f"{path} holds {len(runs)} runs; name one of them: {found}")
    return runs[0]


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
