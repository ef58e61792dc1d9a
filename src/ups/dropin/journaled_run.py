"""A ``wandb.Run`` whose calls are journaled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from wandb.errors import CommError
from wandb.sdk.lib.filenames import exclude_wandb_fn
from wandb.sdk.wandb_run import Run

from ups.dropin.interface import JournalInterface
from ups.dropin.script_run import opened
from ups.journal.run_directory import RunDirectory
from ups.tracking.context import WandBContext

if TYPE_CHECKING:
    from wandb.sdk.artifacts.artifact import Artifact

__all__ = ["JournaledRun"]

_PLAIN = (float, int)
_COUNTER = "_local_step" if "_local_step" in Run._log.__code__.co_names else "_step"  # wandb's count of the rows
_WAIT = 10.0  # seconds for delivery to open the run


class _AskedLater:
    """Stands for W&B's public API, or a part of it, which is made when it is first used: it asks the server then."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def _set_artifact_save_handle(self, artifact: Artifact, handle: Any) -> None:
        artifact._set_save_handle(handle, self._service_api)

    @property
    def _service_api(self) -> Any:
        return _AskedLater(lambda: self._make()._service_api)

    @property
    def client(self) -> Any:
        """As wandb before 0.28 or so calls it."""
        return _AskedLater(lambda: self._make().client)

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


class JournaledRun(Run):
    """A run of the drop-in: a ``wandb.Run`` for everyone who asks.

    In a child process a run that was pickled or forked attaches to the journal at its first call, as wandb's own does.
    ``log`` has a quick way for rows of plain numbers; all else goes through wandb's own code.
    """

    journaled = True  # a guard in this process would decide a second time
    _attach_pid = -1  # until it is attached
    _interface: Any = None
    _is_logging_artifact = False

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
                    counts = self.__dict__
                    if step is not None and step > counts[_COUNTER]:
                        counts[_COUNTER] = step
                    if commit or (step is None and commit is None):
                        counts[_COUNTER] += 1
                    return
        super().log(data, step, commit)

    def log_code(
        self,
        root: str | None = ".",
        name: str | None = None,
        include_fn: Callable[..., bool] | None = None,
        exclude_fn: Callable[..., bool] | None = None,
    ) -> Artifact | None:
        """Log code as ``wandb.Run.log_code`` does, without the files in ``ups-runs``, as without those in ``wandb``."""
        excluded: Callable[..., bool] = exclude_fn if exclude_fn is not None else exclude_wandb_fn
        context = self._context

        def exclude(path: str, root: str) -> bool:
            if context is not None and Path(path).is_relative_to(context.dir.parent):
                return True
            return excluded(path, root) if len(signature(excluded).parameters) == 2 else excluded(path)

        included = {} if include_fn is None else {"include_fn": include_fn}
        return super().log_code(root, name, exclude_fn=exclude, **included)

    @property
    def name(self) -> str | None:
        """The name of the run; the server gives it one where the script does not."""
        if self._settings.run_name is None:
            self._learn()
        return super().name

    @name.setter
    def name(self, name: str) -> None:
        Run.name.fset(self, name)  # type: ignore[attr-defined]

    @property
    def entity(self) -> str:
        """The entity that the run is in; empty offline, where none was given."""
        if not self._settings.entity:
            self._learn()
        return super().entity

    @property
    def url(self) -> str | None:
        """The address of the run's page; None offline."""
        self._learn()
        return super().url

    @property
    def project_url(self) -> str | None:
        """The address of the project's page; None offline."""
        self._learn()
        return super().project_url

    @property
    def sweep_url(self) -> str | None:
        """The address of the sweep's page; None offline, and outside a sweep."""
        self._learn()
        return super().sweep_url

    @property
    def path(self) -> str:
        """Entity, project and id."""
        self._learn()
        return super().path

    def _log_artifact(self, *arguments: Any, **options: Any) -> Any:
        self._is_logging_artifact = True
        try:
            return super()._log_artifact(*arguments, **options)
        finally:
            self._is_logging_artifact = False

    def _assert_can_log_artifact(self, artifact: Any) -> None:
        """Ask nothing: wandb asks the server for the artifact's type here, and delivery reports a wrong one."""

    def _public_api(self, *arguments: Any, **options: Any) -> Any:
        """W&B's public API, through a process of wandb's own that starts for it, once the run is on the server.

        An artifact that is logged keeps a way to it, and asks only where the script waits for the artifact.

        Raises:
            CommError: Delivery has not opened the run on its server in ``init_timeout`` seconds.
        """
        if self._is_logging_artifact:
            return _AskedLater(lambda: self._public_api(*arguments, **options))
        context = self._context
        if context is not None and context.mode == "online":
            limit = self._settings.init_timeout
            if opened(context, limit) is None:
                raise CommError(f"W&B has not opened run {self.id} in {limit:.0f} s, and this needs the run there")
            self._learn()
        return super()._public_api(*arguments, **options)

    def _learn(self) -> None:
        """Take the names that the server has given the run, once delivery has opened it there.

        Delivery opens it while the script trains; the first that asks waits for it, for some seconds.
        """
        context, settings = self._context, self._settings
        if context is None or context.mode != "online" or settings.entity:
            return
        status = opened(context, _WAIT)
        if status is None:
            context.sink.note("names", f"W&B has not opened run {self.id} in {_WAIT:.0f} s, so it has no address yet")
            return
        settings.entity, settings.project = status.entity, status.project or settings.project
        settings.run_name = settings.run_name or status.name

    @property
    def _context(self) -> WandBContext | None:
        interface = self._interface
        return interface.context if isinstance(interface, JournalInterface) else None

    def _set_backend(self, backend: Any) -> None:
        super()._set_backend(backend)
        self._interface = getattr(backend, "interface", backend)  # wandb before 0.26 wraps it
        context = self._context
        if context is not None:  # attached in a child process
            self._settings.x_files_dir = str(RunDirectory(context.dir).files)

    def _redirect(self, *arguments: Any, **options: Any) -> None:
        """Leave the console alone: UPS copies what the process prints."""

    def _header(self) -> None:
        """Print nothing: UPS prints where the run is."""
