"""The context: a run as a training process holds it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ups.charts import check_metric_name, check_stage_name
from ups.errors import DeliveryError, InvalidName, InvalidValue, UPSError, UsageError
from ups.tracking import liveness, media, process_end
from ups.tracking.config import plain_config
from ups.tracking.console import ConsoleCapture
from ups.tracking.delivery_process import Deliverer, DeliveryProcess, DeliveryThread, Watch
from ups.tracking.drain import drain, leave_nothing_behind
from ups.tracking.faults import Faults
from ups.tracking.journal import DeferredLines, Journal, encode_record
from ups.tracking.rank import Rank
from ups.tracking.run_directory import Description, RunDirectory
from ups.tracking.run_view import RunView
from ups.tracking.stage import DisabledStage, RankStage, Stage
from ups.tracking.values import number, shown

if TYPE_CHECKING:
    from ups.check import RunCheck

__all__ = ["DISABLED", "RUN_DIR_VARIABLE", "WandBContext"]

RUN_DIR_VARIABLE = "UPS_RUN_DIR"
DISABLED = "disabled"  # what the variable says where nothing is tracked

_FINISH_TIMEOUT = 300.0  # seconds without progress


class WandBContext:
    """A run, as a training process holds it. Made by :func:`create_wandb_context` or :func:`join_wandb_context`.

    Attributes:
        journal: This process's journal.
    """

    journal: Journal

    def __init__(
        self,
        directory: RunDirectory | None,
        description: Description,
        *,
        delivery: str = "process",
        strict: bool = False,
        owner: bool = False,
        rank: Rank | None = None,
    ) -> None:
        self._directory = directory
        self._description = description
        self._strict = strict
        self._owner = owner
        self._rank = rank
        self._others = rank is not None and rank.index > 0
        self._config = dict(description.config)
        self._summary: dict[str, Any] = {}
        self._faults = Faults()
        self._stages: dict[str, Stage] = {}
        self._finished = self._closed = False
        self._report: RunCheck | None = None
        self._environment_before: str | None = None
        self._watch: Watch | None = None
        self._console: ConsoleCapture | None = None
        self._delivery = delivery
        self._environment_before = os.environ.get(RUN_DIR_VARIABLE)
        os.environ[RUN_DIR_VARIABLE] = str(directory.path) if directory is not None else DISABLED
        if directory is None:
            return
        self._open_journal(directory)
        delivers = owner and description.mode != "local"
        mark = directory.mark_of(self._process)
        self._watch = Watch(directory, mark, self, self._deliverer() if delivers else None, self._faults)
        if delivery == "process" and os.environ.get("WANDB_CONSOLE", "auto") != "off":
            self._console = ConsoleCapture(directory.console_of(self._process), on_failure=self._console_failed)
            self._console.start()
        self._watch.start()
        process_end.register(self)

    # ------------------------------------------------------------------ what the run is

    @property
    def enabled(self) -> bool:
        """Whether anything is tracked."""
        return self._directory is not None

    @property
    def finished(self) -> bool:
        """Whether :meth:`finish` has been called here: nothing more can be logged."""
        return self._finished

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self._description.run_id

    @property
    def name(self) -> str | None:
        """The run's name, if it was given one."""
        return self._description.name or os.environ.get("WANDB_NAME")

    @property
    def mode(self) -> str:
        """``online``, ``offline``, ``local`` or ``disabled``."""
        return self._description.mode

    @property
    def dir(self) -> Path:
        """The run's directory; where there is none (``disabled``), the working directory."""
        return self._directory.path if self._directory is not None else Path.cwd()

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, with a sweep's parameters and later updates. Change it with :meth:`update_config`."""
        return MappingProxyType(self._config)

    @property
    def summary(self) -> Mapping[str, Any]:
        """The summary values that this process has set."""
        return MappingProxyType(self._summary)

    @property
    def run(self) -> RunView:
        """What code that expects a wandb run may use; what it logs goes through the journal."""
        return RunView(self)

    @property
    def url(self) -> str | None:
        """The run's page in W&B; None offline, and until the run is there."""
        status = self._watch.hear() if self._watch is not None else None
        return status.url if status is not None else None

    @property
    def should_stop(self) -> bool:
        """Whether somebody pressed Stop in W&B, or a sweep stops the run early. Cheap: ask it every step."""
        return self._watch is not None and self._watch.stop_requested

    # ------------------------------------------------------------------ logging

    def stage(self, name: str) -> Stage:
        """The stage of this name; the same one each time.

        Raises:
            InvalidName: The name is not letters, digits, ``_`` and ``-``.
        """
        stage = self._stages.get(name) if isinstance(name, str) else None
        if stage is None:
            check_stage_name(name)
            stage = self._stages[name] = self._new_stage(name)
            declared = self._description.stages
            if declared and name not in declared:
                import difflib

                near = difflib.get_close_matches(name, declared, 1)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                self.fault(
                    f"undeclared:{name}",
                    InvalidName(
                        f"stage {name!r} is not among the declared stages ({', '.join(declared)}).{meant}"
                        " It gets charts of its own"
                    ),
                )
        return stage

    def log_training_metric(self, stage: str, metric: str, value: Any, step: int) -> None:
        """Log one metric of a stage at a step; as ``ctx.stage(stage).log(step, {metric: value})``."""
        self.log_training_metrics(stage, {metric: value}, step)

    def log_training_metrics(self, stage: str, metrics: Mapping[str, Any], step: int) -> None:
        """Log one row of a stage; as ``ctx.stage(stage).log(step, metrics)``.

        A stage name that W&B could not draw does not stop the training: it is told, and the row is kept in the
        journal. It raises if the run is ``strict``.
        """
        if self._directory is None:
            return
        held = self._stages.get(stage) if isinstance(stage, str) else None
        if held is None:
            try:
                held = self.stage(stage)
            except InvalidName as error:
                rejected = {str(name): shown(value, 200) for name, value in metrics.items()}
                self.record(stage=shown(stage), step=shown(step), rejected=rejected)
                self.fault("stage", InvalidName(f"{error}. The row is in the journal and is not drawn"))
                return
        held.log(step, metrics)

    def log_eval_summary(self, metrics: Mapping[str, Any], prefix: str = "eval") -> None:
        """Set evaluation results in the summary, as ``<prefix>/<metric>``; they make no chart points.

        A result may also be text or a truth value, as W&B's summary holds.
        """
        if self._rank is not None and self._others:
            prefix = f"rank{self._rank.index}/{prefix}".rstrip("/")
        kept: dict[str, Any] = {}
        for metric, value in metrics.items():
            name = f"{prefix}/{metric}" if prefix else str(metric)
            try:
                check_metric_name(name)
                kept[name] = value if isinstance(value, (str, bool)) else number(value)
            except (InvalidName, InvalidValue) as error:
                self.record(rejected={name: shown(value, 200)})
                self.fault(f"summary:{name}", type(error)(f"summary {name!r}: {error}. It is in the journal only"))
        if kept:
            self._summary.update(kept)
            self.record(summary=kept)

    def log_values(self, values: Mapping[str, Any]) -> None:
        """Log a row that belongs to no stage; W&B draws it against its own row counter."""
        kept: dict[str, int | float] = {}
        for name, value in values.items():
            try:
                check_metric_name(name)
                kept[name] = number(value)
            except (InvalidName, InvalidValue) as error:
                self.record(rejected={str(name): shown(value, 200)})
                self.fault(f"value:{name}", type(error)(f"metric {shown(name)}: {error}. It is in the journal only"))
        if kept:
            self.record(values=kept)

    def update_config(self, values: Any) -> None:
        """Add to the configuration, or change it."""
        plain = plain_config(values)
        self._config.update(plain)
        self.record(config=plain)

    def add_tags(self, *tags: str) -> None:
        """Add tags to the run."""
        self.record(tags=[str(tag) for tag in tags])

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table. Cells are numbers, text, truth values or None; anything else becomes text."""
        with self._keeping("table", name) as folder:
            if folder is not None:
                check_metric_name(name)
                path = media.keep_table(folder, name, columns, rows)
                self.record(table=name, path=self._inside(path))

    def log_image(self, name: str, image: Any, caption: str | None = None) -> None:
        """Log an image: a path, a matplotlib figure, a PIL image, or an array of height × width (× 3 or 4)."""
        with self._keeping("image", name) as folder:
            if folder is not None:
                check_metric_name(name)
                path = media.keep_image(folder, name, image)
                self.record(image=name, path=self._inside(path), caption=caption)

    def save_file(self, path: str | os.PathLike[str], base_path: str | os.PathLike[str] | None = None) -> None:
        """Save a copy of a file, as it is now, with the run; under its name, or its path relative to ``base_path``."""
        with self._keeping("file", os.fspath(path)) as folder:
            if folder is not None:
                base, name = media.keep_file(folder, Path(path), Path(base_path) if base_path is not None else None)
                self.record(file={"base": self._inside(base), "name": name.as_posix()})

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None, type: str = "file") -> None:
        """Log a copy of a file or folder, as it is now, as an artifact."""
        label = name or f"run-{self.run_id}-{Path(path).name}"
        with self._keeping("artifact", label) as folder:
            if folder is not None:
                copy = media.keep_artifact(folder, Path(path), label)
                self.record(artifact={"path": self._inside(copy), "name": label, "type": type})

    def alert(self, title: str, text: str = "", level: Literal["INFO", "WARN", "ERROR"] = "INFO") -> None:
        """Send an alert through W&B."""
        if level not in ("INFO", "WARN", "ERROR"):
            raise UsageError(f"level is {shown(level)}: choose INFO, WARN or ERROR")
        self.record(alert={"title": str(title), "text": str(text), "level": level})

    def flush(self) -> None:
        """Have all that was logged on the disk when this returns; it waits for devices whose values are on their way.

        A row is in the file when ``log`` returns, so only a power cut asks for this, or a value of a GPU.
        """
        if self._directory is not None:
            try:
                self.journal.sync()
            except OSError as error:
                self._journal_failed(error)

    # ------------------------------------------------------------------ the end

    def finish(self, exit_code: int = 0, *, timeout: float | None = None) -> RunCheck | None:
        """End the run: deliver what waits, read back what W&B holds, print every chart with its verdict.

        A second call does nothing. In a process that joined the run it ends that process's part.

        Args:
            exit_code: 0 for success; anything else marks the run as failed.
            timeout: Seconds without progress after which this stops waiting (default 300, or
                ``UPS_FINISH_TIMEOUT``). Delivery goes on in its own process, and what it does not get to stays in
                the journal for ``ups deliver``.

        Returns:
            What was read back; None in a process that joined, and where nothing is tracked.

        Raises:
            DeliveryError: Only if ``strict``: W&B does not hold every row.
        """
        if self._finished:
            return self._report
        self._finished = True
        process_end.unregister(self)
        self._restore_environment()
        if self._directory is None:
            return None
        directory = self._directory
        if self._watch is not None and not self._owner:
            self._watch.stop()
        if self._console is not None:
            self._console.stop()
        self.record(end={"exit_code": int(exit_code)})
        lost = self.journal.close()
        self._closed = True
        if lost:
            liveness.release(
                directory.mark_of(self._process), remove=True
            )  # its end is not in the journal: this tells of it
            message = f"{lost} lines could not be written to {self.journal.path}: the disk took no more"
            self._faults.add("lost", message, lost)
        if not self._owner:
            liveness.release(directory.mark_of(self._process), remove=True)
            if self.mode != "local":
                leave_nothing_behind(directory, self._process, self._deliverer)
            return None
        assert self._watch is not None
        try:
            delivered = self.mode == "local" or drain(
                directory,
                self._process,
                self._watch,
                _timeout(timeout),
                background=self._delivery == "process",
            )
        finally:
            self._watch.stop()
            liveness.release(directory.mark_of(self._process), remove=True)
        if self.mode != "local":
            leave_nothing_behind(directory, self._process, self._deliverer)
        from ups.tracking.readback import read_back

        self._report = read_back(directory, self._faults)
        if self._strict and not delivered:
            raise DeliveryError(
                f"W&B does not hold every row of {directory.path}: deliver the rest with: ups deliver {directory.path}"
            )
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(process_end.exit_code_of(error))

    # ------------------------------------------------------------------ for the parts of tracking

    def record(self, **content: Any) -> None:
        """Append a record to the journal."""
        if self._directory is not None:
            self.journal.append(encode_record({"time": time.time(), **content}))

    def fault(self, kind: str, error: UPSError) -> None:
        """Count a fault, said once a kind; raise it if the run is strict."""
        if self._strict:
            self._faults.add(kind, str(error), quiet=True)
            raise error
        self._faults.add(kind, str(error))

    def device_failed(self, stage: str, metric: str, error: Exception) -> None:
        """Count a value that a device did not bring. Told by a thread of its own, so it is not raised if strict."""
        message = f"stage {stage!r}, metric {shown(metric)}: its device did not bring it: {shown(error, 200)}"
        self._faults.add(f"device:{stage}/{metric}", message)

    def reopen_after_fork(self) -> None:
        """In a forked child: write to a journal of its own, made when something is logged."""
        if self._directory is None or self._finished:
            return
        self._owner = False
        self._console = None
        self._watch = None
        self.journal = _JournalOfChild(self)

    def _new_stage(self, name: str) -> Stage:
        if not self.enabled:
            return DisabledStage(name, self)
        return RankStage(name, self, self._rank.index) if self._rank is not None and self._others else Stage(name, self)

    def _open_journal(self, directory: RunDirectory) -> None:
        begins = [directory.begin_of(process) for process in directory.processes()]
        nth = 1 + max((begin.nth for begin in begins if begin is not None), default=0)
        self._process = directory.new_process_name()
        liveness.hold(directory.mark_of(self._process))
        path = directory.journal_of(self._process)
        rank = self._rank.index if self._rank is not None else None
        self.journal = Journal(path, on_failure=self._journal_failed, on_loss=self._row_lost)
        self.record(
            begin={"pid": os.getpid(), "host": socket.gethostname(), "owner": self._owner, "rank": rank, "nth": nth}
        )

    def _deliverer(self) -> Deliverer:
        assert self._directory is not None
        if self._delivery == "thread":
            return DeliveryThread(self._directory, self._process, self.mode)
        return DeliveryProcess(self._directory, self._process)

    @contextlib.contextmanager
    def _keeping(self, what: str, name: str) -> Iterator[Path | None]:
        """Gives the folder for media; a failure there is a fault, unless the run is strict. None if disabled."""
        try:
            yield self._directory.media if self._directory is not None else None
        except UPSError as error:
            self.fault(f"{what}:{name}", error)
        except (OSError, ValueError, TypeError) as error:
            self.fault(f"{what}:{name}", UPSError(f"{what} {name!r} could not be kept: {error}"))

    def _inside(self, path: Path) -> str:
        assert self._directory is not None
        return path.relative_to(self._directory.path).as_posix()

    def _restore_environment(self) -> None:
        if self._environment_before is None:
            os.environ.pop(RUN_DIR_VARIABLE, None)
        else:
            os.environ[RUN_DIR_VARIABLE] = self._environment_before

    def _journal_failed(self, error: OSError | None) -> None:
        if error is None:
            self._faults.add("journal-again", "the journal can be written again, and the rows that waited are in it")
        elif self._closed:
            self._faults.add("finished", "a row was logged after finish(): it is not kept. Call finish() last")
        else:
            self._faults.add(
                "journal",
                f"{self.journal.path} could not be written: {error.strerror}. Rows wait in memory: free some space",
            )
        if error is not None and self._strict:
            raise error

    def _row_lost(self) -> None:
        self._faults.add("lost", "rows were given up: the journal's disk takes none, and no more can wait in memory")

    def _console_failed(self, error: OSError) -> None:
        self._faults.add("console", f"the console log is no longer kept: {error.strerror}")


class _JournalOfChild(Journal):
    """Stands in for the journal in a forked child until something is logged there."""

    def __init__(self, context: WandBContext) -> None:
        import threading

        self.lock = threading.RLock()
        self._context = context

    def append(self, line: bytes) -> None:
        """Open the child's own journal, and append to that."""
        directory = self._context._directory
        assert directory is not None
        self._context._open_journal(directory)
        self._context.journal.append(line)

    def defer(self, deferred: DeferredLines) -> None:
        """Open the child's own journal, and defer in that."""
        directory = self._context._directory
        assert directory is not None
        self._context._open_journal(directory)
        self._context.journal.defer(deferred)

    def sync(self) -> None:
        """There is nothing to sync."""

    def close(self) -> int:
        """There is nothing to close."""
        return 0


def _timeout(given: float | None) -> float:
    if given is not None:
        return given
    named = os.environ.get("UPS_FINISH_TIMEOUT")
    try:
        return float(named) if named else _FINISH_TIMEOUT
    except ValueError:
        raise UsageError(f"UPS_FINISH_TIMEOUT is {named!r}: give seconds, as in 300") from None
