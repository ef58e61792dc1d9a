"""A process's mark that it is alive: a file that it holds locked until it ends, however it ends.

The kernel drops the lock with the process (also after SIGKILL), and it does not depend on process numbers, which are
reused, or on the clock, which can be set back. It is ``flock``, which belongs to the open file. A POSIX record lock
would be dropped as soon as the holding process closes *any* descriptor of the file: as it does when it copies the run's
directory. A forked child shares the open file, so it lets go of what its parent holds. On NFS, Linux turns ``flock``
into a record lock at the server, so on a shared folder other machines see it; there the holder has to ask its own
table, for the file may tell it that nobody holds it.

Who may open a file may lock it, so a mark is its owner's alone (mode 0600): nobody else can hold a run up. Another user
goes by the time at which the mark was last shown.
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
_ATTEMPTS, _PAUSE = 50, 0.01  # someone asking is_held() has the lock for a moment


def hold(path: Path) -> bool:
    """Lock ``path`` for the rest of this process, or until :func:`release`. False if another process holds it.

    Raises:
        RunDirectoryError: The file cannot be created or locked for another reason.
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
    """Whether a living process, this one or another, holds ``path``."""
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
    """Show that the holder of ``path`` lives, also to another machine, where the lock may not be seen.

    Holds it again where the process's own code has closed its descriptor, and the lock with it.
    """
    path = _place(path)
    with _lock, contextlib.suppress(OSError):  # a full or vanished disk is told by those who write to it
        held = _held.get(path)
        if held is not None and held.ensure():
            _try_lock(path, held.number)
        os.utime(path)


def beats(path: Path) -> bool:
    """True where the holder of ``path`` has shown itself lately, by the clock of the file system if it can be asked."""
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
    """Give ``path`` back, if this process holds it, and ``remove`` it where nobody else will want to hold it."""
    path = _place(path)
    with _lock:
        descriptor = _held.pop(path, None)
        if descriptor is not None:
            try:
                if remove:
                    with contextlib.suppress(OSError):  # a directory turned read-only: the lock alone tells
                        path.unlink(missing_ok=True)
            finally:
                descriptor.close()


def _place(path: Path) -> Path:
    """The one name of a mark in this process. A mark is never a link: another's file would be locked."""
    return Path(os.path.realpath(path.parent)) / path.name  # Path.resolve raises where links lead in a circle


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
        descriptor.close()
    _held.clear()
    _lock.release()


# Held over a fork, so that no file is open that is not in the table.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_let_go_in_child)
