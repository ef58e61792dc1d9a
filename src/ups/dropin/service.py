"""The service that wandb's client talks to, with journals in the place of wandb's own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ups.dropin.interface import JournalInterface
from ups.dropin.script_run import begin_run

__all__ = ["JournalService"]


class JournalService:
    """Stands in for wandb's ``ServiceConnection``. wandb's own one is started only for what needs a server at once.

    Args:
        asyncer: wandb's thread for asynchronous waits.
        connect: Starts wandb's own service, and connects to it.
    """

    owns_service = True

    def __init__(self, asyncer: Any, connect: Callable[[], Any]) -> None:
        self._asyncer = asyncer
        self._connect = connect
        self._own: Any = None
        self._settings: Any = None
        self._interfaces: dict[str, tuple[Any, JournalInterface]] = {}

    def expect(self, settings: Any) -> None:
        """Journal the run that wandb announces next, which has these settings."""
        self._settings = settings

    def inform_init(self, settings: Any, run_id: str) -> Any:
        """The interface of a new run."""
        expected, self._settings = self._settings, None
        if expected is None:
            return self.own.inform_init(settings, run_id)
        interface = JournalInterface(self._asyncer, lambda record: begin_run(expected, record))
        self._interfaces[run_id] = (settings, interface)
        return interface

    def inform_attach(self, attach_id: str) -> tuple[Any, Any]:
        """The settings and the interface of a run that this process was forked with."""
        if attach_id not in self._interfaces:
            attached: tuple[Any, Any] = self.own.inform_attach(attach_id)
            return attached
        return self._interfaces[attach_id]

    def inform_finish(self, run_id: str) -> None:
        """Forget a run."""
        if self._interfaces.pop(run_id, None) is None and self._own is not None:
            self._own.inform_finish(run_id)

    def teardown(self, exit_code: int) -> int | None:
        """End the runs that are open, and wandb's own service where it was started."""
        for _, interface in list(self._interfaces.values()):
            interface.end(exit_code)
        self._interfaces.clear()
        if self._own is None:
            return None
        code: int | None = self._own.teardown(exit_code)
        return code

    @property
    def own(self) -> Any:
        """wandb's own service, started when it is first asked for."""
        if self._own is None:
            self._own = self._connect()
        return self._own

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.own, name)
