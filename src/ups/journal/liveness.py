"""A process's mark that it is alive: a file that it holds locked until it ends, however it ends.

The kernel drops the lock with the process (also after SIGKILL). It depends neither on process numbers, which are
reused, nor on the clock, which can be set back. The lock is ``flock``, which belongs to the open file. A POSIX record
lock would be dropped as soon as the process closes *any* descriptor of the file, as when it copies the run's directory.
A forked child shares the open file, so it closes the marks of its parent. On NFS, Linux turns ``flock`` into a record
lock at the server, so other machines on a shared folder see it; the holder itself looks into its own table, since the
server may report its lock as free.

Every user who may open a file may lock it. So a mark is its owner's alone (mode 0600), and no other user can hold a run
up. For other users a mark is as alive as its time of modification is new.
"""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import threading
import time
from pathlib import Path

from ups.errors import RunDirectoryError
from ups.journal.own_descriptor import OwnDescriptor

__all__ = ["BEAT_LIMIT", "beats", "hold", "is_held", "keep", "release"]

_held: dict[Path, OwnDescriptor] = {}
_lock = threading.RLock()
BEAT_LIMIT = 20.0  # seconds
_ATTEMPTS, _PAUSE = 50, 0.01  # another process that calls is_held() has the lock for a moment


def hold(path: Path) -> bool:
    """Lock ``path`` for the rest of this process, or until :func:`release`. False if another process holds it.

    Raises:
        RunDirectoryError: The file cannot be created or locked.
    """
    path = _place(path)
    with _lock:
        if path in _held:
            return False
        try:
            descriptor = OwnDescriptor(path, os.O_RDWR | os.O_CREAT, 0o600)
            if stat.S_IMODE(os.fstat(descriptor.number).st_mode) != 0o600:
                with contextlib.suppress(PermissionError):  # another user's, on a folder that both write to
                    os.fchmod(descriptor.number, 0o600)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {path}: {error.strerror}") from error
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            if _try_lock(path, descriptor.number):
                _held[path] = descriptor
                return True
        descriptor.close()
        return False


def is_held(path: Path) -> bool:
    """True where a living process, this one or another, holds ``path``."""
    path = _place(path)
    with _lock:
        if path in _held:
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        except PermissionError:
            return beats(path)
        except OSError as error:
            raise RunDirectoryError(f"cannot open {path}: {error.strerror}") from error
        try:
            return not _try_lock(path, descriptor, shared=True)
        finally:
            os.close(descriptor)


def keep(path: Path) -> None:
    """Show that the holder of ``path`` lives, also to other machines, which may not see the lock.

    Locks it again where the process's own code has closed its descriptor, and the lock with it.
    """
    path = _place(path)
    with _lock, contextlib.suppress(OSError):  # a full or vanished disk is reported by the code that writes to it
        held = _held.get(path)
        if held is not None and held.ensure():
            _try_lock(path, held.number)
        os.utime(path)


def beats(path: Path) -> bool:
    """True where the holder of ``path`` has shown itself lately, by the file system's clock if that can be read."""
    try:
        shown = path.stat().st_mtime
    except OSError:
        return False
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".clock-") as clock:
            now = os.fstat(clock.fileno()).st_mtime
    except OSError:
        now = time.time()
    return now - shown < BEAT_LIMIT


def release(path: Path, *, remove: bool = False) -> None:
    """Let go of ``path``, if this process holds it, and ``remove`` it where no process will hold it again."""
    path = _place(path)
    with _lock:
        descriptor = _held.pop(path, None)
        if descriptor is not None:
            try:
                if remove:
                    with contextlib.suppress(OSError):  # a directory turned read-only: the mark is free all the same
                        path.unlink(missing_ok=True)
            finally:
                descriptor.close()


def _place(path: Path) -> Path:
    """The one name of a mark in this process. A mark is never a link, which could have any file locked."""
    return Path(os.path.realpath(path.parent)) / path.name  # Path.resolve raises where links lead in a circle


def _try_lock(path: Path, descriptor: int, *, shared: bool = False) -> bool:
    """Lock the file: exclusively, or ``shared`` to find out if another has, which needs no right to write."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        raise RunDirectoryError(f"cannot lock {path}: {error.strerror}") from error
    return True


def _let_go_in_child() -> None:
    """Close the parent's marks, in a forked child: they stay the parent's."""
    for descriptor in _held.values():
        descriptor.close()
    _held.clear()
    _lock.release()


# Held over a fork, so that no file is open that is not in the table.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_let_go_in_child)
