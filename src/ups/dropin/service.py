"""The service that wandb's client talks to, with journals in the place of wandb's own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from wandb.proto.wandb_settings_pb2 import Settings

from ups.dropin.interface import JournalInterface
from ups.dropin.script_run import begin_run, join_run
from ups.journal.run_directory import RunDirectory

__all__ = ["JournalService"]


class _Announced(NamedTuple):
    """A run that wandb has announced in this process, or in the one that it was forked from."""

    settings: Any
    interface: JournalInterface


_announced: dict[str, _Announced] = {}


def _asks_for_interfaces() -> bool:
    """True for wandb before 0.26, whose service makes the interface of a run apart from announcing it."""
    from wandb.sdk.lib.service.service_connection import ServiceConnection

    return hasattr(ServiceConnection, "make_interface")


class JournalService:
    """Stands in for wandb's ``ServiceConnection``. wandb's own one is started only for what needs a server at once.

    Args:
        asyncer: wandb's thread for asynchronous waits.
        connect: Connects to wandb's own service, which it starts where there is none.
        started: Whether there is one: a run from before uses it.
    """

    owns_service = True

    def __init__(self, asyncer: Any, connect: Callable[[], Any], *, started: bool = False) -> None:
        self._asyncer = asyncer
        self._connect = connect
        self._own: Any = connect() if started else None
        self._expected: tuple[RunDirectory, Any] | None = None
        self._runs: set[str] = set()  # announced by this service, not by one that stood here before a test

    def expect(self, directory: RunDirectory, settings: Any) -> None:
        """Journal the run that wandb announces next, which has these settings, in a directory."""
        self._expected = directory, settings

    def expect_none(self) -> None:
        """Leave runs to wandb's own service again."""
        self._expected = None

    def inform_init(self, settings: Any, run_id: str) -> Any:
        """The interface of a new run."""
        expected, self._expected = self._expected, None
        if expected is None:
            return self.own.inform_init(settings, run_id)

        def begin(record: Any) -> Any:
            try:
                return begin_run(*expected, record)
            except BaseException:
                self.inform_finish(run_id)  # it did not begin
                raise

        interface = JournalInterface(self._asyncer, begin)
        interface.finish_timeout = getattr(expected[1], "finish_timeout", 0.0) or None  # since wandb 0.27
        self._announce(run_id, _Announced(settings, interface))
        return interface

    def has(self, run_id: str) -> bool:
        """True while a journaled run with this id is open in this process."""
        return run_id in _announced

    def make_interface(self, stream_id: str) -> Any:
        """The interface of a run that is announced, for a wandb which asks for it apart."""
        announced = _announced.get(stream_id)
        return self.own.make_interface(stream_id) if announced is None else announced.interface

    def inform_attach(self, attach_id: str) -> Any:
        """The settings and the interface of a run of the process that started this one.

        A wandb that asks for the interface apart gets the settings alone.
        A forked child has its parent's run, and a journal of its own. A spawned one joins it by its directory.
        """
        announced = _announced.get(attach_id)
        if announced is not None and announced.interface.context is not None:
            settings = announced.settings
            interface = JournalInterface(self._asyncer, context=announced.interface.context)
            interface.continue_from(announced.interface)
        elif (context := join_run(attach_id)) is not None:
            settings = Settings()
            settings.mode.value = "online" if context.mode == "online" else "offline"  # wandb has no local mode
            interface = JournalInterface(self._asyncer, context=context)
        else:
            return self.own.inform_attach(attach_id)
        self._announce(attach_id, _Announced(settings, interface))
        return settings if _asks_for_interfaces() else (settings, interface)

    def _announce(self, run_id: str, announced: _Announced) -> None:
        _announced[run_id] = announced
        self._runs.add(run_id)

    def inform_finish(self, run_id: str) -> None:
        """Forget a run."""
        if _announced.pop(run_id, None) is None and self._own is not None:
            self._own.inform_finish(run_id)

    def teardown(self, exit_code: int) -> int | None:
        """End the runs that are open, and wandb's own service where it was started."""
        for run_id in self._runs & _announced.keys():
            _announced.pop(run_id).interface.end(exit_code)
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
