"""A process's mark that it is alive: a file that it holds locked until it ends, however it ends.

A POSIX record lock belongs to the process, not to the open file: a forked child does not inherit it, the kernel
drops it with the process (also after SIGKILL), and it does not depend on process numbers, which are reused, or
on the clock, which can be set back. It has one trap: closing *any* descriptor of the file in the holding process
drops the lock, so the holder asks its own table, never the file.
"""

import contextlib
import errno
import os
import tempfile
import time
from pathlib import Path

from ups.errors import RunDirectoryError
from ups.tracking.fork_lock import ForkLock

try:
    import fcntl
except ImportError:  # Windows: a lock by region does the same there
    fcntl = None  # type: ignore[assignment]
    import msvcrt

__all__ = ["beat", "beats", "hold", "is_held", "release"]

_held: dict[Path, tuple[int, int]] = {}  # path → (process id, descriptor)
_lock = ForkLock()
_BEAT_LIMIT = 20.0  # seconds
_ATTEMPTS, _PAUSE = 50, 0.01  # someone asking is_held() has the lock for a moment


def hold(path: Path) -> bool:
    """Lock ``path`` for the rest of this process, or until :func:`release`. False if another process holds it.

    Raises:
        RunDirectoryError: The file cannot be created or locked for another reason.
    """
    path = path.resolve()
    with _lock:
        if path in _held and _held[path][0] == os.getpid():
            return False
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            if _try_lock(path, descriptor):
                _held[path] = (os.getpid(), descriptor)
                return True
        os.close(descriptor)
        return False


def is_held(path: Path) -> bool:
    """Whether a living process, this one or another, holds ``path``."""
    path = path.resolve()
    with _lock:
        if path in _held and _held[path][0] == os.getpid():
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RunDirectoryError(f"cannot open {path}: {error.strerror}") from error
        try:
            return not _try_lock(path, descriptor, shared=True)
        finally:
            os.close(descriptor)


def beat(path: Path) -> None:
    """Show on another machine, where locks may not be seen, that the holder of ``path`` lives."""
    with contextlib.suppress(OSError):  # a full or vanished disk is told by those who write to it
        os.utime(path)


def beats(path: Path) -> bool:
    """Whether the holder of ``path`` has shown itself lately, by the clock of the file system."""
    try:
        shown = path.stat().st_mtime
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".clock-") as clock:
            return os.fstat(clock.fileno()).st_mtime - shown < _BEAT_LIMIT
    except OSError:
        return False


def release(path: Path, *, remove: bool = False) -> None:
    """Give ``path`` back, if this process holds it, and ``remove`` it where nobody else will want to hold it."""
    path = path.resolve()
    with _lock:
        process, descriptor = _held.pop(path, (0, -1))
        if process == os.getpid():
            try:
                if remove:
                    with contextlib.suppress(OSError):  # a directory turned read-only: the lock alone tells
                        path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _try_lock(path: Path, descriptor: int, *, shared: bool = False) -> bool:
    """Lock the file, exclusively or, to ask whether somebody else has, ``shared``, which needs no right to write."""
    try:
        if fcntl is not None:
            fcntl.lockf(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise RunDirectoryError(f"cannot lock {path}: {error.strerror}") from error
    return True
