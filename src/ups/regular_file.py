"""Files of a run, opened for reading: only regular files.

Anyone may have written a run's directory. A reader of a named pipe in it would wait for ever, and a device has no end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ups.errors import RunFileError, UPSError

__all__ = ["kind_of", "open_regular", "read_below"]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str], *, error: type[UPSError] = RunFileError) -> BinaryIO:
    """Open a regular file, or the regular file that a link leads to, and read it as bytes.

    Raises:
        UPSError: It is not a regular file. The exception is of the class ``error``.
        OSError: It cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise error(f"{path} cannot be read: it is {kind_of(mode)}, not a regular file")
    return os.fdopen(number, "rb")


def read_below(home: Path, path: Path, most: int) -> bytes | None:
    """Read the first bytes of a regular file below ``home``; None for any other kind.

    No link is followed, also none that is made at the same time.

    Raises:
        OSError: It cannot be read.
    """
    with os.fdopen(_open_below(home, path), "rb") as file:
        return file.read(most) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None


def kind_of(mode: int) -> str:
    """The kind of a file that is not regular, for a sentence."""
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def _open_below(home: Path, path: Path) -> int:
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        *between, name = path.relative_to(home).parts
        for each in between:
            inner = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
