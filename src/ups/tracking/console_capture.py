"""The console log: the lines that the training process prints, kept for W&B's Logs tab.

The ``write`` of ``sys.stdout`` and ``sys.stderr`` is wrapped, as by wandb's own ``wrap``. The text still goes where it
went before, and also into a file of the run's directory, which delivery follows.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ups.errors import RunDirectoryError
from ups.journal.fork_lock import ForkLock
from ups.journal.own_descriptor import OwnDescriptor

__all__ = ["ConsoleCapture"]


class ConsoleCapture:
    """Copies everything that this process prints to the end of ``path``, from :meth:`start` to :meth:`stop`.

    ``on_failure`` is called with the error when a write fails; capturing then ends, printing does not.

    Raises:
        RunDirectoryError: The file cannot be created.
    """

    def __init__(self, path: Path, *, on_failure: Callable[[OSError], None]) -> None:
        self._on_failure = on_failure
        self._lock = ForkLock()
        self._wrapped: list[tuple[IO[str], Any, Any]] = []
        try:
            self._file: OwnDescriptor | None = OwnDescriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise RunDirectoryError(f"cannot write the console log {path}: {error.strerror}") from error

    def start(self) -> None:
        """Wrap the streams. One that cannot be wrapped stays as it is."""
        for stream in (sys.stdout, sys.stderr):
            if stream is None:
                continue
            original = stream.write
            wrapper = self._wrapper(original)
            try:
                stream.write = wrapper  # type: ignore[method-assign]
            except AttributeError:
                continue
            self._wrapped.append((stream, original, wrapper))

    def stop(self) -> None:
        """Give the streams their own ``write`` back, unless other code has wrapped them since."""
        for stream, original, wrapper in self._wrapped:
            if stream.write is wrapper:
                stream.write = original  # type: ignore[method-assign]
        self._wrapped.clear()
        with self._lock:
            self._close()

    def _wrapper(self, original: Callable[[str], int]) -> Callable[[str], int]:
        def write(text: str) -> int:
            written = original(text)
            if self._file is not None and isinstance(text, str):
                self.keep(text)
            return written

        return write

    def keep(self, text: str) -> None:
        """Append ``text`` to the file."""
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.ensure()
                os.write(self._file.number, text.encode("utf-8", "replace"))
                return
            except OSError as error:
                failure = error
            self._close()
        self._on_failure(failure)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
