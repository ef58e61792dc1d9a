"""Hooks for a process that ends or forks with runs that it has not finished."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, NoReturn

from ups.errors import UPSError
from ups.journal.faults import notify
from ups.tracking.recorder import Recorder
from ups.tracking.recording import recording

__all__ = ["exit_code_of", "register", "still_open", "unregister"]

_open: weakref.WeakSet[Recorder] = weakref.WeakSet()
_uncaught: BaseException | None = None
_hooked = _at_fork = False


def register(context: Recorder) -> None:
    """Finish ``context`` when the process ends, unless it is finished by then.

    A test that records finishes its runs itself, and the process's hooks stay as they are.
    """
    global _at_fork, _hooked, _uncaught
    _uncaught = None  # an earlier exit was caught
    _open.add(context)
    if not _at_fork and hasattr(os, "register_at_fork"):
        _at_fork = True
        os.register_at_fork(after_in_child=_after_fork)
    if not _hooked and recording() is None:
        _hooked = True
        _note_uncaught()
        _note_handlers()
        atexit.register(_finish_all)


def unregister(context: Recorder) -> None:
    """Forget ``context``: it is being finished."""
    _open.discard(context)


def still_open() -> list[Recorder]:
    """This process's contexts that are not finished."""
    return list(_open)


def exit_code_of(error: BaseException | None) -> int:
    """The exit code of a process that ends with ``error``: 130 for Ctrl-C, as shells have it."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 1


def _finish_all() -> None:
    for context in still_open():
        try:
            context.finish(exit_code_of(_uncaught))
        except UPSError as error:  # of a strict run; the other runs are finished too
            notify(str(error))
        except KeyboardInterrupt:  # Ctrl-C while it waited, which has reported the rest
            continue


def _after_fork() -> None:
    for context in _open:
        context.reopen_after_fork()


def _note_uncaught() -> None:
    """Note the exception that ends the process: the hook that prints it sees it, but ``SystemExit`` only its raiser."""
    before, leave = sys.excepthook, sys.exit

    def exit_noted(status: Any = None, /) -> NoReturn:
        global _uncaught
        _uncaught = SystemExit(status)
        leave(status)

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        global _uncaught
        _uncaught = error
        before(kind, error, traceback)

    sys.excepthook = hook
    sys.exit = exit_noted


class _Noting:
    """A signal's handler that notes with which exit it ends the process."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        global _uncaught
        try:
            return self.handler(number, frame)
        except SystemExit as error:
            _uncaught = error
            raise


def _note_handlers() -> None:
    """Wrap the signals' handlers, so that they note a ``raise SystemExit``, which passes no hook.

    ``signal.getsignal`` still returns the handler that was set.
    """
    install, ask = signal.signal, signal.getsignal

    def noting(handler: Any) -> Any:
        left = isinstance(handler, _Noting) or not callable(handler) or handler is signal.default_int_handler
        return handler if left else _Noting(handler)

    def given(handler: Any) -> Any:
        return handler.handler if isinstance(handler, _Noting) else handler

    def signal_noted(signalnum: int, handler: Any) -> Any:
        return given(install(signalnum, noting(handler)))

    def getsignal_noted(signalnum: int) -> Any:
        return given(ask(signalnum))

    if threading.current_thread() is threading.main_thread():
        for number in signal.valid_signals():
            if (handler := ask(number)) is not noting(handler):
                install(number, noting(handler))
    signal.signal = signal_noted
    signal.getsignal = getsignal_noted
