"""Delivery: journal → W&B, each row exactly once.

A delivery goes through *sessions* (:mod:`ups.tracking.session`); a healthy run has one. Each session begins at the
start of the journals and goes through them in the order that the sequence (:mod:`ups.tracking.sequence`) has
written down, which gives every row the number it had before. What W&B holds already, by the last step in its
files or at its server, is passed over; the rest is handed over with its number as W&B's ``step``; then the session
takes up what is new, writing each stretch down before it hands a row of it over. So a crash at any instant costs
nothing and repeats nothing: a row whose number W&B holds is not given again, and W&B rejects a step it has.

Summary, configuration and tags are set again by each session. Alerts, artifacts, saved files and console lines have
a cursor that is written after the fact: they arrive at least once.

At the end W&B is asked what it holds: its file offline, its server online. A session that ended short of the
journal is followed by another, until patience runs out; then the delivery says what is missing.
"""

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from ups.errors import DeliveryError, RunDirectoryError, RunFileError
from ups.runfile import open_run
from ups.tracking import liveness
from ups.tracking.console import ConsoleReader
from ups.tracking.faults import Faults
from ups.tracking.handover import Cursor, Handover
from ups.tracking.journal import JournalReader
from ups.tracking.rows import RowRule
from ups.tracking.run_directory import RunDirectory
from ups.tracking.run_end import RunEnd
from ups.tracking.segments import last_step_held
from ups.tracking.sequence import Sequence, Stretch
from ups.tracking.session import Refused, ServerHolds, Session, SessionLost, end_backend, held_by_server
from ups.tracking.status import Status, read_status, write_status

__all__ = ["PATIENCE", "Delivery"]

PATIENCE = 900.0  # seconds without progress after the run's end before a delivery gives up
_PATIENCE_DENIED = 60.0  # where the server refuses the credentials: a person must act

_POLL = 0.05  # seconds
_STATUS_EVERY = 0.25  # seconds
_SYNC_EVERY = 1.0  # seconds
_STRETCH = 2_000  # records written down at once
_LAST_BLOCK = 10.0  # seconds that wandb-core may take to write the end of a file
_STOP_LAG = 45.0  # seconds; wandb uploads every 15, and only then can the server show more
_SERVER_LAG = 8.0  # seconds that a server may take to show more of what it was given
_RETRY = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds between sessions


class Delivery:
    """Delivers one run until it has ended and W&B holds it.

    Args:
        directory: The run's directory.
        mode: ``online`` or ``offline``.
        owner: The process whose end is the run's end. Without one the run ends when no process of it lives.
        own_process: Whether this process is delivery's alone.

    Raises:
        DeliveryError: Another delivery has this run.
        RunDirectoryError: The directory cannot be read or written.
    """

    def __init__(
        self,
        directory: RunDirectory,
        mode: str,
        *,
        owner: str | None = None,
        own_process: bool = True,
        on_progress: Callable[[Status], None] = lambda status: None,
    ) -> None:
        self._directory = directory
        self._description = directory.describe()
        self._run_end = RunEnd(directory, owner)
        self._own_process = own_process
        self._on_progress = on_progress
        self._faults = Faults(say=False)
        if not liveness.hold(directory.delivery / "running"):
            raise DeliveryError(f"{directory.path} is being delivered by another process: let that one finish")
        try:
            self.status = Status(pid=os.getpid(), owner=owner, mode=mode)
            self._before = self._read_status()
            if self._before is not None:
                end_backend(self._before.backend)
                self.status.url = self._before.url
            self._sequence = Sequence(directory.delivery / "sequence.jsonl")
            self._cursor = Cursor(directory.delivery / "cursor.json")
        except BaseException:
            liveness.release(directory.delivery / "running")
            raise
        self._readers: dict[str, JournalReader] = {}
        self._consoles: dict[str, ConsoleReader] = {}
        self._next_status = self._next_sync = 0.0

    def _read_status(self) -> Status | None:
        try:
            return read_status(self._directory)
        except RunDirectoryError as error:
            self._faults.add("status", f"{error}: going by the rest")
            return None

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
            self._sequence.close()
            liveness.release(self._directory.delivery / "running")

    def _deliver(self) -> None:
        """One session after another, until W&B holds every row or patience runs out."""
        failed = 0
        progress = (0, 0)
        since = time.monotonic()
        while True:
            try:
                self._session()
                if not self._verify():
                    self._fault(
                        "short",
                        f"W&B held {self.status.held} of {self.status.rows} rows when the run was closed: delivering"
                        " the rest again",
                    )
                elif self._run_end.pass_on():
                    self.status.owner = self._run_end.owner
                    failed, since = 0, time.monotonic()
                    continue
                else:
                    self._tell("finished")
                    return
            except SessionLost as lost:
                self.status.denied = lost.denied
                self._fault("session", f"{lost}. Rows wait in the journal; trying again")
            except OSError as error:
                self._fault("disk", f"delivery cannot write {error.filename or 'its files'}: {error.strerror}")
            except RunFileError as error:
                self._fault("disk", f"{error}. Rows wait in the journal; trying again")
            reached = (self.status.held or 0, self.status.rows)
            if reached > progress:
                progress, since, failed = reached, time.monotonic(), 0
            patience = _PATIENCE_DENIED if self.status.denied else PATIENCE
            if self._run_end.exit_code() is not None and time.monotonic() - since > patience:
                self._tell("undelivered")
                return
            self._wait(_RETRY[min(failed, len(_RETRY) - 1)])
            failed += 1

    def _nothing_waits(self) -> bool:
        """Whether the delivery before this one finished, and nothing was journaled since."""
        before = self._before
        if before is None or before.state != "finished" or before.mode != self.status.mode:
            return False
        if self._run_end.owner not in (None, before.owner):
            return False  # the run shall be closed by what this owner says
        offsets = self._sequence.offsets()
        sizes = {process: self._directory.journal_of(process).stat().st_size for process in self._directory.processes()}
        if sizes != {process: offsets.get(process, 0) for process in sizes}:
            return False
        self.status = before
        return True

    def _session(self) -> None:
        """One session, from ``wandb.init`` to ``finish``."""
        self._tell("starting")
        held = -1 if self.status.mode == "online" else last_step_held(self._directory)
        begin = self._directory.begin_of(self._run_end.owner) if self._run_end.owner is not None else None
        session = Session(
            self._directory, self._description, self.status.mode, begin=begin, own_process=self._own_process
        )
        try:
            self.status.url, self.status.project = session.url, session.project
            self.status.entity = session.entity
            if session.resumed:
                held = self._held_online().last_step
            held_rows = self._sequence.go_on(held, max(held + 1, session.next_step))
            self.status.backend = session.backend
            self.status.denied = False
            self._tell("delivering")
            rule = RowRule(self._description.repeated)
            handover = Handover(
                session,
                rule,
                self._directory,
                self._sequence,
                self._cursor,
                held_rows,
                on_end=self._run_end.note,
                on_refusal=self._note_refusal,
            )
            exit_code = self._follow(session, handover)
            self._note_progress(handover)
            self._tell("finishing")
            session.finish(exit_code)
        except BaseException:
            session.abandon()
            raise

    def _follow(self, session: Session, handover: Handover) -> int:
        """Hand over what the sequence has, then what is new, until the run has ended. Returns its exit code."""
        for stretch in self._sequence:
            for record in self._read_stretch(stretch):
                handover.take(stretch.process, [record])
                if time.monotonic() >= self._next_status:
                    self._progress(session, handover)
        handover.restore_summary()
        offsets = self._sequence.offsets()
        for process in self._directory.processes():
            self._reader(process).offset = offsets.get(process, 0)
        while True:
            ended = self._run_end.exit_code()  # asked before the journals are read, so that nothing comes between
            moved = False
            for process in self._directory.processes():
                # All that is there now: a process that began later may go on from it. The rest comes in its turn.
                size = self._directory.journal_of(process).stat().st_size
                while self._reader(process).offset < size and self._take_new(process, handover):
                    moved = True
                    self._progress(session, handover)
                moved |= self._take_console(process, session, ended=ended is not None)
                self._progress(session, handover)
            if not moved:
                if ended is not None:
                    self._save_cursor()
                    self._sequence.sync()
                    return ended
                session.check()
                time.sleep(_POLL)

    def _take_new(self, process: str, handover: Handover) -> bool:
        reader = self._reader(process)
        start, damaged = reader.offset, reader.damaged
        records = []
        for record in reader.read():
            records.append(record)
            if len(records) == _STRETCH:
                break
        if reader.damaged > damaged:
            self._fault(
                "damaged",
                f"{reader.path} has lines that are no journal lines: passed over",
                reader.damaged - damaged,
            )
        if not records:
            return False
        self._sequence.add(Stretch(process, start, reader.offset))
        handover.take(process, records)
        return True

    def _take_console(self, process: str, session: Session, *, ended: bool) -> bool:
        key = f"console/{process}"
        reader = self._consoles.get(process)
        if reader is None:
            path = self._directory.console_of(process)
            reader = self._consoles[process] = ConsoleReader(path, self._cursor.get(key))
        text = reader.read(ended=ended)
        if text:
            session.write_console(text)
            self._cursor.set(key, reader.offset)
        return bool(text)

    def _read_stretch(self, stretch: Stretch) -> Iterable[tuple[dict[str, Any], int]]:
        yield from JournalReader(self._directory.journal_of(stretch.process), stretch.start).read(until=stretch.end)

    def _reader(self, process: str) -> JournalReader:
        if process not in self._readers:
            self._readers[process] = JournalReader(self._directory.journal_of(process))
        return self._readers[process]

    def _note_refusal(self, refused: Refused) -> None:
        """Count something that wandb would not take, though it goes on taking the rest."""
        self._fault(f"refused:{refused.what}", str(refused))

    def _verify(self, *, closed: bool = True, lag: float = _SERVER_LAG) -> bool:
        """Whether W&B holds every row, by its own word; online, also whether the run is ``closed`` there.

        A server is given some time to show the newest.
        """
        if self.status.mode == "offline":
            self._wait_for_last_block()
            self.status.held = self._sequence.rows_up_to(last_step_held(self._directory))
            return self.status.held >= self.status.rows
        until = time.monotonic() + lag
        while True:
            server = self._held_online()
            held = self._sequence.rows_up_to(server.last_step)
            if held > (self.status.held or 0):
                until = time.monotonic() + lag
            self.status.held, self.status.counts = held, server.counts
            if held >= self.status.rows and (server.closed or not closed):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.5)

    def _wait_for_last_block(self) -> None:
        """Beside other runs of this process wandb-core lives on, and may write the run's end a little later."""
        until = time.monotonic() + _LAST_BLOCK
        while not self._own_process and time.monotonic() < until:
            if open_run(self._directory.segments()[-1]).finished:
                return
            time.sleep(_POLL)

    def _held_online(self) -> ServerHolds:
        return held_by_server(self.status.entity, self.status.project, self._description.run_id)

    def _progress(self, session: Session, handover: Handover) -> None:
        now = time.monotonic()
        if now >= self._next_sync:
            self._next_sync = now + _SYNC_EVERY
            self._sequence.sync()
            self._save_cursor()
        if now >= self._next_status:
            self._note_progress(handover)
            self._tell(self.status.state)
        if session.stop_requested and not self.status.stop:
            session.check()
            self._judge_stop(handover)

    def _save_cursor(self) -> None:
        """What it guards is delivered at least once, so rows need not wait for it."""
        try:
            self._cursor.save()
        except OSError as error:
            self._fault(
                "cursor", f"delivery cannot write its cursor ({error.strerror}): alerts and files may come twice"
            )

    def _note_progress(self, handover: Handover) -> None:
        self.status.rows = handover.rows
        self.status.taken = sum(self._sequence.offsets().values())
        self.status.withheld = dict(handover.rule.withheld)

    def _judge_stop(self, handover: Handover) -> None:
        """wandb asks to stop for two reasons. Where the server has what it was given, it was the Stop button.

        Raises:
            SessionLost: The server has not: wandb has given up uploading.
        """
        self._note_progress(handover)
        if not self._verify(closed=False, lag=_STOP_LAG):
            raise SessionLost(f"the server has refused rows for good: it holds {self.status.held} of {handover.rows}")
        self.status.stop = True
        self._tell(self.status.state)

    def _wait(self, seconds: float) -> None:
        """Wait before the next session; not as long where the run ends meanwhile, since somebody waits then."""
        self._tell("starting")
        ended, until = self._run_end.exit_code() is not None, time.monotonic() + seconds
        while time.monotonic() < until and (self._run_end.exit_code() is not None) == ended:
            time.sleep(_POLL)

    def _fault(self, kind: str, message: str, count: int = 1) -> None:
        self._faults.add(kind, message, count)
        self._tell(self.status.state)

    def _tell(self, state: str) -> None:
        self._next_status = time.monotonic() + _STATUS_EVERY
        self.status.state = state
        self.status.faults = self._faults.as_dict()
        try:
            write_status(self._directory, self.status)
        except OSError as error:
            self._faults.add("status", f"delivery cannot write its status: {error.strerror}")
        self._on_progress(self.status)
