"""Small files that a power cut leaves whole: each is on the disk, under its name, when the call returns.

A rename alone orders names, not contents: a file system may keep the new name and lose what was written under it. So
the content is synced before the rename and the folder after it.
"""

import contextlib
import os
from pathlib import Path

__all__ = ["sync_file", "sync_folder", "write_atomically", "write_new"]


def write_atomically(path: Path, text: str, *, sync: bool = True) -> None:
    """Replace ``path`` by ``text`` so that a reader finds the old content or the new, never a part.

    Args:
        sync: Whether a power cut must find one of them too; without it the file may be empty after one.

    Raises:
        OSError: The file cannot be written; the old content stands.
    """
    temporary = _write_temporary(path, text, sync=sync)
    temporary.replace(path)
    if sync:
        sync_folder(path.parent)


def write_new(path: Path, text: str) -> bool:
    """Write ``path`` as a whole, on the disk; False if it is there already.

    Raises:
        OSError: The file cannot be written.
    """
    temporary = _write_temporary(path, text, sync=True)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


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


def _write_temporary(path: Path, text: str, *, sync: bool) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # a stranger's link of that name is not followed
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - an open descriptor
        file.write(text)
        if sync:
            file.flush()
            os.fsync(descriptor)
    return temporary
