"""Delivery: journal → W&B, each row exactly once.

A delivery goes through *sessions* (:mod:`ups.tracking.session`); a healthy run has one. Each session begins at the
start of the journals and goes through them in the order that the sequence (:mod:`ups.tracking.sequence`) has
written down, which gives every row the number it had before. What W&B holds already, by the last step in its
files or at its server, is passed over; the rest is handed over with its number as W&B's ``step``; then the session
takes up what is new, writing each stretch down before it hands a row of it over. So a crash at any instant costs
nothing and repeats nothing: a row whose number W&B holds is not given again, and W&B rejects a step it has.

Summary, configuration and tags are set again by each session. Alerts, artifacts, saved files and console lines have
a cursor that is written after the fact: they arrive at least once.

The disk comes first: what a session is handed is on the disk before, in the journal and in the sequence. So W&B never
holds a row that a power cut can take from them, and a run that is resumed after one numbers on where W&B stands.

At the end W&B is asked what it holds: its file offline, its server online, of which also the rows of each metric are
counted. A session that ended short of the journal is followed by another, until patience runs out; then the delivery
reports what is missing. A server that lacks rows between others takes them no more, and one that cannot be asked is not
sent again what it was given: both are reported.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from ups.errors import DeliveryError, RunDirectoryError, RunFileError
from ups.runfile import open_run
from ups.tracking import liveness
from ups.tracking.console import ConsoleReader
from ups.tracking.credentials import is_same_server, server_address, without_user
from ups.tracking.durable import sync_file, sync_folder
from ups.tracking.faults import Faults
from ups.tracking.handover import Cursor, Handover, Prepared
from ups.tracking.held import ASKING, SERVER_LAG, Held, ask_server, gap_in_words
from ups.tracking.journal import JournalReader
from ups.tracking.rows import RowRule
from ups.tracking.run_directory import RunDirectory
from ups.tracking.run_end import RunEnd
from ups.tracking.segments import last_step_held
from ups.tracking.sequence import Sequence, Stretch
from ups.tracking.session import (
    Refused,
    ServerHolds,
    Session,
    SessionLost,
    end_backend,
    held_by_server,
)
from ups.tracking.status import Status, read_status, write_status
from ups.tracking.undelivered import waits_beyond

__all__ = ["PATIENCE", "Delivery"]

PATIENCE = 900.0  # seconds without progress after the run's end before a delivery gives up
_PATIENCE_DENIED = 60.0  # where the server refuses the credentials: a person must act

_POLL = 0.05  # seconds
_STATUS_EVERY = 0.25  # seconds
_SYNC_EVERY = 1.0  # seconds between the syncs that come before a handover
_STRETCH = 2_000  # records written down at once
_AT_ONCE = 4  # stretches between two syncs
_NEVER = 2**62  # bytes: more than any file has
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
        self._description = directory.describe()
        if mode == "online" and not any_server:
            self._check_server()
        self._by_trainer = owner is not None
        self._run_end = RunEnd(directory, owner)
        self._own_process = own_process
        self._on_progress = on_progress
        self._faults = Faults(say=False)
        if not liveness.hold(directory.delivery / "running"):
            raise DeliveryError(f"{directory.path} is being delivered by another process: let that one finish")
        try:
            self.status = Status(pid=os.getpid(), owner=owner, mode=mode)
            self._before = self._read_status()
            if self._before is None and (directory.delivery / "status.json").exists():
                self._faults.add("status", f"{directory.delivery / 'status.json'} was damaged: made again")
            if self._before is not None:
                end_backend(self._before.backend)
                self.status.url = self._before.url
            for problem in self._description.problems:
                self._faults.add("description", problem)
            self._sequence = Sequence(directory.delivery / "sequence.jsonl")
            self._cursor = Cursor(directory.delivery / "cursor.json")
            # Rows that sessions before were given, as far as is known.
            self._handed = self._before.rows if self._before is not None else self._sequence.rows or 0
        except BaseException as error:
            liveness.release(directory.delivery / "running")
            if isinstance(error, OSError):
                place = error.filename or directory.delivery
                raise RunDirectoryError(f"cannot write {place}: {error.strerror}") from error
            raise
        self._readers: dict[str, JournalReader] = {}
        self._consoles: dict[str, ConsoleReader] = {}
        self._named: set[str] = set()  # processes whose journals' names are on the disk
        self._next_status = self._next_sync = self._next_save = 0.0

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
        named = self._description.base_url
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
                held = self._verify()
                if held is Held.SHORT:
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
            reached = (self.status.held or 0, self.status.rows)
            if reached > progress:
                progress, since, failed = reached, time.monotonic(), 0
            patience = _PATIENCE_DENIED if self.status.denied else PATIENCE
            if self._run_end.exit_code() is not None and time.monotonic() - since > patience:
                self._tell("undelivered")
                return
            self._wait(_RETRY[min(failed, len(_RETRY) - 1)])
            failed += 1

    def _close(self, held: Held) -> None:
        """Report how it ended."""
        self.status.confirmed = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self.status.held = None
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
        if self._run_end.owner not in (None, before.owner):
            return False  # the run shall be closed by what this owner says
        if waits_beyond(self._directory, self._sequence.offsets(), self._directory.processes()):
            return False
        self.status = dataclasses.replace(before, pid=os.getpid(), faults={})
        if self.status.mode == "online":
            held = self._verify()
            if held is Held.SHORT:
                self._fault("short", f"W&B holds {self.status.held} of {self.status.rows} rows: delivering the rest")
                return False
            self._close(held)
        return True

    def _session(self) -> None:
        """One session, from ``wandb.init`` to ``finish``."""
        self._tell("starting")
        held = -1 if self.status.mode == "online" else last_step_held(self._directory)
        begin = self._directory.begin_of(self._run_end.owner) if self._run_end.owner is not None else None
        session = Session(
            self._directory,
            self._description,
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
            if self._run_end.unknown is not None:
                self._fault(
                    "copied",
                    f"{self._directory.path} was copied while {self._run_end.unknown} was training: how that ended is"
                    " not in the copy. The run is closed as finished: copy it again after its end, and deliver it",
                )
            self._note_progress(handover)
            self.status.expected = dict(handover.expected)
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
        return self._sequence.number(self._handed - 1) if self._handed else -1

    def _follow(self, session: Session, handover: Handover) -> int:
        """Hand over what the sequence has, then what is new, until the run has ended. Returns its exit code."""
        for stretch in self._sequence:
            for _ in handover.take_again(stretch, self._read_stretch(stretch)):
                if time.monotonic() >= self._next_status:
                    self._progress(session, handover)
        if handover.gone:
            self._fault(
                "gone",
                f"{handover.gone:,} rows that were taken up are no longer in the journals, as after a power cut: W&B"
                " may hold them, and their numbers are not given to others",
            )
        handover.restore_summary()
        offsets = self._sequence.offsets()
        for process in self._directory.processes():
            self._reader(process).offset = offsets.get(process, 0)
        while True:
            ended = self._run_end.exit_code()  # asked before the journals are read, so that nothing comes between
            moved = self._take_new(session, handover, at_once=ended is not None)
            for process in self._directory.processes():
                moved |= self._take_console(process, session, ended=ended is not None)
                self._progress(session, handover)
            if not moved:
                if ended is not None:
                    self._save_cursor()
                    return ended
                session.check()
                time.sleep(_POLL)

    def _take_new(self, session: Session, handover: Handover, *, at_once: bool) -> bool:
        """Take up what the journals have beyond the sequence, once it is on the disk: whether there was any.

        Args:
            at_once: Not to wait until it is time for the next sync.
        """
        if not at_once and time.monotonic() < self._next_sync and not self._run_end.is_near():
            return False
        taken: list[tuple[str, list[Prepared]]] = []
        moved = False
        for process in self._directory.processes():
            # All that is there now: a process that began later may go on from it. The rest comes in its turn.
            moved |= self._take_written(process, taken, session, handover)
            if handover.rule.is_open(process) and self._is_over(process, ended=at_once):
                self._take_written(process, taken, session, handover)  # what came before it was over
                taken.append((process, self._settle(process, handover)))
                moved = True
        if taken:
            self._hand_over(taken, session, handover)
        return moved

    def _take_written(
        self, process: str, taken: list[tuple[str, list[Prepared]]], session: Session, handover: Handover
    ) -> bool:
        """Take up what is in a process's journal now: whether there was any. Some of ``taken`` may be handed over."""
        size = self._directory.journal_of(process).stat().st_size
        moved = False
        while self._reader(process).offset < size and (prepared := self._write_down(process, handover)) is not None:
            taken.append((process, prepared))
            moved = True
            if len(taken) >= _AT_ONCE:
                self._hand_over(taken, session, handover)
        return moved

    def _write_down(self, process: str, handover: Handover) -> list[Prepared] | None:
        """The next stretch of a journal, prepared and written down; None where there is none."""
        reader = self._reader(process)
        start, damaged = reader.offset, reader.damaged
        prepared: list[Prepared] = []
        count = 0
        for count, (record, offset) in enumerate(reader.read(), 1):
            prepared += handover.prepare(process, record, offset)
            if count == _STRETCH:
                break
        if reader.damaged > damaged:
            self._fault(
                "damaged",
                f"{reader.path} has lines that are no journal lines: passed over",
                reader.damaged - damaged,
            )
        if not count:
            return None
        rows = sum(each.numbered for each in prepared)
        self._sequence.add(Stretch(process, start, reader.offset, rows))
        return prepared

    def _is_over(self, process: str, *, ended: bool) -> bool:
        """True where a process gives its open rows no more values: it is gone, or the run that it joined has ended.

        A training that goes on with a run that has ended is in another session's turn.
        """
        if self._directory.is_alive(process):
            return ended and process not in self._directory.owners()
        return True

    def _settle(self, process: str, handover: Handover) -> list[Prepared]:
        """The rows that a process left open, which is gone, or whose run has ended; written down."""
        offset = self._reader(process).offset
        prepared = handover.settle(process, offset)
        self._sequence.add(Stretch(process, offset, offset, len(prepared), settled=True))
        return prepared

    def _hand_over(self, taken: list[tuple[str, list[Prepared]]], session: Session, handover: Handover) -> None:
        """Put what was taken on the disk, then give it to W&B; empties ``taken``."""
        for process in dict.fromkeys(process for process, _ in taken):
            sync_file(self._directory.journal_of(process))
        if not self._named.issuperset(process for process, _ in taken):
            self._named.update(process for process, _ in taken)
            sync_folder(self._directory.journal)
        self._sequence.sync()
        self._next_sync = time.monotonic() + _SYNC_EVERY
        for process, prepared in taken:
            handover.take(process, prepared)
            self._progress(session, handover)
        taken.clear()

    def _take_console(self, process: str, session: Session, *, ended: bool) -> bool:
        key = f"console/{process}"
        reader = self._consoles.get(process)
        if reader is None:
            path = self._directory.console_of(process)
            reader = self._consoles[process] = ConsoleReader(path, self._cursor.get(key))
        try:
            text = reader.read(ended=ended)
        except RunDirectoryError as error:  # a link, or no file: whatever it leads to is not the run's
            self._fault(f"console:{process}", str(error))
            reader.offset = _NEVER
            return False
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

    def _verify(self, *, closed: bool = True, lag: float = SERVER_LAG) -> Held:
        """Ask W&B what it holds; online, the answer is ``ALL`` only once the run is ``closed`` there, if it shall be.

        A server is given some time to show the newest rows, and more to count them.
        """
        if self.status.mode == "offline":
            self._wait_for_last_block()
            self.status.held = self._sequence.rows_up_to(last_step_held(self._directory))
            return Held.ALL if self.status.held >= self.status.rows else Held.SHORT
        return ask_server(self._held_online, self.status, self._sequence, closed=closed, lag=lag)

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
        if now >= self._next_save:
            self._next_save = now + _SYNC_EVERY
            self._save_cursor()
            liveness.keep(self._directory.delivery / "running")
        if now >= self._next_status:
            self._note_progress(handover)
            self._tell(self.status.state)
        if session.stop_requested and not self.status.stop:
            session.check()
            self._judge_stop(session, handover)

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

    def _judge_stop(self, session: Session, handover: Handover) -> None:
        """wandb asks to stop for two reasons. Where the server has what it was given, it was the Stop button.

        Raises:
            SessionLost: The server has not: wandb has given up uploading.
        """
        self._note_progress(handover)
        held = self._verify(closed=False, lag=_STOP_LAG)
        if held is Held.SHORT:
            raise SessionLost(f"the server has refused rows for good: it holds {self.status.held} of {handover.rows}")
        self.status.stop = held is not Held.UNKNOWN
        if held is Held.UNKNOWN:
            self._fault("stop", "W&B asks to stop, and the server cannot be asked why: the training is not told")
            session.take_stop_for_seen()
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
        changed = state != self.status.state
        self.status.state = state
        self.status.faults = self._faults.as_dict()
        try:
            write_status(self._directory, self.status, sync=changed)
        except OSError as error:
            self._faults.add("status", f"delivery cannot write its status: {error.strerror}")
        self._on_progress(self.status)
