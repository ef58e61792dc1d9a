"""Files that are written whole or not at all, also where the power fails.

A rename alone orders names, not contents: a file system may keep the new name and lose what was written under it. So
the content is synced before the rename and the folder after it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ups.errors import UsageError

__all__ = ["new_file", "sync_file", "sync_folder", "write_atomically", "write_new"]


def write_atomically(path: Path, text: str, *, sync: bool = True) -> None:
    """Replace ``path`` by ``text`` so that a reader finds the old content or the new, never a part.

    Args:
        sync: Whether a power cut must find one of them too; without it the file may be empty after one.

    Raises:
        OSError: The file cannot be written; the old content stands.
    """
    with _whole(path, Path.replace, sync=sync) as file:
        file.write(text.encode())


def write_new(path: Path, text: str) -> bool:
    """Write ``path`` as a whole, on the disk; False if it is there already.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        with _whole(path, _link, sync=True) as file:
            file.write(text.encode())
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to that gets its name once all of it is on the disk; if it cannot be written, nothing is left.

    Raises:
        UsageError: There is one of that name, or it cannot be written.
    """
    path = Path(path)
    exists = f"{path} exists already: name a new file"
    if os.path.lexists(path):
        raise UsageError(exists)
    try:
        with _whole(path, _link, sync=True) as file:
            yield file
    except FileExistsError as error:
        raise UsageError(exists) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def sync_file(path: Path) -> None:
    """Put the content of ``path`` on the disk, whoever wrote it.

    Raises:
        OSError: The disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put the names in ``folder`` on the disk, where its file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems sync no folder: they order by themselves
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _whole(path: Path, place: Callable[[Path, Path], object], *, sync: bool) -> Iterator[BinaryIO]:
    """A file beside ``path`` that gets that name, by ``place``, once all of it is written."""
    temporary = path.with_name(f".{os.getpid()}-{path.name[:200]}")
    temporary.unlink(missing_ok=True)  # a stranger's link of that name is not followed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor
            yield file
            if not file.closed:
                file.flush()
            if sync:
                sync_file(temporary)
        place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if sync:
        sync_folder(path.parent)


def _link(temporary: Path, path: Path) -> None:
    """Give a file a name that none has.

    Raises:
        FileExistsError: One has it.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        temporary.replace(path)
