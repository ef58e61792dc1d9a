"""Files that are written whole or not at all, also in a power cut.

A rename alone orders names, not contents: a file system may keep the new name and lose the content. So the content is
synced before the rename, and the folder after it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ups.errors import UsageError

__all__ = [
    "new_file",
    "sync_file",
    "sync_folder",
    "sync_open",
    "unsynced",
    "whole_file",
    "write_atomically",
    "write_new",
]

_syncs = True


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Leave all syncs out while this is open: for files that need not outlive a power cut."""
    global _syncs
    before, _syncs = _syncs, False
    try:
        yield
    finally:
        _syncs = before


def write_atomically(path: Path, text: str, *, sync: bool = True) -> None:
    """Replace the content of ``path`` by ``text``; a reader finds the old or the new content, never a part.

    Without ``sync``, the file may be empty after a power cut.

    Raises:
        OSError: The file cannot be written; the old content stays.
    """
    with whole_file(path, sync=sync) as file:
        file.write(text.encode())


def write_new(path: Path, text: str) -> bool:
    """Write the whole of ``path`` and sync it to the disk; return False if the file already exists.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        with whole_file(path, _link) as file:
            file.write(text.encode())
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that gets its name once all of it is on the disk, and that is removed if it cannot be written.

    Raises:
        UsageError: A file of that name exists, or the file cannot be written.
    """
    path = Path(path)
    exists = f"{path} exists already: name a new file"
    if os.path.lexists(path):
        raise UsageError(exists)
    try:
        with whole_file(path, _link) as file:
            yield file
    except FileExistsError as error:
        raise UsageError(exists) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def sync_open(descriptor: int) -> None:
    """Sync the content of an open file to the disk.

    Raises:
        OSError: The disk reports an error.
    """
    if _syncs:
        os.fsync(descriptor)


def sync_file(path: Path) -> None:
    """Sync the content of ``path`` to the disk, also if another process wrote it.

    Raises:
        OSError: The disk reports an error.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        sync_open(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync the names in ``folder`` to the disk, if its file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot sync a folder: they keep the order
            sync_open(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(
    path: Path, place: Callable[[Path, Path], object] = Path.replace, *, sync: bool = True
) -> Iterator[BinaryIO]:
    """Open a file beside ``path``; once all of it is written, ``place`` gives it that name."""
    temporary = path.with_name(f".{os.getpid()}-{path.name[:200]}")
    temporary.unlink(missing_ok=True)  # do not follow a stranger's link of that name
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
    """Name a file.

    Raises:
        FileExistsError: Another file has that name.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # the file system has no links
        temporary.replace(path)
