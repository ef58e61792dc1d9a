"""Answers to the requests that a wandb run makes of its service, given by the training process itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from wandb.proto import wandb_internal_pb2 as pb
from wandb.sdk.mailbox import MailboxHandle

__all__ = ["Answer", "FileAnswer", "Moment"]

_POLL = 0.1  # seconds


class Moment:
    """A moment that threads and coroutines wait for."""

    def __init__(self) -> None:
        self._come = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def set(self) -> None:
        """End all waits for it."""
        with self._lock:
            self._come.set()
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(event.set)

    def wait(self, timeout: float | None) -> bool:
        """Wait for it; False if it has not come within ``timeout`` seconds."""
        return self._come.wait(timeout)

    async def wait_async(self) -> None:
        """Wait for it."""
        event = asyncio.Event()
        with self._lock:
            if self._come.is_set():
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


class Answer(MailboxHandle[Any]):
    """An answer that is there already, or is given at some moment.

    Args:
        asyncer: wandb's thread for asynchronous waits.
        result: The answer.
        ready: When it may be given; None where it may be now.
    """

    def __init__(self, asyncer: Any, result: pb.Result, ready: Moment | None = None) -> None:
        super().__init__(asyncer)
        self._result = result
        self._ready = ready

    def cancel(self, interface: Any = None) -> None:
        """Do nothing: nothing else waits for it."""

    def abandon(self) -> None:
        """Do nothing; an older wandb calls it."""

    def wait_or(self, *, timeout: float | None) -> pb.Result:
        """Wait for the answer.

        Raises:
            TimeoutError: It was not given within ``timeout`` seconds.
        """
        if self._ready is not None and not self._ready.wait(timeout):
            raise TimeoutError
        return self._result

    async def wait_async(self, *, timeout: float | None) -> pb.Result:
        """Wait for the answer; for as long as it takes, since wandb itself ends the waits that it gives up."""
        if self._ready is not None:
            await self._ready.wait_async()
        return self._result


class FileAnswer(MailboxHandle[Any]):
    """An answer that delivery writes into a file.

    Args:
        asyncer: wandb's thread for asynchronous waits.
        path: The file, as protobuf JSON of a ``Result``.
    """

    def __init__(self, asyncer: Any, path: Path) -> None:
        super().__init__(asyncer)
        self._path = path

    def cancel(self, interface: Any = None) -> None:
        """Do nothing: delivery answers all the same."""

    def abandon(self) -> None:
        """Do nothing; an older wandb calls it."""

    def wait_or(self, *, timeout: float | None) -> pb.Result:
        """Wait for the answer.

        Raises:
            TimeoutError: Delivery has not given it within ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (result := self._read()) is None:
            if until is not None and time.monotonic() > until:
                raise TimeoutError
            time.sleep(_POLL)
        return result

    async def wait_async(self, *, timeout: float | None) -> pb.Result:
        """Wait for the answer; for as long as it takes, since wandb itself ends the waits that it gives up."""
        while (result := self._read()) is None:
            await asyncio.sleep(_POLL)
        return result

    def _read(self) -> pb.Result | None:
        try:
            text = self._path.read_text(encoding="utf-8")  # it appears whole
        except FileNotFoundError:
            return None
        return json_format.Parse(text, pb.Result(), ignore_unknown_fields=True)
