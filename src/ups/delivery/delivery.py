"""Delivery: journal → W&B, each row exactly once.

A delivery runs one *session* after another (:mod:`ups.delivery.session`); a healthy run needs one. Each session
reads the journals from their start, in the order of the ledger (:mod:`ups.journal.ledger`), so every row has the same
number in all sessions. It passes over the rows that W&B holds, by the last step in W&B's files or at its server, and
hands over the rest, each with its number as W&B's ``step``. Then it takes up new rows, and writes each span of them to
the ledger before it hands a row of it over. So a crash at any instant loses no row and repeats none: a row whose number
W&B holds is not given again, and W&B rejects a step that it has.

Each session sets summary, configuration and tags again. Alerts, artifacts, saved files and console lines have a cursor
that is written after the fact: they arrive at least once.

The disk comes first: a row is on the disk, in the journal and in the ledger, before a session hands it over. So a power
cut takes no row that W&B holds, and a run that is resumed after one continues its numbers where W&B stands.

At the end the delivery asks W&B what it holds: offline its file, online its server, which also counts the rows of each
metric. Where the last rows are missing, another session follows, until patience runs out; then the delivery reports
what is missing. A server that lacks rows between others no longer takes them, and a server that cannot be asked is not
sent its rows again: both are reported.
"""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

from ups.credentials import is_same_server, server_address, without_user
from ups.delivery.backend import end_backend
from ups.delivery.feeder import Feeder
from ups.delivery.intake import Intake
from ups.delivery.run_lifetime import RunLifetime
from ups.delivery.server import ServerHolds, held_by_server
from ups.delivery.server_count import ASKING, SERVER_LAG, Held, ask_server, gap_in_words
from ups.delivery.session import Session
from ups.delivery.status_report import StatusReport
from ups.delivery.wandb_errors import SessionLost
from ups.delivery.wandb_files import last_step_held, link_for_script
from ups.errors import DeliveryError, RunDirectoryError, RunFileError
from ups.journal import liveness
from ups.journal.ledger import Ledger
from ups.journal.row_reader import RowReader
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from ups.journal.waiting import has_new_records
from ups.runfile import Run

__all__ = ["PATIENCE", "Delivery"]

PATIENCE = 900.0  # seconds without progress after the run's end before a delivery gives up
_PATIENCE_DENIED = 60.0  # where the server refuses the credentials: a person must act

_POLL = 0.05  # seconds
_SAVE_EVERY = 1.0  # seconds between two saves of the cursor
_LAST_BLOCK = 10.0  # seconds that wandb-core may take to write the end of a file
_STOP_LAG = 45.0  # seconds; wandb uploads every 15, and the server can show more only after that
_MOST_NOTICES = 50
_RETRY = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between sessions


class Delivery:
    """Delivers one run, ``online`` or ``offline``, until it has ended and W&B holds it.

    Args:
        owner: The process whose end is the run's end. Without one the run ends when no process of it lives.
        wandb_folder: The folder that wandb has made for the run of a script, in which W&B's files are linked.
        own_process: Whether this process does nothing but deliver.
        any_server: Whether the run may go to the configured server though it was made for another.
        on_progress: Called with each status that the delivery reports.

    Raises:
        DeliveryError: Another delivery holds this run, or the run was made for another server than the configured one.
        RunDirectoryError: The directory cannot be read or written.
    """

    def __init__(
        self,
        directory: RunDirectory,
        mode: str,
        *,
        owner: str | None = None,
        wandb_folder: Path | None = None,
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
        self._wandb_folder = wandb_folder
        self._report = StatusReport(directory, Status(pid=os.getpid(), owner=owner, mode=mode), on_progress)
        if not liveness.hold(directory.running_mark):
            raise DeliveryError(f"{directory.path} is being delivered by another process: wait until that has ended")
        try:
            self._before = self._read_status()
            if self._before is not None:
                end_backend(self._before.backend)
                self._status.url = self._before.url
            for problem in self._manifest.problems:
                self._report.note("manifest", problem)
            self._ledger = Ledger(directory)
            # Rows that earlier sessions were given, as far as is known.
            self._handed = self._before.rows if self._before is not None else self._ledger.rows or 0
        except BaseException as error:
            liveness.release(directory.running_mark)
            if isinstance(error, OSError):
                place = error.filename or directory.delivery
                raise RunDirectoryError(f"cannot write {place}: {error.strerror}") from error
            raise
        self._next_save = 0.0

    @property
    def _status(self) -> Status:
        return self._report.status

    def _read_status(self) -> Status | None:
        """The last report of the delivery before this one; None if there was none, or it cannot be read."""
        try:
            before = read_status(self._directory)
        except RunDirectoryError as error:
            self._report.note("status", f"{error}: delivering without it")
            return None
        if before is None and self._directory.status_file.exists():
            self._report.note("status", f"{self._directory.status_file} was damaged: made again")
        return before

    def _check_server(self) -> None:
        """Check that the run goes to the server that it was made for: a run's directory must not choose who gets a key.

        Raises:
            DeliveryError: Another one is configured here.
        """
        named = self._manifest.base_url
        here = without_user(server_address())
        if named is not None and not is_same_server(named, here):
            raise DeliveryError(
                f"{self._directory.path} names the W&B server {named}, and {here} is configured here:"
                " nothing is sent. Name the server to send it to with 'ups deliver --base-url'"
            )

    def run(self) -> Status:
        """Deliver until the run has ended and W&B holds every row, or patience runs out. Returns the last status."""
        try:
            if not self._nothing_waits():
                self._deliver()
            return self._status
        except BaseException:
            self._report.write("stopped")
            raise
        finally:
            self._ledger.close()
            liveness.release(self._directory.running_mark)

    def _deliver(self) -> None:
        """Run one session after another, until W&B holds every row or patience runs out."""
        failed = 0
        progress = (0, 0)
        since = time.monotonic()
        while True:
            try:
                self._session()
                held = self._verify()
                if held is Held.SHORT:
                    message = f"W&B held {self._status.held_of_all} when the run was closed: delivering the rest again"
                    self._report.fault("short", message)
                elif self._lifetime.pass_on():
                    self._status.owner = self._lifetime.owner
                    failed, since = 0, time.monotonic()
                    continue
                else:
                    self._close(held)
                    return
            except SessionLost as lost:
                self._status.denied = lost.denied
                self._report.fault("session", f"{lost}. Rows wait in the journal; trying again")
            except OSError as error:
                self._report.fault("disk", f"delivery cannot write {error.filename or 'its files'}: {error.strerror}")
            except RunFileError as error:
                self._report.fault("disk", f"{error}. Rows wait in the journal; trying again")
            self._handed = max(self._handed, self._status.rows)
            reached = (self._status.confirmed_rows or 0, self._status.rows)
            if reached > progress:
                progress, since, failed = reached, time.monotonic(), 0
            patience = _PATIENCE_DENIED if self._status.denied else PATIENCE
            if self._lifetime.exit_code() is not None and time.monotonic() - since > patience:
                self._report.write("undelivered")
                return
            self._wait(_RETRY[min(failed, len(_RETRY) - 1)])
            failed += 1

    def _close(self, held: Held) -> None:
        """Report how the delivery ended."""
        self._status.confirmed = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self._status.confirmed_rows = None
            self._report.note(
                "unconfirmed",
                f"the server cannot be asked what it holds: {self._status.rows:,} rows were given to it, and it has not"
                " confirmed them. They are not sent again",
            )
        if held is Held.GAP:
            self._report.note("gap", gap_in_words(self._status, self._directory))
        self._report.write("incomplete" if held is Held.GAP else "finished")

    def _nothing_waits(self) -> bool:
        """True where the delivery before this one was the last that is needed: W&B holds all that was journaled."""
        before = self._before
        if before is None or before.state not in ("finished", "incomplete") or before.mode != self._status.mode:
            return False
        if self._lifetime.owner not in (None, before.owner):
            return False  # the run is to be closed with this owner's exit code
        if has_new_records(self._directory):
            return False
        self._report.status = dataclasses.replace(before, pid=os.getpid(), faults={})
        if self._status.mode == "online":
            held = self._verify()
            if held is Held.SHORT:
                self._report.fault("short", f"W&B holds {self._status.held_of_all}: delivering the rest")
                return False
            self._close(held)
        return True

    def _session(self) -> None:
        """Run one session, from ``wandb.init`` to ``finish``."""
        self._report.write("starting")
        held = -1 if self._status.mode == "online" else last_step_held(self._directory)
        start = self._directory.start_of(self._lifetime.owner) if self._lifetime.owner is not None else None
        session = Session(
            self._directory,
            self._manifest,
            self._status.mode,
            start=start,
            by_trainer=self._by_trainer,
            own_process=self._own_process,
        )
        try:
            self._status.url, self._status.project = session.url, session.project
            self._status.entity, self._status.name = session.entity, session.name
            for capability, message in session.lacking.items():
                self._report.note_once(f"wandb:{capability}", message)
            self._link_for_script(session)
            if self._status.mode == "online":
                held = self._held_at_start(session)
            held_rows = self._ledger.continue_from(held, max(held + 1, session.next_step))
            self._status.backend = session.backend
            self._status.denied = False
            self._report.write("delivering")
            journals = RowReader(self._directory, self._manifest.repeated, guarded=self._manifest.guarded)
            feeder = Feeder(
                session,
                journals,
                self._directory,
                self._ledger,
                held_rows,
                on_end=self._lifetime.note,
                on_refusal=lambda refused: self._report.fault(f"refused:{refused.what}", str(refused)),
                by_trainer=self._by_trainer,
            )
            intake = Intake(
                feeder,
                self._lifetime,
                on_fault=self._report.fault,
                on_progress=lambda: self._progress(session, feeder),
            )
            exit_code = self._follow(session, feeder, intake)
            if self._lifetime.unknown is not None:
                self._report.fault(
                    "copied",
                    f"{self._directory.path} was copied while {self._lifetime.unknown} was training, so the copy does"
                    " not show how that ended. The run is closed as finished: copy it again after its end, and deliver"
                    " that copy",
                )
            for place, notice in enumerate(feeder.notices[:_MOST_NOTICES]):
                self._report.note(f"guard:{place}", notice)
            self._note_progress(feeder)
            self._status.expected = dict(feeder.expected)
            self._report.write("finishing")
            feeder.complete_summary()
            session.finish(exit_code)
            feeder.finished()
            self._save_cursor()
        except BaseException:
            session.abandon()
            raise

    def _link_for_script(self, session: Session) -> None:
        """Put W&B's files where the script that made the run, and what comes after it, looks for them."""
        if self._wandb_folder is None:
            return
        try:
            link_for_script(self._wandb_folder, session.folder, self._manifest.run_id)
        except OSError as error:
            self._report.note("links", f"{self._wandb_folder} has no link to {session.folder}: {error.strerror}")

    def _held_at_start(self, session: Session) -> int:
        """The last number that the server holds; -1 for none.

        Where it cannot be asked, the rows that earlier sessions were given are not given again.
        """
        if not session.resumed and not self._handed:
            return -1
        until = time.monotonic() + ASKING
        while True:
            try:
                last = self._held_online().last_step
                return last if last >= 0 else session.next_step - 1  # which wandb has from the server in another way
            except SessionLost as lost:
                if time.monotonic() > until:
                    self._report.fault("unanswered", f"{lost}: rows that it was given are not given again")
                    break
            session.check()
            time.sleep(1.0)
        if session.next_step > 0:
            return session.next_step - 1
        return self._ledger.number(self._handed - 1) if self._handed else -1

    def _follow(self, session: Session, feeder: Feeder, intake: Intake) -> int:
        """Hand over the rows in the ledger, then new ones, until the run has ended. Returns its exit code."""
        intake.take_ledger()
        if feeder.gone:
            self._report.fault(
                "gone",
                f"{feeder.gone:,} rows that were taken up are no longer in the journals, as after a power cut: W&B"
                " may hold them, and their numbers are not given to others",
            )
        feeder.restore_summary()
        while True:
            ended = self._lifetime.exit_code()  # asked first: what is journaled before the end is read below
            if not intake.take_new(ended=ended is not None):
                if ended is not None:
                    self._save_cursor()
                    return ended
                session.check()
                time.sleep(_POLL)

    def _verify(self, *, closed: bool = True, lag: float = SERVER_LAG) -> Held:
        """Ask W&B what it holds; a server as :func:`ask_server`."""
        if self._status.mode == "offline":
            self._wait_for_last_block()
            self._status.confirmed_rows = self._ledger.rows_up_to(last_step_held(self._directory))
            return Held.ALL if self._status.confirmed_rows >= self._status.rows else Held.SHORT
        closed = closed and not _stays_open()
        held = ask_server(self._held_online, self._status, self._ledger, closed=closed, lag=lag)
        if held is Held.ALL and self._status.rows and self._status.counts is None:
            self._report.note_once(
                "uncounted",
                "the server does not count the rows of each metric: delivery goes by the last row that it reports, and"
                " cannot see whether rows before that are missing",
            )
        return held

    def _wait_for_last_block(self) -> None:
        """Wait for the run's end in W&B's file: wandb-core may write it late where it serves other runs too."""
        until = time.monotonic() + _LAST_BLOCK
        while not self._own_process and time.monotonic() < until:
            newest = self._directory.segments()[-1]
            if Run(newest, [newest]).finished:
                return
            time.sleep(_POLL)

    def _held_online(self) -> ServerHolds:
        return held_by_server(self._status.entity, self._status.project, self._manifest.run_id)

    def _progress(self, session: Session, feeder: Feeder) -> None:
        now = time.monotonic()
        if now >= self._next_save:
            self._next_save = now + _SAVE_EVERY
            self._save_cursor()
            liveness.keep(self._directory.running_mark)
        if self._report.is_due():
            self._note_progress(feeder)
            self._report.write()
        if session.stop_requested and not self._status.stop:
            session.check()
            self._judge_stop(session, feeder)

    def _save_cursor(self) -> None:
        """Save the cursor. Where that fails, delivery continues: what it guards may come twice."""
        try:
            self._ledger.cursor.save()
        except OSError as error:
            message = f"delivery cannot write its cursor ({error.strerror}): alerts and files may come twice"
            self._report.fault("cursor", message)

    def _note_progress(self, feeder: Feeder) -> None:
        self._status.rows = feeder.rows
        self._status.consumed_bytes = sum(self._ledger.offsets().values())
        self._status.skipped_values = feeder.skipped_values

    def _judge_stop(self, session: Session, feeder: Feeder) -> None:
        """Find out why wandb asks to stop: the Stop button, where the server has every row that it was given.

        Raises:
            SessionLost: The server lacks rows: wandb has given up uploading.
        """
        self._note_progress(feeder)
        held = self._verify(closed=False, lag=_STOP_LAG)
        if held is Held.SHORT:
            raise SessionLost(f"the server has refused rows permanently: it holds {self._status.held_of_all}")
        self._status.stop = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self._report.fault("stop", "W&B asks to stop, and the server cannot be asked why: training continues")
            session.ignore_stop()
        self._report.write()

    def _wait(self, seconds: float) -> None:
        """Wait before the next session, and stop waiting when the run ends: then somebody waits for this delivery."""
        self._report.write("starting")
        ended, until = self._lifetime.exit_code() is not None, time.monotonic() + seconds
        while time.monotonic() < until and (self._lifetime.exit_code() is not None) == ended:
            time.sleep(_POLL)


def _stays_open() -> bool:
    """True where wandb is not to close the run at the server."""
    return os.environ.get("WANDB_X_UPDATE_FINISH_STATE", "").lower() in ("false", "0")
