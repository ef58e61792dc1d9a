"""The training process's supervisor of its delivery: start it, read its reports, start it again if it dies."""

import threading
import time
from pathlib import Path

from ups.errors import RunDirectoryError
from ups.journal import liveness
from ups.journal.fork_lock import ForkLock
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from ups.journal.waiting import has_new_records
from ups.tracking.deliverers import Deliverer
from ups.tracking.row_sink import RowSink

__all__ = ["Supervisor"]

_RESTARTS = 10  # one after another, without another row in W&B
_WATCH_EVERY = 1.0  # seconds
_SYNC_EVERY = 3  # rounds of the watch


class Supervisor:
    """A thread of the training process that syncs the journal, polls delivery's status and restarts a dead delivery.

    ``mark`` shows that this process lives. A run that is only journaled has no deliverer.

    Attributes:
        stop_requested: Whether a person has pressed Stop in W&B.
    """

    def __init__(self, directory: RunDirectory, mark: Path, sink: RowSink, deliverer: Deliverer | None) -> None:
        self._directory = directory
        self._mark = mark
        self._sink = sink
        self._deliverer = deliverer
        self._stop = threading.Event()
        self._starting = ForkLock()  # the thread and the wait at the end both restart a dead delivery
        self._started = False
        self._restarts = 0
        self._rows = 0
        self._writable = True
        self._denied = False
        self.stop_requested = False
        self._thread = threading.Thread(target=self._watch, name="ups-watch", daemon=True)

    def start(self) -> None:
        """Start delivery, and the thread. Where a delivery still closes the run's former training, wait for its end."""
        self.ensure_running()
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Delivery continues."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def poll(self) -> Status | None:
        """Read delivery's status, and count its faults with this process's."""
        self._look_at_directory()
        try:
            status = read_status(self._directory)
        except RunDirectoryError as error:
            self._sink.note("status", str(error))
            return None
        if status is not None:
            self._sink.faults.merge(status.faults)
            self._look_at_credentials(status)
            self.stop_requested = status.stop
            if status.rows > self._rows:
                self._rows, self._restarts = status.rows, 0
        return status

    @property
    def stuck(self) -> bool:
        """True where delivery cannot continue until a person repairs something, which is reported."""
        return self._denied or not self._writable

    def _look_at_directory(self) -> None:
        """Report a directory that turned read-only: there delivery cannot even write its status."""
        before, self._writable = self._writable, self._deliverer is None or self._directory.is_writable()
        if before and not self._writable and not self._directory.path.exists():
            message = f"{self._directory.path} has been removed or moved, and delivery stands still"
            self._sink.note("gone", f"{message}: if it was moved, run 'ups deliver' with its new path")
        elif before and not self._writable:
            message = f"{self._directory.path} cannot be written any more, and delivery stands still: make it writable"
            self._sink.note("read-only", f"{message} again. No row is lost: each is in the journal, or waits in memory")

    def _look_at_credentials(self, status: Status) -> None:
        before, self._denied = self._denied, status.denied
        if self._denied and not before:
            message = "W&B's server refuses the credentials: correct WANDB_API_KEY, or run 'wandb login', and then"
            self._sink.note("denied", f"{message} {self._directory.deliver_command()}. Rows wait in the journal")

    def ensure_running(self) -> bool:
        """Start delivery again if it ended before the run did. False once that has failed too often."""
        with self._starting:
            return self._ensure_running()

    def _ensure_running(self) -> bool:
        if self._deliverer is None or self._deliverer.is_running():
            return True
        try:
            if self._directory.delivery_is_running() or self.is_delivered():
                return True
            if self._started and self._restarts >= _RESTARTS:
                message = f"delivery ended {_RESTARTS} times without another row in W&B ({self._deliverer.log_tail()})"
                self._sink.note("given-up", f"{message}. Try again with: {self._directory.deliver_command()}")
                return False
            if self._started:
                self._restarts += 1
                why = self._deliverer.log_tail() or "killed"
                message = f"the delivery process ended before the run did ({why}): started again"
                self._sink.note("delivery", f"{message}, and the rows that wait are in the journal")
            self._started = True
            self._deliverer.start()
        except (OSError, RunDirectoryError) as error:
            self._sink.note("start", f"delivery could not be started: {error}. Rows wait in the journal; trying again")
        return True

    def is_delivered(self) -> bool:
        """True where the newest delivery has finished the run of this process, and no record of its journal waits.

        Raises:
            RunDirectoryError, OSError: The status or the journal cannot be read.
        """
        process, status = self._mark.stem, read_status(self._directory)
        if status is None or status.state != "finished" or status.owner != process:
            return False
        return not has_new_records(self._directory, [process])

    def _watch(self) -> None:
        started = time.monotonic()
        rounds = 0
        while not self._stop.wait(_WATCH_EVERY):
            rounds += 1
            liveness.keep(self._mark)
            if rounds % _SYNC_EVERY == 0:
                self._sync()
            self.poll()
            if time.monotonic() - started > 5 * _WATCH_EVERY * min(self._restarts, 6):
                self.ensure_running()
                started = time.monotonic()

    def _sync(self) -> None:
        try:
            self._sink.journal.sync()
        except OSError as error:
            self._sink.note("sync", f"the journal could not be synced to the disk: {error.strerror}")
