"""A run's directory: who the run is, and where everything of it lies.

::

    <dir>/<run id>/
      run.json          the run: id, project, configuration, stages, program, git, … (:mod:`ups.journal.run_manifest`)
      journal/          one file a process: its rows; beside each, the mark that the process is alive
      console/          one file a process: what it printed
      media/            tables and images that were logged, and copies of saved files
      checkpoints/      the training's own
      delivery/         what delivery knows: ledger, cursor, status, log
      wandb/            W&B's own files
"""

import contextlib
import os
import re
import secrets
import socket
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ups.durable import sync_folder, write_new
from ups.errors import InvalidName, RunDirectoryError
from ups.journal import liveness
from ups.journal.run_manifest import RunManifest, manifest_from, manifest_text
from ups.journal.untrusted import LARGEST, is_finite, open_inside, parse, path_inside
from ups.text import command_line

__all__ = ["MANIFEST", "ProcessStart", "RunDirectory", "new_run_id", "runs_folder"]

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
MANIFEST = "run.json"
_TURN = 60.0  # seconds that a process waits for its turn to begin with a run
_LONGEST_BEGIN = 64 * 1024  # bytes of a journal's first line


@dataclass(frozen=True, kw_only=True)
class ProcessStart:
    """The first record of a process's journal.

    Attributes:
        time: Seconds since 1970.
        pid, host: The process.
        owner: Whether its end is the run's end.
        rank: Its rank in a distributed job; None outside one.
        order: Its place among the processes of the run, by what it found there; clocks can be set back.
        inode: The number of its journal's file, which a copy of the journal does not have; 0 if unknown.
    """

    time: float
    order: int = 0
    pid: int = 0
    host: str = ""
    owner: bool = False
    rank: int | None = None
    inode: int = 0


class RunDirectory:
    """The paths in a run's directory. Making one touches no disk; see :meth:`make` and :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts: dict[str, ProcessStart] = {}
        self.journal = path / "journal"
        self.console = path / "console"
        self.media = path / "media"
        self.delivery = path / "delivery"
        self.wandb = path / "wandb"
        self.manifest_file = path / MANIFEST
        self.ledger_file = self.delivery / "sequence.jsonl"
        self.cursor_file = self.delivery / "cursor.json"
        self.status_file = self.delivery / "status.json"
        self.log_file = self.delivery / "log.txt"
        self.running_mark = self.delivery / "running"

    @classmethod
    def make(cls, parent: Path, run_id: str) -> Self:
        """The directory of a run below ``parent``, with its folders. There may be a run in it already.

        Raises:
            InvalidName: The run id cannot be a folder's name.
            RunDirectoryError: The directory cannot be written.
        """
        if not isinstance(run_id, str) or not _RUN_ID.match(run_id):
            raise InvalidName(f"{run_id!r} is not a run id: use letters, digits, '_', '-' and '.', at most 128")
        directory = cls(parent / run_id)
        with directory._writing():
            _make_folder(directory.path)
            for folder in (directory.journal, directory.console, directory.delivery):
                _make_folder(folder)
        return directory

    def create(self, manifest: RunManifest) -> None:
        """Begin a new run here; its manifest is on the disk when this returns.

        Raises:
            RunDirectoryError: The directory holds a run already, or cannot be written.
        """
        text = manifest_text(manifest)
        with self._writing():
            if self.exists(self.path) or not write_new(self.manifest_file, text):
                raise RunDirectoryError(
                    f"{self.path} holds a run already: leave out run_id for a new run, resume that one with"
                    f" resume=True, or join it from another process with join_wandb_context({str(self.path)!r})"
                )

    @contextlib.contextmanager
    def beginning(self) -> Iterator[None]:
        """One process at a time may look who lives in the run and then begin with it, as its owner or beside one.

        Raises:
            RunDirectoryError: Others have been at it for a minute.
        """
        turn = self.journal / ".beginning"
        until = time.monotonic() + _TURN
        while not liveness.hold(turn):
            if time.monotonic() > until:
                raise RunDirectoryError(
                    f"another process has been beginning with the run in {self.path} for {_TURN:.0f} s: end it if it"
                    " hangs, and try again"
                )
            time.sleep(0.01)
        try:
            yield
        finally:
            liveness.release(turn)

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether there is a run's directory at ``path``: its manifest, or a journal whose manifest was lost."""
        return (path / MANIFEST).is_file() or any((path / "journal").glob("*.jsonl"))

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run's directory.

        Raises:
            RunDirectoryError: There is none at ``path``, or one of its folders is a link that leads out of it.
        """
        directory = cls(path)
        try:
            if not cls.exists(path):
                raise RunDirectoryError(f"{path} is not a UPS run directory: it has no {MANIFEST} and no journal")
            for folder in (directory.journal, directory.console, directory.media, directory.delivery, directory.wandb):
                with contextlib.suppress(FileNotFoundError):
                    path_inside(folder, path)
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be read: {error.strerror}") from error
        return directory

    def deliver_command(self, *options: str) -> str:
        """The command that delivers this run, to be pasted."""
        return command_line("ups", "deliver", *options, self.path)

    def read_manifest(self) -> RunManifest:
        """Read ``run.json``. What is damaged or missing there is made good from the rest, and noted as a problem.

        Raises:
            RunDirectoryError: It may not be read, or is of a newer schema than this UPS knows.
        """
        path = self.manifest_file
        try:
            with open_inside(path, self.path) as file:
                content = file.read(LARGEST)
            created = os.stat(path).st_mtime  # noqa: PTH116 - as the file was opened
        except FileNotFoundError:
            content, created = b"", self.journal.stat().st_mtime
        except OSError as error:
            raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
        return manifest_from(content, run_id=self.path.resolve().name, created=created, source=str(path))

    def new_process_names(self) -> Iterator[str]:
        """Names for this process's journal and console log that no other process of the run had a moment ago.

        Raises:
            RunDirectoryError: All of them are taken.
        """
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()) or "host"
        for attempt in range(10_000):
            name = f"{host}-{os.getpid()}" + (f"-{attempt}" if attempt else "")
            if not self.journal_of(name).exists():
                yield name
        raise RunDirectoryError(f"{self.journal} is full of journals of {host}-{os.getpid()}")

    def journal_of(self, process: str) -> Path:
        """The journal of a process."""
        return self.journal / f"{process}.jsonl"

    def mark_of(self, process: str) -> Path:
        """The file that a process holds while it lives (see :mod:`ups.journal.liveness`)."""
        return self.journal / f"{process}.alive"

    def console_of(self, process: str) -> Path:
        """What a process printed."""
        return self.console / f"{process}.log"

    def processes(self) -> list[str]:
        """The names of all processes that have a journal here, in the order in which they began.

        A training that was started again must come after the one that it goes on from.
        """
        try:
            journals = [path for path in self.journal.iterdir() if path.suffix == ".jsonl"]
            names = [path.stem for path in journals if path.is_file() and not path.is_symlink()]
        except OSError as error:
            raise RunDirectoryError(f"cannot read {self.journal}: {error.strerror}") from error
        known = [name for name in names if self.start_of(name) is not None]
        return sorted(known, key=lambda name: (self._starts[name].order, self._starts[name].time, name))

    def start_of(self, process: str) -> ProcessStart | None:
        """How a process began to log to the run; None while its first line is still to be written.

        Raises:
            RunDirectoryError: Its journal cannot be read.
        """
        if process not in self._starts:
            path = self.journal_of(process)
            try:
                with open_inside(path, self.path) as file:
                    line = file.readline(_LONGEST_BEGIN)
            except OSError as error:
                raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
            if not line.endswith(b"\n") and len(line) < _LONGEST_BEGIN:
                return None
            self._starts[process] = _start_in(line)
        return self._starts[process]

    def is_alive(self, process: str) -> bool:
        """Whether a process of the run lives. On another machine one is believed dead some seconds after it died."""
        mark = self.mark_of(process)
        if liveness.is_held(mark):
            return True
        begin = self.start_of(process)
        return begin is not None and begin.host not in ("", socket.gethostname()) and liveness.beats(mark)

    def was_copied_alive(self, process: str) -> bool:
        """True where this is a copy of the run's directory that was made while a process of the run lived.

        A copy of a journal has another file's number. A living process shows its mark each second, and a copy of the
        mark keeps that time, or has that of the copying; the time at which the copy itself was made cannot be set.
        """
        begin = self.start_of(process)
        try:
            copied = begin is not None and begin.inode not in (0, self.journal_of(process).stat().st_ino)
            mark = self.mark_of(process).stat()
        except OSError:
            return False
        return copied and abs(mark.st_ctime - mark.st_mtime) < liveness.BEAT_LIMIT

    def journaled_bytes(self) -> int:
        """Bytes in all journals of the run."""
        return sum(self.journal_of(process).stat().st_size for process in self.processes())

    def living(self) -> list[str]:
        """The processes of the run that are alive, in the order in which they began."""
        return [process for process in self.processes() if self.is_alive(process)]

    def owners(self) -> list[str]:
        """The processes whose end is the run's end: another one each time that the run is resumed, the newest last."""
        return [process for process in self.processes() if (begin := self.start_of(process)) and begin.owner]

    def is_writable(self) -> bool:
        """Whether delivery can write here: false on a read-only file system, and where the directory is gone."""
        return os.access(self.delivery, os.W_OK)

    def delivery_is_running(self) -> bool:
        """Whether a delivery, in any process, holds this run."""
        return liveness.is_held(self.running_mark)

    def segments(self) -> list[Path]:
        """W&B's own files of this run, oldest first: more than one where delivery was cut off."""
        found = [path for path in self.wandb.glob("*run-*/run-*.wandb") if self._is_own(path)]
        return sorted(found, key=lambda path: path.parent.name.partition("run-")[2])

    def _is_own(self, segment: Path) -> bool:
        """True where a file that delivery may cut or rename is the run's own: no link, and not a FIFO or the like."""
        return segment.is_file() and not segment.is_symlink() and not segment.parent.is_symlink()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunDirectoryError(
                f"cannot write the run directory {self.path}: {error.strerror or error}."
                " Pass dir=, or set WANDB_DIR, to a folder that you can write"
            ) from error


def runs_folder() -> Path:
    """The folder that gets a folder for each run, where nobody says: ``ups-runs`` in ``WANDB_DIR`` or here."""
    return Path(os.environ.get("WANDB_DIR") or ".") / "ups-runs"


def new_run_id() -> str:
    """A fresh run id of the form that W&B makes: 8 lower-case letters and digits."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut leaves them."""
    if not folder.is_dir():
        if folder.parent != folder:
            _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _start_in(line: bytes) -> ProcessStart:
    """The first record of a journal; with nothing in it where that is damaged, since the other records count."""
    try:
        record = parse(line)
        begin = dict(record["begin"])
        start = ProcessStart(time=record["time"], order=begin.pop("nth", 0), **begin)
    except (ValueError, KeyError, TypeError):
        return ProcessStart(time=0.0)
    numbers = (start.time, start.order, start.pid, start.inode, 0 if start.rank is None else start.rank)
    right = all(map(is_finite, numbers)) and isinstance(start.host, str) and isinstance(start.owner, bool)
    return start if right and all(isinstance(each, int) for each in numbers[1:]) else ProcessStart(time=0.0)
