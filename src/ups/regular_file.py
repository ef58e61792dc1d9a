"""Files of a run, opened to be read: regular ones only.

A run's directory may be anybody's. A named pipe in it would keep its reader waiting for ever, and a device would have
no end.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ups.errors import RunFileError, UPSError

__all__ = ["kind_of", "open_below", "open_regular"]

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: str | os.PathLike[str], *, error: type[UPSError] = RunFileError) -> BinaryIO:
    """Open a regular file, or the one to which a link leads, to read its bytes.

    Args:
        error: Raised where it is not a regular file.

    Raises:
        UPSError: It is not a regular file; of the class ``error``.
        OSError: It cannot be opened.
    """
    # Without O_NONBLOCK, a pipe that nobody writes to is not even opened.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise error(f"{path} cannot be read: it is {kind_of(mode)}, not a regular file")
    return os.fdopen(number, "rb")


def open_below(home: Path, path: Path) -> int:
    """A descriptor of what lies at ``path`` below ``home``; no link is followed, also none that is put there meanwhile.

    It does not wait for a pipe's other end.

    Raises:
        OSError: it cannot be opened.
    """
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


def kind_of(mode: int) -> str:
    """The kind of a file that is not a regular one, as in a sentence."""
    return _KINDS.get(stat.S_IFMT(mode), "something else")
