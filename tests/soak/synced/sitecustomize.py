"""Keeps a record of what a process has synced, for :class:`soak.disks.SimulatedDisk`.

Python imports this module at its start where the folder is on ``PYTHONPATH``. A file that was synced gets a second
name in the record's folder, so that its number is not given to another file and its content stays to be found.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Protocol

__all__: list[str] = []


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


def _recorded(sync: Callable[[int], None], folder: str) -> Callable[[int | _HasFileno], None]:
    """``sync``, which notes what was there before it, once that is on the disk."""

    def recorded(file: int | _HasFileno) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        found = os.fstat(descriptor)
        if found.st_dev != os.stat(folder).st_dev:  # noqa: PTH116 - another disk than the one to be cut
            sync(descriptor)
            return
        entry: dict[str, object] = {"inode": found.st_ino, "size": found.st_size}
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(descriptor) as entries:
                entry = {"inode": found.st_ino, "names": {each.name: each.inode() for each in entries}}
        sync(descriptor)
        if stat.S_ISREG(found.st_mode):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.link(_path(descriptor), os.path.join(folder, str(found.st_ino)))  # noqa: PTH118
        _append(os.path.join(folder, "record"), entry)  # noqa: PTH118

    return recorded


def _path(descriptor: int) -> str:
    if sys.platform == "darwin":
        return fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115


def _append(path: str, entry: dict[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, json.dumps(entry).encode() + b"\n")
    finally:
        os.close(descriptor)


if "POWER_CUT_RECORD" in os.environ:
    vars(os)["fsync"] = _recorded(os.fsync, os.environ["POWER_CUT_RECORD"])
    if sys.platform != "darwin":
        vars(os)["fdatasync"] = _recorded(os.fdatasync, os.environ["POWER_CUT_RECORD"])
