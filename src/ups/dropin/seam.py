"""The one place that replaces parts of wandb: its service, its login, and the class of its runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import wandb
from wandb.errors import UsageError
from wandb.sdk import wandb_init, wandb_run, wandb_setup
from wandb.sdk.data_types.base_types import wb_value
from wandb.sdk.lib import ipython, module

from ups import errors
from ups.dropin.script_run import is_placed, place_run
from ups.dropin.service import JournalService
from ups.guard.every_run import EveryRun
from ups.guard.guarded_run import guard_run
from ups.guard.spawned import Carrier
from ups.journal.faults import notify
from ups.tracking.mode import resolve_mode
from ups.tracking.recording import Recording, begin_recording, end_recording, recording

__all__ = ["DropIn", "install", "recorded_runs", "without_asking"]

_OF_THE_RUN = (
    *("run", "config", "summary", "log", "define_metric", "save", "watch", "unwatch", "alert", "mark_preempting"),
    *("use_artifact", "log_artifact", "log_model", "use_model", "link_model"),
)
_replaced: list[tuple[Any, str, Any]] = []
_carriers: list[Carrier] = []
_active: DropIn | None = None


class DropIn(EveryRun):
    """The hold on wandb's parts, from :func:`install` to :meth:`release`."""

    def release(self) -> None:
        """Give wandb its own parts back. Runs that are journaled continue as they are."""
        global _active
        _active = None
        recorded = recording()
        if recorded is None:
            _restore()
        else:
            recorded.guarded = False


def install() -> DropIn:
    """Journal every run that ``wandb.init`` makes from here on; return the :class:`DropIn` that exists, if one does."""
    global _active
    if _active is None:
        _active = DropIn()
        recorded = recording()
        if recorded is None:
            _install()
        else:
            recorded.guarded = True
    return _active


@contextmanager
def recorded_runs() -> Iterator[Recording]:
    """Journal the runs of a test as plain wandb would hold them, apart from all that wandb did before.

    Then wandb is as it was. Where the code under test has turned the drop-in on, it stays on.
    """
    outside = {name: getattr(wandb, name) for name in _OF_THE_RUN}
    setup, wandb_setup._singleton = wandb_setup._singleton, None
    module.unset_globals()  # type: ignore[no-untyped-call]
    if _active is None:
        _install()
    recorded = begin_recording(guarded=_active is not None)
    try:
        yield recorded
    finally:
        try:
            _end_runs()
        finally:
            end_recording()
            if _active is None:
                _restore()
            wandb_setup._singleton = setup
            for name, value in outside.items():
                setattr(wandb, name, value)


def _end_runs() -> None:
    """Finish the runs that are still open, and end wandb's threads."""
    setup = wandb_setup._singleton
    if setup is not None:
        for run in list(setup._active_runs):
            run.finish()
        setup._teardown()


def _restore() -> None:
    while _carriers:
        _carriers.pop().release()
    while _replaced:
        holder, name, before = _replaced.pop()
        setattr(holder, name, before)


def _install() -> None:
    setup, init = wandb_setup._WandbSetup, wandb_init._WandbInit
    connect, log_in, begin = setup.ensure_service, init.maybe_login, init.init

    def ensure_service(self: Any) -> JournalService:
        if not isinstance(self._connection, JournalService):
            alone = copy.copy(self)  # connects for itself, with the service that it may have already
            self._connection = JournalService(self._asyncer, lambda: connect(alone), started=bool(alone._connection))
        service: JournalService = self._connection
        return service

    def maybe_log_in(self: Any, init_settings: Any) -> None:
        settings = self._wl.settings.model_copy()
        settings.update_from_settings(init_settings)
        if recording() is not None and not settings._noop:
            init_settings.mode = "offline"
            return None
        if settings._noop or settings._offline or _unsupported(settings):
            return log_in(self, init_settings)
        if not settings.api_key:
            init_settings.mode = resolve_mode(init_settings.mode)
        return None

    def init_run(self: Any, settings: Any, config: Any, run_printer: Any) -> Any:
        from ups.dropin.journaled_run import JournaledRun  # a spawned child may import it, and by it wandb and this

        service = self._wl.ensure_service()
        if _journals(self._wl, settings):
            if service.has(settings.run_id):
                raise UsageError(f"run ID {settings.run_id} is in use: finish that run, or give this one another id")
            service.expect(place_run(settings), settings)
            vars(wandb_init)["Run"] = JournaledRun
            recorded = recording()
            try:
                run = begin(self, settings, config, run_printer)
                if recorded is not None and not recorded.guarded:
                    run.journaled = False
                return run
            finally:
                vars(wandb_init)["Run"] = wandb_run.Run
                service.expect_none()
        previous, reason = self._wl.most_recent_active_run, _unsupported(settings)
        if recording() is not None and not settings._noop and reason is not None:
            raise errors.UsageError(f"a test cannot record this run: {reason}")
        run = begin(self, settings, config, run_printer)
        if reason is not None and run is not previous:
            notify(f"run {run.id} is guarded in this process, and its rows are not journaled: {reason}")
            guard_run(run, from_init=True)
        return run

    def footer(*arguments: Any, **options: Any) -> None:
        settings = options.get("settings")
        if settings is None or not is_placed(settings):
            print_footer(*arguments, **options)

    print_footer = wandb_run.Run._footer
    _replace(setup, "ensure_service", ensure_service)
    _replace(init, "maybe_login", maybe_log_in)
    _replace(init, "init", init_run)
    _replace(wandb_run.Run, "_footer", staticmethod(footer))
    _carriers.append(Carrier("ups.dropin.turn_on:turn_on"))


@contextmanager
def without_asking() -> Iterator[None]:
    """Have media made without a question to the server, for the time of the block.

    wandb 0.26 asks it, where no run of wandb's own is open, whether it knows the ids that clients give to artifacts.
    """
    name = "_server_accepts_client_ids"
    before = vars(wb_value).get(name)
    if before is None:
        yield
        return
    setattr(wb_value, name, lambda: True)
    try:
        yield
    finally:
        setattr(wb_value, name, before)


def _replace(holder: Any, name: str, value: Callable[..., Any] | staticmethod[..., Any]) -> None:
    _replaced.append((holder, name, vars(holder)[name]))
    setattr(holder, name, value)


def _journals(setup: Any, settings: Any) -> bool:
    """True where ``wandb.init`` makes a run that can be journaled."""
    if setup.most_recent_active_run is not None:
        makes_one = settings.reinit in (True, "finish_previous", "create_new")
        if not makes_one and not (settings.reinit == "default" and ipython.in_notebook()):
            return False  # the previous run is returned
    return not settings._noop and _unsupported(settings) is None


def _unsupported(settings: Any) -> str | None:
    """The reason why a run with these settings cannot be journaled; None where it can."""
    if settings._shared:
        return "mode='shared' has several writers that W&B's server orders"
    if settings.sync_tensorboard:
        return "wandb's own process reads TensorBoard's files"
    for name in ("fork_from", "resume_from"):
        if getattr(settings, name):
            return f"{name}= needs W&B's server at once"
    if settings.launch:
        return "it was started by W&B Launch"
    return None
