"""Folders → the runs below them, found but not read."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ups.errors import RunFileError, UsageError
from ups.runfile import RunFiles, find_runs
from ups.runfile.locate import segment_age, segment_folder_run

__all__ = ["Found", "check_path", "find_below"]

_DEPTH = 6  # folders below the one that was named
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", "venv"}


@dataclass(frozen=True)
class Found:
    """A run that was found.

    Attributes:
        key: names it to a browser; tells nothing of the path.
        path: what it is called on the disk: its directory or file.
        directory: its UPS run directory, if it has one.
        files: its ``.wandb`` files, if it has any.
    """

    key: str
    path: Path
    directory: Path | None
    files: RunFiles | None


def check_path(path: Path) -> None:
    """Raise :class:`~ups.errors.UsageError` unless a path is a ``.wandb`` file or a folder."""
    if not path.exists():
        raise UsageError(f"{path} does not exist: name a run, or a folder with runs below it")
    if path.is_file() and path.suffix != ".wandb":
        raise UsageError(f"{path} is no run: name a .wandb file, a run's directory or a folder of runs")


def find_below(paths: Iterable[Path]) -> list[Found]:
    """The runs at and below some paths: UPS run directories and ``.wandb`` runs, each once.

    Raises:
        UsageError: a path is not there, or is a file that is no ``.wandb`` file.
    """
    found: dict[str, Found] = {}
    for path in paths:
        check_path(path)
        runs = iter([_found(path, None, RunFiles(path, (path,)))]) if path.is_file() else _walk(path.resolve(), _DEPTH)
        for run in runs:
            found.setdefault(run.key, run)
    return list(found.values())


def _walk(folder: Path, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return  # gone meanwhile, or not ours to read
    names = {entry.name for entry in inside}
    if "run.json" in names and names & {"journal", "wandb"}:
        yield _found(folder, folder, _files_of(folder))
        return
    if "pyvenv.cfg" in names:
        return
    by_run: dict[str, list[Path]] = {}
    below: list[Path] = []
    for entry in inside:
        path = Path(entry.path)
        if entry.name.endswith(".wandb") and entry.is_file():
            by_run.setdefault(path.stem, []).append(path)
        elif entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            run_id = segment_folder_run(entry.name)
            file = path / f"run-{run_id}.wandb"
            if run_id is not None and file.is_file():
                by_run.setdefault(file.stem, []).append(file)
            elif entry.name not in _PASSED_OVER:
                below.append(path)
    for files in by_run.values():
        files.sort(key=segment_age)
        path = files[0].parent if segment_folder_run(files[0].parent.name) else files[0]
        yield _found(path, None, RunFiles(path, tuple(files)))
    for path in below if depth else ():
        yield from _walk(path, depth - 1)


def _files_of(folder: Path) -> RunFiles | None:
    """The ``.wandb`` files in a UPS run directory."""
    try:
        return find_runs(folder)[0]
    except RunFileError:
        return None


def _found(path: Path, directory: Path | None, files: RunFiles | None) -> Found:
    named = path.resolve() if directory is not None or files is None else files.files[0].resolve()
    key = blake2b(os.fsencode(named), digest_size=8).hexdigest()
    return Found(key, path, directory, files)
