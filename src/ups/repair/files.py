"""A run's own files, copied beside its repaired records: what lies in the run's folder, and nothing else.

A run may have been made by anyone, and its copy is uploaded: a link in it that leads to a private key must not take
the key along.
"""

import os
import shutil
import stat
from pathlib import Path

from ups.errors import RunFileError
from ups.regular_file import kind_of, open_regular

__all__ = ["copy_files"]


def copy_files(folder: Path, target: Path) -> list[str]:
    """Copy ``files`` of a run's folder to ``target``, which is made.

    A link to a file in the run's folder is copied as that file.

    Returns:
        A line for each file that is left out, with the reason.

    Raises:
        RunFileError: A file cannot be read.
        OSError: One cannot be written.
    """
    target.mkdir(parents=True)
    source, home = folder / "files", folder.resolve()
    if source.is_symlink():
        return [f"{source} is a link: what it leads to is not copied"]
    left_out: list[str] = []
    if not source.is_dir():
        return left_out
    for path, inside, names in os.walk(source, onerror=_cannot_be_read):
        here, there = Path(path), target / Path(path).relative_to(source)
        there.mkdir(exist_ok=True)
        links = [name for name in inside if (here / name).is_symlink()]
        for name in sorted([*names, *links]):
            why = _copy(here / name, there / name, home)
            if why is not None:
                left_out.append(f"{here / name} {why}")
        shutil.copystat(here, there)
    return left_out


def _copy(path: Path, target: Path, home: Path) -> str | None:
    """Copy one file. Returns the reason where it is left out."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a circle of links, before Python 3.13
        return "leads nowhere"
    if not real.is_relative_to(home):
        return f"leads out of the run's folder, to {real}"
    mode = real.stat().st_mode
    if stat.S_ISDIR(mode):
        return "is a link to a folder"
    if not stat.S_ISREG(mode):
        return f"is {kind_of(mode)}"
    try:
        source = open_regular(real)
    except OSError as error:
        _cannot_be_read(error)
        raise
    with source, target.open("xb") as copied:
        shutil.copyfileobj(source, copied)
    shutil.copystat(real, target)
    return None


def _cannot_be_read(error: OSError) -> None:
    raise RunFileError(f"{error.filename} cannot be copied: {error.strerror}") from error
