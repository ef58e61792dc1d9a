"""Faults that a test switches on while clients are talking to the server."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal

Route = Literal["graphql", "file_stream", "upload", "telemetry", "all"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the matching requests.

    `delay` waits first, alone or together with the others. Of those, the first that is set: `hang` does not
    answer until the fault is cleared or over, and then answers as usual; `drop` closes the connection without
    an answer; `status` answers that status. A request that is dropped or refused has no effect, unless
    `lost_answer` is set: then it is carried out, and only its answer is lost.
    """

    status: int | None = None
    delay: float = 0.0
    hang: bool = False
    drop: bool = False
    lost_answer: bool = False
    match: Route = "all"
    operation: str | None = None
    """A GraphQL operation; None means every one."""
    seconds: float | None = None
    """How long the fault lasts; None means until it is cleared."""
    requests: int | None = None
    """How many requests it strikes; None means every one."""

    def strikes(self, route: Route, operation: str | None) -> bool:
        return self.match in ("all", route) and self.operation in (None, operation)


class FaultSwitch:
    """The one fault that is on, if any, and how much of it is left."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._fault: Fault | None = None
        self._until: float | None = None
        self._left: int | None = None
        self._version = 0
        self.struck = 0
        """How many requests the present fault has struck."""

    @property
    def fault(self) -> Fault | None:
        with self._changed:
            return self._fault

    def set(self, fault: Fault | None) -> None:
        """Replace the fault, and release every request that is held back by the old one."""
        with self._changed:
            self._fault = fault
            self.struck = 0
            self._left = fault.requests if fault else None
            lasts = fault.seconds if fault else None
            self._until = time.monotonic() + lasts if lasts is not None else None
            self.release()

    def release(self) -> None:
        """Let go of every request that is held back; the fault stays."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def take(self, route: Route, operation: str | None) -> Fault | None:
        """The fault that strikes this request, if one does; uses up one of its requests."""
        with self._changed:
            fault = self._fault
            if fault is None or not fault.strikes(route, operation):
                return None
            if self._left == 0 or (self._until is not None and time.monotonic() >= self._until):
                return None
            if self._left is not None:
                self._left -= 1
            self.struck += 1
            return fault

    def wait(self, fault: Fault) -> None:
        """Hold a request back: for the fault's delay, and if it hangs, until it is cleared or over."""
        with self._changed:
            version = self._version
            if fault.delay:
                self._changed.wait_for(lambda: self._version != version, fault.delay)
            if fault.hang:
                left = None if self._until is None else max(0.0, self._until - time.monotonic())
                self._changed.wait_for(lambda: self._version != version, left)
