"""Folders → the runs below them, found but not read."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ups.errors import UsageError
from ups.runfile import RunFiles
from ups.runfile.locate import runs_below

__all__ = ["Found", "check_path", "find_below"]


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
        # What cannot be read is gone meanwhile, or not ours to show.
        runs = [RunFiles(path, (path,))] if path.is_file() else runs_below(path.resolve())[0]
        for each in map(_found, runs):
            found.setdefault(each.key, each)
    return list(found.values())


def _found(run: RunFiles) -> Found:
    directory = run.description.parent if run.description is not None else None
    named = (directory or run.files[0]).resolve()
    key = blake2b(os.fsencode(named), digest_size=8).hexdigest()
    return Found(key, directory or run.path, directory, run if run.files else None)
