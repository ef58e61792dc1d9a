"""A process's mark that it is alive: a file that it holds locked until it ends, however it ends.

The kernel drops the lock with the process (also after SIGKILL), and it does not depend on process numbers, which are
reused, or on the clock, which can be set back. It is ``flock``, which belongs to the open file. A POSIX record lock
would be dropped as soon as the holding process closes *any* descriptor of the file: as it does when it copies the run's
directory. A forked child shares the open file, so it lets go of what its parent holds. On NFS, Linux turns ``flock``
into a record lock at the server, so on a shared folder other machines see it; there the holder has to ask its own
table, for the file may tell it that nobody holds it.
"""

import contextlib
import errno
import fcntl
import os
import tempfile
import threading
import time
from pathlib import Path

from ups.errors import RunDirectoryError

__all__ = ["beat", "beats", "hold", "is_held", "release"]

_held: dict[Path, int] = {}  # path → descriptor
_lock = threading.RLock()
_BEAT_LIMIT = 20.0  # seconds
_ATTEMPTS, _PAUSE = 50, 0.01  # someone asking is_held() has the lock for a moment


def hold(path: Path) -> bool:
    """Lock ``path`` for the rest of this process, or until :func:`release`. False if another process holds it.

    Raises:
        RunDirectoryError: The file cannot be created or locked for another reason.
    """
    path = path.resolve()
    with _lock:
        if path in _held:
            return False
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            if _try_lock(path, descriptor):
                _held[path] = descriptor
                return True
        os.close(descriptor)
        return False


def is_held(path: Path) -> bool:
    """Whether a living process, this one or another, holds ``path``."""
    path = path.resolve()
    with _lock:
        if path in _held:
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
        descriptor = _held.pop(path, None)
        if descriptor is not None:
            try:
                if remove:
                    with contextlib.suppress(OSError):  # a directory turned read-only: the lock alone tells
                        path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _try_lock(path: Path, descriptor: int, *, shared: bool = False) -> bool:
    """Lock the file, exclusively or, to ask whether somebody else has, ``shared``, which needs no right to write."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise RunDirectoryError(f"cannot lock {path}: {error.strerror}") from error
    return True


def _let_go_in_child() -> None:
    """In a forked child: what the parent holds is the parent's alone."""
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()
    _lock.release()


# Held over a fork, so that no file is open that is not in the table.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_let_go_in_child)
