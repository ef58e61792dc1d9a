"""A ``wandb.Run`` whose calls are journaled."""

from __future__ import annotations

import os
import time
from typing import Any

import orjson
from wandb.sdk.wandb_run import Run

from ups.dropin.interface import JournalInterface
from ups.dropin.script_run import FILES

__all__ = ["JournaledRun"]

_PLAIN = (float, int)
_WAIT = 10.0  # seconds for an answer of delivery


class JournaledRun(Run):
    """A run of the drop-in: a ``wandb.Run`` for everyone who asks.

    In a child process a run that was pickled or forked attaches to the journal at its first call, as wandb's own does.
    ``log`` has a quick way for rows of plain numbers; all else goes through wandb's own code.
    """

    _attach_pid = -1  # until it is attached
    _interface: Any = None

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log a row, as ``wandb.Run.log`` does: the same arguments, the same errors."""
        interface = self._interface
        if (
            type(data) is dict
            and self._attach_pid == os.getpid()
            and not self._is_finished
            and type(interface) is JournalInterface
            and (step is None or type(step) is int)
            and (commit is None or type(commit) is bool)
        ):
            for name, value in data.items():
                if type(name) is not str or type(value) not in _PLAIN:
                    break
            else:
                content: dict[str, Any] = {"time": time.time(), "log": data}
                if step is not None:
                    content["step"] = step
                if commit is not None:
                    content["commit"] = commit
                try:
                    line = orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)
                except TypeError:  # an integer beyond 64 bits, half a surrogate pair
                    line = b"null"
                if b"null" not in line:  # orjson writes NaN and the infinities so
                    interface.append(line)
                    interface.state.log(data, step, commit, content["time"])
                    if step is not None and step > self._local_step:
                        self._local_step = step
                    if commit or (step is None and commit is None):
                        self._local_step += 1
                    return
        super().log(data, step, commit)

    @property
    def url(self) -> str | None:
        """The address of the run's page; None offline, and where delivery has not reached the server in time."""
        return self._await_url()

    def _await_url(self) -> str | None:
        interface = self._interface
        if not isinstance(interface, JournalInterface) or interface.context is None or self._settings._offline:
            return None
        until = time.monotonic() + _WAIT
        while (url := interface.context.url) is None and time.monotonic() < until:
            time.sleep(0.05)
        return url

    def _set_backend(self, backend: Any) -> None:
        super()._set_backend(backend)
        if isinstance(backend, JournalInterface) and backend.context is not None:  # attached in a child process
            self._settings.root_dir = str(backend.context.dir)
            self._settings.x_files_dir = str(backend.context.dir / FILES)

    def _redirect(self, *arguments: Any, **options: Any) -> None:
        """Leave the console alone: UPS copies what the process prints."""

    def _header(self) -> None:
        """Print nothing: UPS prints where the run is."""
