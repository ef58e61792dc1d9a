"""The context: a run as a training process holds it."""

from __future__ import annotations

import errno
import operator
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ups.errors import DeliveryError, RunDirectoryError, UsageError
from ups.journal import liveness
from ups.journal.faults import Faults
from ups.journal.record_types import encode_record
from ups.journal.run_directory import RunDirectory
from ups.journal.run_manifest import RunManifest
from ups.journal.status import Status
from ups.journal.writer import Journal, LateJournal
from ups.text import shown
from ups.tracking import exit_hooks
from ups.tracking.console_capture import ConsoleCapture
from ups.tracking.deliverers import Deliverer, DeliveryProcess, DeliveryThread
from ups.tracking.rank import Rank
from ups.tracking.recorder import Recorder
from ups.tracking.recording import recording
from ups.tracking.run_view import RunView
from ups.tracking.supervisor import Supervisor
from ups.tracking.wait import deliver_leftovers, wait_until_delivered

if TYPE_CHECKING:
    from ups.check import RunCheck

__all__ = ["DISABLED", "RUN_DIR_VARIABLE", "WandBContext", "held_here"]

RUN_DIR_VARIABLE = "UPS_RUN_DIR"
DISABLED = "disabled"  # the variable's value where nothing is tracked

_FINISH_TIMEOUT = 300.0  # seconds without progress


class WandBContext(Recorder):
    """A run, as a training process holds it. Made by :func:`create_wandb_context` or :func:`join_wandb_context`."""

    def __init__(
        self,
        directory: RunDirectory | None,
        manifest: RunManifest,
        *,
        delivery: str = "process",
        strict: bool = False,
        owner: bool = False,
        rank: Rank | None = None,
        console: bool = True,
        wandb_folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        reads_back: bool = True,
    ) -> None:
        super().__init__(directory, manifest, strict=strict, rank=rank)
        self._owner = owner
        self._finished = self._closed = False
        self._report: RunCheck | None = None
        self._supervisor: Supervisor | None = None
        self._console: ConsoleCapture | None = None
        self._delivery = delivery
        self._wandb_folder = wandb_folder
        self._variables = variables or {}
        self._reads_back = reads_back
        self._environment_before = os.environ.get(RUN_DIR_VARIABLE)
        os.environ[RUN_DIR_VARIABLE] = str(directory.path) if directory is not None else DISABLED
        if directory is None:
            return
        _timeout(None)
        self._open_journal(directory)
        for problem in manifest.problems:
            self._sink.note(f"manifest:{problem}", problem)
        delivers = owner and manifest.mode != "local"
        mark = directory.mark_of(self._process)
        self._supervisor = Supervisor(directory, mark, self._sink, self._deliverer() if delivers else None)
        recorded = recording()
        if recorded is not None:
            recorded.contexts.append(self)
            console = False
        if console and delivery == "process" and os.environ.get("WANDB_CONSOLE", "auto") != "off":
            self._console = self._open_console(directory)
            self._console.start()
        self._supervisor.start()
        exit_hooks.register(self)

    # ------------------------------------------------------------------ what the run is

    @property
    def finished(self) -> bool:
        """True once :meth:`finish` was called in this process: then nothing more can be logged."""
        return self._finished

    @property
    def mode(self) -> str:
        """``online``, ``offline``, ``local`` or ``disabled``."""
        return self._manifest.mode

    @property
    def run(self) -> RunView:
        """A view of the run for code that expects a wandb run; its rows go through the journal."""
        return RunView(self)

    @property
    def url(self) -> str | None:
        """The address of the run's page in W&B; None offline, and until the run is there."""
        status = self.status
        return status.url if status is not None else None

    @property
    def status(self) -> Status | None:
        """The newest report of delivery; None before its first.

        :meta private:
        """
        return self._supervisor.poll() if self._supervisor is not None else None

    @property
    def should_stop(self) -> bool:
        """True once a person has pressed Stop in W&B, or a sweep stops the run early. Cheap enough for every step."""
        return self._supervisor is not None and self._supervisor.stop_requested

    def keep_console(self, text: str) -> None:
        """Add to the console log what the process does not print itself.

        :meta private:
        """
        if self._directory is None or self._finished:
            return
        if self._console is None:
            self._console = self._open_console(self._directory)
        self._console.keep(text)

    # ------------------------------------------------------------------ the end

    def flush(self) -> None:
        """Put all logged rows on the disk; waits for values that a device is still to bring.

        A row is in its file when ``log`` returns, so this is needed only against a power cut, or for a value of a GPU.
        """
        if self._directory is not None:
            self._sink.settle_rows()
            try:
                self._sink.journal.sync()
            except OSError as error:
                self._journal_failed(error)

    def finish(self, exit_code: int | None = 0, *, timeout: float | None = None) -> RunCheck | None:
        """End the run: deliver the rows that wait, read back the rows in W&B, print every chart with its verdict.

        A second call does nothing. In a process that joined the run, this ends that process's part.

        Args:
            exit_code: 0 or None for success; anything else marks the run as failed.
            timeout: Seconds without progress after which this stops waiting (default 300, or
                ``UPS_FINISH_TIMEOUT``). Delivery continues in its own process; all rows stay in the journal for
                ``ups deliver``.

        Returns:
            The check of the run, read from the journals where W&B does not have every row yet; None in a process that
            joined, and where nothing is tracked.

        Raises:
            UsageError: ``exit_code`` or ``timeout`` is not a number; the run stays open.
            DeliveryError: Only if ``strict``: W&B does not hold every row.
        """
        if self._finished:
            return self._report
        code, patience = _exit_code(exit_code), _timeout(timeout)
        self._finished = True
        exit_hooks.unregister(self)
        self._restore_environment()
        if self._directory is None:
            return None
        directory = self._directory
        if self._supervisor is not None and not self._owner:
            self._supervisor.stop()
        if self._console is not None:
            self._console.stop()
        self._record(end={"exit_code": code})
        lost = self._sink.journal.close()
        self._closed = True
        if lost:
            # Its end is not in the journal: the free mark shows it.
            liveness.release(directory.mark_of(self._process), remove=True)
            message = f"{lost} lines could not be written to {self._sink.journal.path}: the disk is full"
            self._sink.faults.add("lost", message, lost)
        try:
            self._report = self._close_and_report(directory, patience)
        except (RunDirectoryError, OSError) as error:
            gone = RunDirectoryError(f"{directory.path} cannot be read at the end of the run: {error}")
            self._sink.fault("directory", gone)
        return self._report

    def _close_and_report(self, directory: RunDirectory, patience: float) -> RunCheck | None:
        """Let go of the run, have the rows that wait delivered, and read the run back."""
        if not self._owner:
            liveness.release(directory.mark_of(self._process), remove=True)
            if self.mode != "local":
                deliver_leftovers(directory, self._process, self._deliverer)
            return None
        assert self._supervisor is not None
        try:
            delivered = self.mode == "local" or wait_until_delivered(
                directory,
                self._process,
                self._supervisor,
                patience,
                background=self._delivery == "process",
            )
        finally:
            self._supervisor.stop()
            liveness.release(directory.mark_of(self._process), remove=True)
        if self.mode != "local":
            deliver_leftovers(directory, self._process, self._deliverer)
        if self._reads_back:
            from ups.tracking.read_back import read_back

            self._report = read_back(directory, self._sink.faults)
        if self._sink.strict and not delivered:
            raise DeliveryError(
                f"W&B does not hold every row of {directory.path}: deliver the rest with: {directory.deliver_command()}"
            )
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(exit_hooks.exit_code_of(error))

    # ------------------------------------------------------------------ for the parts of tracking

    def reopen_after_fork(self) -> None:
        """Give a forked child a journal of its own, which its first record creates."""
        if self._directory is None or self._finished:
            return
        self._owner = False
        self._console = None
        self._supervisor = None
        self._sink.faults = Faults()
        self._sink.journal = LateJournal(self._open_own_journal)

    def _open_own_journal(self) -> Journal:
        assert self._directory is not None
        self._open_journal(self._directory)
        return self._sink.journal

    def _open_journal(self, directory: RunDirectory) -> None:
        starts = [directory.start_of(process) for process in directory.processes()]
        order = 1 + max((start.order for start in starts if start is not None), default=0)
        for process in directory.new_process_names():
            if not liveness.hold(directory.mark_of(process)):
                continue  # another machine of this name has a process of this number
            try:
                journal = Journal(
                    directory.journal_of(process),
                    on_failure=self._journal_failed,
                    on_loss=self._row_lost,
                    on_reopening=self._reopened,
                )
            except FileExistsError:
                liveness.release(directory.mark_of(process))
                continue
            break
        start = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "owner": self._owner,
            "rank": self._rank.index if self._rank is not None else None,
            "nth": order,
            "inode": directory.journal_of(process).stat().st_ino,
        }
        journal.append(encode_record({"time": time.time(), "begin": start}))  # before any other thread's row
        self._process, self._sink.journal = process, journal

    def _deliverer(self) -> Deliverer:
        assert self._directory is not None
        if self._delivery == "thread":
            return DeliveryThread(self._directory, self._process, self.mode)
        return DeliveryProcess(self._directory, self._process, self._wandb_folder, self._variables)

    def _restore_environment(self) -> None:
        own = str(self._directory.path) if self._directory is not None else DISABLED
        if os.environ.get(RUN_DIR_VARIABLE) != own:  # a later run is still open, and restores the variable
            for context in _open_contexts():
                if context._environment_before == own:
                    context._environment_before = self._environment_before
            return
        if self._environment_before is None:
            os.environ.pop(RUN_DIR_VARIABLE, None)
        else:
            os.environ[RUN_DIR_VARIABLE] = self._environment_before

    def _journal_failed(self, error: OSError | None) -> None:
        if error is None:
            self._sink.note("journal-again", "the journal can be written again, and the rows that waited are in it")
        elif self._closed and error.errno == errno.EBADF:
            self._sink.fault(
                "finished", UsageError("a row was logged after finish(): it is not kept. Call finish() last")
            )
        else:
            self._sink.note(
                "journal",
                f"{self._sink.journal.path} could not be written: {error.strerror}. Rows wait in memory:"
                f" {_cure(error)}",
            )
        if error is not None and self._sink.strict and not self._closed:
            raise error

    def _row_lost(self) -> None:
        self._sink.note(
            "lost", "rows are lost: the journal's disk is full, and so is the memory where rows wait. Free some space"
        )

    def _reopened(self) -> None:
        self._sink.note(
            "closed",
            f"the program has closed the descriptor of {self._sink.journal.path}, as code that daemonises does: UPS has"
            " opened it again, and no row is lost",
        )

    def _open_console(self, directory: RunDirectory) -> ConsoleCapture:
        return ConsoleCapture(directory.console_of(self._process), on_failure=self._console_failed)

    def _console_failed(self, error: OSError) -> None:
        self._sink.note("console", f"UPS no longer keeps the console log: {error.strerror}")


def _cure(error: OSError) -> str:
    return "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "make it writable again"


def _exit_code(given: int | None) -> int:
    try:
        return 0 if given is None else operator.index(given)
    except TypeError:
        raise UsageError(f"exit_code is {shown(given)}: pass a whole number, 0 for success") from None


def _timeout(given: float | None) -> float:
    if given is not None:
        if not isinstance(given, int | float):
            raise UsageError(f"timeout is {shown(given)}: pass seconds, as in 300")
        return given
    named = os.environ.get("UPS_FINISH_TIMEOUT")
    try:
        return float(named) if named else _FINISH_TIMEOUT
    except ValueError:
        raise UsageError(f"UPS_FINISH_TIMEOUT is {named!r}: give seconds, as in 300") from None


def held_here(directory: Path) -> WandBContext | None:
    """This process's own context of the run in ``directory``, if it has one that is not finished."""
    return next((context for context in _open_contexts() if context.dir == directory), None)


def _open_contexts() -> list[WandBContext]:
    return [run for run in exit_hooks.still_open() if isinstance(run, WandBContext)]
