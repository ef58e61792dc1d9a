"""The training process's hold on its delivery: start it, watch it, start it again, hear what it says.

The delivery process shares no interpreter lock with the training, runs in a session of its own so that Ctrl-C
reaches only the trainer, and outlives it. ``delivery="thread"`` runs the same delivery in a thread of the training
process instead, for notebooks and debuggers.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from ups.errors import RunDirectoryError, UPSError
from ups.tracking import liveness
from ups.tracking.faults import Faults
from ups.tracking.fork_lock import ForkLock
from ups.tracking.journal import Journal
from ups.tracking.run_directory import RunDirectory
from ups.tracking.status import Status, read_status
from ups.tracking.undelivered import waits

__all__ = ["Deliverer", "DeliveryProcess", "DeliveryThread", "Watch"]

_COMMAND = (sys.executable, "-P", "-m", "ups", "deliver", "--nice", "5")  # the training comes first
_RESTARTS = 10  # in a row, without a row more in W&B
_WATCH_EVERY = 1.0  # seconds
_SYNC_EVERY = 3  # rounds of the watch


class Deliverer(Protocol):
    """What delivers a run: a process or a thread."""

    def start(self) -> None:
        """Start it."""

    def is_running(self) -> bool:
        """Whether it runs."""

    def log_tail(self) -> str:
        """The last line that it said, for a message."""


class JournalHolder(Protocol):
    """What has a journal."""

    @property
    def journal(self) -> Journal:
        """The journal of this process."""


class DeliveryProcess:
    """A delivery in a process of its own."""

    def __init__(self, directory: RunDirectory, owner: str) -> None:
        self._directory = directory
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It inherits the environment and the working directory, and nothing else.

        Not the address of a wandb backend that the training may run: delivery has one of its own.
        """
        own = ("UPS_RUN_DIR", "WANDB_SERVICE")
        environment = {name: value for name, value in os.environ.items() if name not in own}
        with (self._directory.delivery / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, str(self._directory.path), "--owner", self._owner],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self) -> str:
        """The last line of its log."""
        try:
            lines = (self._directory.delivery / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class DeliveryThread:
    """The same delivery in a thread of this process.

    wandb runs one backend for all runs of a process: where a session is lost, a run that the process itself has open
    in wandb is lost with it. A process of its own has no such neighbours.
    """

    def __init__(self, directory: RunDirectory, owner: str, mode: str) -> None:
        self._directory = directory
        self._owner = owner
        self._mode = mode
        self._thread: threading.Thread | None = None
        self._last = ""

    def start(self) -> None:
        """Start it."""
        import wandb  # noqa: F401 - in the training's thread: a thread cannot while the interpreter ends

        self._thread = threading.Thread(target=self._deliver, name="ups-delivery", daemon=True)
        self._thread.start()

    def is_running(self) -> bool:
        """Whether it runs."""
        return self._thread is not None and self._thread.is_alive()

    def log_tail(self) -> str:
        """The last line that it said."""
        return self._last

    def _deliver(self) -> None:
        from ups.tracking.delivery import Delivery

        try:
            Delivery(self._directory, self._mode, owner=self._owner, own_process=False).run()
        except UPSError as error:
            self._last = str(error)
        except Exception as error:
            self._last = f"{type(error).__name__}: {error}"
            raise


class Watch:
    """A thread of the training process that syncs the journal, hears what delivery says and restarts it if it died.

    Args:
        directory: The run's directory.
        mark: Shows that this process lives.
        holder: Has the journal to sync, as its attribute ``journal``.
        deliverer: What delivers the run; None for a run that is only journaled.
        faults: Takes in what delivery counted.

    Attributes:
        stop_requested: Whether somebody pressed Stop in W&B.
    """

    def __init__(
        self, directory: RunDirectory, mark: Path, holder: "JournalHolder", deliverer: Deliverer | None, faults: Faults
    ) -> None:
        self._directory = directory
        self._mark = mark
        self._holder = holder
        self._deliverer = deliverer
        self._faults = faults
        self._stop = threading.Event()
        self._reviving = ForkLock()  # the thread, and who waits at the end, both start what has died
        self._started = False
        self._restarts = 0
        self._rows = 0
        self._writable = True
        self._denied = False
        self.stop_requested = False
        self._thread = threading.Thread(target=self._watch, name="ups-watch", daemon=True)

    def start(self) -> None:
        """Start delivery, and the thread. A delivery that still closes the run's former training goes first."""
        self.revive()
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Delivery goes on."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def hear(self) -> Status | None:
        """What delivery said last, its faults counted with this process's."""
        self._look_at_directory()
        try:
            status = read_status(self._directory)
        except RunDirectoryError as error:
            self._faults.add("status", str(error))
            return None
        if status is not None:
            self._faults.merge(status.faults)
            self._look_at_credentials(status)
            self.stop_requested = status.stop
            if status.rows > self._rows:
                self._rows, self._restarts = status.rows, 0
        return status

    @property
    def stuck(self) -> bool:
        """Whether delivery can get nowhere until somebody puts something right, which is told."""
        return self._denied or not self._writable

    def _look_at_directory(self) -> None:
        """A directory that turned read-only: delivery can write neither what it did nor what is wrong."""
        before, self._writable = self._writable, self._deliverer is None or self._directory.is_writable()
        if before and not self._writable and not self._directory.path.exists():
            message = f"{self._directory.path} has been removed or moved, and delivery stands still"
            self._faults.add("gone", f"{message}: where it was moved to, 'ups deliver' brings its rows to W&B")
        elif before and not self._writable:
            message = f"{self._directory.path} cannot be written any more, and delivery stands still: make it writable"
            self._faults.add(
                "read-only", f"{message} again. No row is lost: each is in the journal, or waits in memory"
            )

    def _look_at_credentials(self, status: Status) -> None:
        before, self._denied = self._denied, status.denied
        if self._denied and not before:
            message = "W&B's server refuses the credentials: put WANDB_API_KEY right, or call 'wandb login'"
            self._faults.add(
                "denied", f"{message}. Rows wait in the journal; then: {self._directory.deliver_command()}"
            )

    def revive(self) -> bool:
        """Start delivery again if it ended before the run did. False if that is of no use any more."""
        with self._reviving:
            return self._revive()

    def _revive(self) -> bool:
        if self._deliverer is None or self._deliverer.is_running():
            return True
        try:
            if self._directory.delivery_is_running() or self.is_delivered():
                return True
            if self._started and self._restarts >= _RESTARTS:
                message = f"delivery ended {_RESTARTS} times without a row more ({self._deliverer.log_tail()}):"
                self._faults.add("given-up", f"{message} to try again: {self._directory.deliver_command()}")
                return False
            if self._started:
                self._restarts += 1
                why = self._deliverer.log_tail() or "killed"
                message = f"the delivery process ended before the run did ({why}): started again"
                self._faults.add("delivery", f"{message}, and the rows that wait are in the journal")
            self._started = True
            self._deliverer.start()
        except (OSError, RunDirectoryError) as error:
            self._faults.add("start", f"delivery could not be started: {error}. Rows wait in the journal; trying again")
        return True

    def is_delivered(self) -> bool:
        """Whether the newest delivery has finished the run of this process, and nothing of its journal waits.

        Raises:
            RunDirectoryError, OSError: What it has told, or the journal, cannot be read.
        """
        process = self._mark.stem
        status = read_status(self._directory)
        if status is None or status.state != "finished" or status.owner != process:
            return False
        return not waits(self._directory, [process])

    def _watch(self) -> None:
        started = time.monotonic()
        rounds = 0
        while not self._stop.wait(_WATCH_EVERY):
            rounds += 1
            liveness.keep(self._mark)
            if rounds % _SYNC_EVERY == 0:
                self._sync()
            self.hear()
            if time.monotonic() - started > 5 * _WATCH_EVERY * min(self._restarts, 6):
                self.revive()
                started = time.monotonic()

    def _sync(self) -> None:
        try:
            self._holder.journal.sync()
        except OSError as error:
            self._faults.add("sync", f"the journal could not be synced to the disk: {error.strerror}")
