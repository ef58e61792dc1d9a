"""Delivery: journal → W&B, each row exactly once.

A delivery goes through *sessions* (:mod:`ups.delivery.session`); a healthy run has one. Each session begins at the
start of the journals and goes through them in the order that the ledger (:mod:`ups.journal.ledger`) has
written down, which gives every row the number it had before. What W&B holds already, by the last step in its
files or at its server, is passed over; the rest is handed over with its number as W&B's ``step``; then the session
takes up what is new, writing each span down before it hands a row of it over. So a crash at any instant costs
nothing and repeats nothing: a row whose number W&B holds is not given again, and W&B rejects a step it has.

Summary, configuration and tags are set again by each session. Alerts, artifacts, saved files and console lines have
a cursor that is written after the fact: they arrive at least once.

The disk comes first: what a session is handed is on the disk before, in the journal and in the ledger. So W&B never
holds a row that a power cut can take from them, and a run that is resumed after one numbers on where W&B stands.

At the end W&B is asked what it holds: its file offline, its server online, of which also the rows of each metric are
counted. A session that ended short of the journal is followed by another, until patience runs out; then the delivery
reports what is missing. A server that lacks rows between others takes them no more, and one that cannot be asked is not
sent again what it was given: both are reported.
"""

import dataclasses
import os
import time
from collections.abc import Callable

from ups.credentials import is_same_server, server_address, without_user
from ups.delivery.backend import end_backend
from ups.delivery.feeder import Feeder
from ups.delivery.intake import Intake
from ups.delivery.run_lifetime import RunLifetime
from ups.delivery.server import ServerHolds, held_by_server
from ups.delivery.server_count import ASKING, SERVER_LAG, Held, ask_server, gap_in_words
from ups.delivery.session import Session
from ups.delivery.wandb_errors import Refused, SessionLost
from ups.delivery.wandb_files import last_step_held
from ups.errors import DeliveryError, RunDirectoryError, RunFileError
from ups.journal import liveness
from ups.journal.faults import Faults
from ups.journal.ledger import Cursor, Ledger
from ups.journal.row_reader import RowReader
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status, write_status
from ups.journal.waiting import beyond
from ups.runfile import Run

__all__ = ["PATIENCE", "Delivery"]

PATIENCE = 900.0  # seconds without progress after the run's end before a delivery gives up
_PATIENCE_DENIED = 60.0  # where the server refuses the credentials: a person must act

_POLL = 0.05  # seconds
_STATUS_EVERY = 0.25  # seconds
_SAVE_EVERY = 1.0  # seconds between two saves of the cursor
_LAST_BLOCK = 10.0  # seconds that wandb-core may take to write the end of a file
_STOP_LAG = 45.0  # seconds; wandb uploads every 15, and only then can the server show more
_RETRY = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between sessions


class Delivery:
    """Delivers one run until it has ended and W&B holds it.

    Args:
        directory: The run's directory.
        mode: ``online`` or ``offline``.
        owner: The process whose end is the run's end. Without one the run ends when no process of it lives.
        own_process: Whether this process is delivery's alone.
        any_server: Whether the run may go to the configured server though it was made for another.

    Raises:
        DeliveryError: Another delivery has this run, or it was made for another server than the one that is configured.
        RunDirectoryError: The directory cannot be read or written.
    """

    def __init__(
        self,
        directory: RunDirectory,
        mode: str,
        *,
        owner: str | None = None,
        own_process: bool = True,
        any_server: bool = False,
        on_progress: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self._directory = directory
        self._manifest = directory.read_manifest()
        if mode == "online" and not any_server:
            self._check_server()
        self._by_trainer = owner is not None
        self._lifetime = RunLifetime(directory, owner)
        self._own_process = own_process
        self._on_progress = on_progress
        self._faults = Faults(say=False)
        if not liveness.hold(directory.running_mark):
            raise DeliveryError(f"{directory.path} is being delivered by another process: let that one finish")
        try:
            self.status = Status(pid=os.getpid(), owner=owner, mode=mode)
            self._before = self._read_status()
            if self._before is None and directory.status_file.exists():
                self._faults.add("status", f"{directory.status_file} was damaged: made again")
            if self._before is not None:
                end_backend(self._before.backend)
                self.status.url = self._before.url
            for problem in self._manifest.problems:
                self._faults.add("manifest", problem)
            self._ledger = Ledger(directory.ledger_file)
            self._cursor = Cursor(directory.cursor_file)
            # Rows that sessions before were given, as far as is known.
            self._handed = self._before.rows if self._before is not None else self._ledger.rows or 0
        except BaseException as error:
            liveness.release(directory.running_mark)
            if isinstance(error, OSError):
                place = error.filename or directory.delivery
                raise RunDirectoryError(f"cannot write {place}: {error.strerror}") from error
            raise
        self._next_status = self._next_save = 0.0

    def _read_status(self) -> Status | None:
        try:
            return read_status(self._directory)
        except RunDirectoryError as error:
            self._faults.add("status", f"{error}: going by the rest")
            return None

    def _check_server(self) -> None:
        """See that the run goes to the server that it was made for: a run's directory must not choose who gets the key.

        Raises:
            DeliveryError: Another one is configured here.
        """
        named = self._manifest.base_url
        here = without_user(server_address())
        if named is not None and not is_same_server(named, here):
            raise DeliveryError(
                f"{self._directory.path} names the W&B server {named}, and {here} is configured here:"
                " nothing is sent. To send it to one of them, name it with 'ups deliver --base-url'"
            )

    def run(self) -> Status:
        """Deliver until the run has ended and W&B holds every row, or patience runs out. Returns the last status."""
        try:
            if not self._nothing_waits():
                self._deliver()
            return self.status
        except BaseException:
            self._tell("stopped")
            raise
        finally:
            self._ledger.close()
            liveness.release(self._directory.running_mark)

    def _deliver(self) -> None:
        """One session after another, until W&B holds every row or patience runs out."""
        failed = 0
        progress = (0, 0)
        since = time.monotonic()
        while True:
            try:
                self._session()
                held = self._verify()
                if held is Held.SHORT:
                    self._fault(
                        "short",
                        f"W&B held {self.status.held_of_all} when the run was closed: delivering the rest again",
                    )
                elif self._lifetime.pass_on():
                    self.status.owner = self._lifetime.owner
                    failed, since = 0, time.monotonic()
                    continue
                else:
                    self._close(held)
                    return
            except SessionLost as lost:
                self.status.denied = lost.denied
                self._fault("session", f"{lost}. Rows wait in the journal; trying again")
            except OSError as error:
                self._fault("disk", f"delivery cannot write {error.filename or 'its files'}: {error.strerror}")
            except RunFileError as error:
                self._fault("disk", f"{error}. Rows wait in the journal; trying again")
            self._handed = max(self._handed, self.status.rows)
            reached = (self.status.confirmed_rows or 0, self.status.rows)
            if reached > progress:
                progress, since, failed = reached, time.monotonic(), 0
            patience = _PATIENCE_DENIED if self.status.denied else PATIENCE
            if self._lifetime.exit_code() is not None and time.monotonic() - since > patience:
                self._tell("undelivered")
                return
            self._wait(_RETRY[min(failed, len(_RETRY) - 1)])
            failed += 1

    def _close(self, held: Held) -> None:
        """Report how it ended."""
        self.status.confirmed = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self.status.confirmed_rows = None
            self._faults.add(
                "unconfirmed",
                f"the server cannot be asked what it holds: {self.status.rows:,} rows were given to it, and it has not"
                " confirmed them. They are not sent again",
            )
        if held is Held.GAP:
            self._faults.add("gap", gap_in_words(self.status, self._directory))
        self._tell("incomplete" if held is Held.GAP else "finished")

    def _nothing_waits(self) -> bool:
        """Whether the delivery before this one came to its end, nothing was journaled since, and W&B still holds it."""
        before = self._before
        if before is None or before.state not in ("finished", "incomplete") or before.mode != self.status.mode:
            return False
        if self._lifetime.owner not in (None, before.owner):
            return False  # the run shall be closed by what this owner says
        if beyond(self._directory, self._ledger.offsets(), self._directory.processes()):
            return False
        self.status = dataclasses.replace(before, pid=os.getpid(), faults={})
        if self.status.mode == "online":
            held = self._verify()
            if held is Held.SHORT:
                self._fault("short", f"W&B holds {self.status.held_of_all}: delivering the rest")
                return False
            self._close(held)
        return True

    def _session(self) -> None:
        """One session, from ``wandb.init`` to ``finish``."""
        self._tell("starting")
        held = -1 if self.status.mode == "online" else last_step_held(self._directory)
        begin = self._directory.start_of(self._lifetime.owner) if self._lifetime.owner is not None else None
        session = Session(
            self._directory,
            self._manifest,
            self.status.mode,
            begin=begin,
            by_trainer=self._by_trainer,
            own_process=self._own_process,
        )
        try:
            self.status.url, self.status.project = session.url, session.project
            self.status.entity = session.entity
            if self.status.mode == "online":
                held = self._held_at_start(session)
            held_rows = self._ledger.go_on(held, max(held + 1, session.next_step))
            self.status.backend = session.backend
            self.status.denied = False
            self._tell("delivering")
            journals = RowReader(self._directory, self._manifest.repeated)
            feeder = Feeder(
                session,
                journals,
                self._directory,
                self._ledger,
                self._cursor,
                held_rows,
                on_end=self._lifetime.note,
                on_refusal=self._note_refusal,
            )
            intake = Intake(
                self._directory,
                journals,
                self._ledger,
                self._cursor,
                session,
                feeder,
                self._lifetime,
                on_fault=self._fault,
                on_progress=lambda: self._progress(session, feeder),
            )
            exit_code = self._follow(session, feeder, intake)
            if self._lifetime.unknown is not None:
                self._fault(
                    "copied",
                    f"{self._directory.path} was copied while {self._lifetime.unknown} was training: how that ended is"
                    " not in the copy. The run is closed as finished: copy it again after its end, and deliver it",
                )
            self._note_progress(feeder)
            self.status.expected = dict(feeder.expected)
            self._tell("finishing")
            session.finish(exit_code)
        except BaseException:
            session.abandon()
            raise

    def _held_at_start(self, session: Session) -> int:
        """The last number that the server holds, by its own word; -1 for none.

        Where it cannot be asked, what earlier sessions were given is not given again.
        """
        if not session.resumed and not self._handed:
            return -1
        until = time.monotonic() + ASKING
        while True:
            try:
                return self._held_online().last_step
            except SessionLost as lost:
                if time.monotonic() > until:
                    self._fault("unanswered", f"{lost}: rows that it was given are not given again")
                    break
            session.check()
            time.sleep(1.0)
        if session.next_step > 0:
            return session.next_step - 1
        return self._ledger.number(self._handed - 1) if self._handed else -1

    def _follow(self, session: Session, feeder: Feeder, intake: Intake) -> int:
        """Hand over what the ledger has, then what is new, until the run has ended. Returns its exit code."""
        intake.take_again()
        if feeder.gone:
            self._fault(
                "gone",
                f"{feeder.gone:,} rows that were taken up are no longer in the journals, as after a power cut: W&B"
                " may hold them, and their numbers are not given to others",
            )
        feeder.restore_summary()
        while True:
            ended = self._lifetime.exit_code()  # asked before the journals are read, so that nothing comes between
            if not intake.take_new(ended=ended is not None):
                if ended is not None:
                    self._save_cursor()
                    return ended
                session.check()
                time.sleep(_POLL)

    def _note_refusal(self, refused: Refused) -> None:
        """Count something that wandb would not take, though it goes on taking the rest."""
        self._fault(f"refused:{refused.what}", str(refused))

    def _verify(self, *, closed: bool = True, lag: float = SERVER_LAG) -> Held:
        """Ask W&B what it holds; online, the answer is ``ALL`` only once the run is ``closed`` there, if it shall be.

        A server is given some time to show the newest rows, and more to count them.
        """
        if self.status.mode == "offline":
            self._wait_for_last_block()
            self.status.confirmed_rows = self._ledger.rows_up_to(last_step_held(self._directory))
            return Held.ALL if self.status.confirmed_rows >= self.status.rows else Held.SHORT
        return ask_server(self._held_online, self.status, self._ledger, closed=closed, lag=lag)

    def _wait_for_last_block(self) -> None:
        """Beside other runs of this process wandb-core lives on, and may write the run's end a little later."""
        until = time.monotonic() + _LAST_BLOCK
        while not self._own_process and time.monotonic() < until:
            newest = self._directory.segments()[-1]
            if Run(newest, [newest]).finished:
                return
            time.sleep(_POLL)

    def _held_online(self) -> ServerHolds:
        return held_by_server(self.status.entity, self.status.project, self._manifest.run_id)

    def _progress(self, session: Session, feeder: Feeder) -> None:
        now = time.monotonic()
        if now >= self._next_save:
            self._next_save = now + _SAVE_EVERY
            self._save_cursor()
            liveness.keep(self._directory.running_mark)
        if now >= self._next_status:
            self._note_progress(feeder)
            self._tell(self.status.state)
        if session.stop_requested and not self.status.stop:
            session.check()
            self._judge_stop(session, feeder)

    def _save_cursor(self) -> None:
        """What it guards is delivered at least once, so rows need not wait for it."""
        try:
            self._cursor.save()
        except OSError as error:
            self._fault(
                "cursor", f"delivery cannot write its cursor ({error.strerror}): alerts and files may come twice"
            )

    def _note_progress(self, feeder: Feeder) -> None:
        self.status.rows = feeder.rows
        self.status.consumed_bytes = sum(self._ledger.offsets().values())
        self.status.skipped_values = feeder.skipped_values

    def _judge_stop(self, session: Session, feeder: Feeder) -> None:
        """wandb asks to stop for two reasons. Where the server has what it was given, it was the Stop button.

        Raises:
            SessionLost: The server has not: wandb has given up uploading.
        """
        self._note_progress(feeder)
        held = self._verify(closed=False, lag=_STOP_LAG)
        if held is Held.SHORT:
            raise SessionLost(f"the server has refused rows for good: it holds {self.status.held_of_all}")
        self.status.stop = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self._fault("stop", "W&B asks to stop, and the server cannot be asked why: the training is not told")
            session.take_stop_for_seen()
        self._tell(self.status.state)

    def _wait(self, seconds: float) -> None:
        """Wait before the next session; not as long where the run ends meanwhile, since somebody waits then."""
        self._tell("starting")
        ended, until = self._lifetime.exit_code() is not None, time.monotonic() + seconds
        while time.monotonic() < until and (self._lifetime.exit_code() is not None) == ended:
            time.sleep(_POLL)

    def _fault(self, kind: str, message: str, count: int = 1) -> None:
        self._faults.add(kind, message, count)
        self._tell(self.status.state)

    def _tell(self, state: str) -> None:
        self._next_status = time.monotonic() + _STATUS_EVERY
        changed = state != self.status.state
        self.status.state = state
        self.status.faults = self._faults.as_dict()
        try:
            write_status(self._directory, self.status, sync=changed)
        except OSError as error:
            self._faults.add("status", f"delivery cannot write its status: {error.strerror}")
        self._on_progress(self.status)
