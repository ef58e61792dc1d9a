"""A run's directory: where each of the run's files lies.

::

    <dir>/<run id>/
      run.json          the run: id, project, configuration, stages, program, git, … (:mod:`ups.journal.run_manifest`)
      journal/          one file per process: its rows; beside each, the mark that the process is alive
      console/          one file per process: its printed lines
      media/            tables and images that were logged, and copies of saved files
      files/            the files of a script that calls wandb itself, as in a run of wandb's own
      artifacts/        the content of that script's artifacts
      checkpoints/      the training's own
      delivery/         delivery's own: ledger, cursor, status, log
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
from ups.journal import MANIFEST, liveness
from ups.journal.run_manifest import RunManifest, manifest_from, manifest_text
from ups.journal.untrusted import LARGEST, is_finite, open_inside, parse, path_inside
from ups.text import command_line

__all__ = ["ProcessStart", "RunDirectory", "new_run_id", "runs_folder"]

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_TURN = 60.0  # seconds that a process waits for its turn to start in a run
_LONGEST_START = 64 * 1024  # bytes of a journal's first line


@dataclass(frozen=True, kw_only=True)
class ProcessStart:
    """The first record of a process's journal.

    Attributes:
        time: Seconds since 1970.
        order: Its place among the processes of the run, counted by what it found there: clocks can be set back.
        owner: Whether its end is the run's end.
        rank: Its rank in a distributed job; None outside one.
        inode: The inode of its journal, which a copy of the journal does not have; 0 if unknown.
    """

    time: float
    order: int = 0
    pid: int = 0
    host: str = ""
    owner: bool = False
    rank: int | None = None
    inode: int = 0


class RunDirectory:
    """The paths in a run's directory. The constructor touches no disk; see :meth:`make` and :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts: dict[str, ProcessStart] = {}
        self.journal = path / "journal"
        self.console = path / "console"
        self.media = path / "media"
        self.files = path / "files"
        self.artifacts = path / "artifacts"
        self.delivery = path / "delivery"
        self.wandb = path / "wandb"
        self.manifest_file = path / MANIFEST
        self.ledger_file = self.delivery / "sequence.jsonl"
        self.cursor_file = self.delivery / "cursor.json"
        self.status_file = self.delivery / "status.json"
        self.log_file = self.delivery / "log.txt"
        self.answers = self.delivery / "answers"
        self.manifests = self.delivery / "manifests"
        self.running_mark = self.delivery / "running"

    @classmethod
    def make(cls, parent: Path, run_id: str) -> Self:
        """Make the directory of a run below ``parent``, with its folders. It may hold a run already.

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
        """Start a new run here; its manifest is on the disk when this returns.

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
        """Let one process at a time look which others live in the run, and start in it as owner or beside one.

        Raises:
            RunDirectoryError: Another process has held this turn for a minute.
        """
        turn = self.journal / ".beginning"
        until = time.monotonic() + _TURN
        while not liveness.hold(turn):
            if time.monotonic() > until:
                raise RunDirectoryError(
                    f"another process has been starting in the run {self.path} for {_TURN:.0f} s: end it if it hangs,"
                    " and try again"
                )
            time.sleep(0.01)
        try:
            yield
        finally:
            liveness.release(turn)

    @staticmethod
    def exists(path: Path) -> bool:
        """True where ``path`` is a run's directory: it has a manifest, or a journal whose manifest was lost."""
        return (path / MANIFEST).is_file() or any((path / "journal").glob("*.jsonl"))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing run's directory.

        Raises:
            RunDirectoryError: ``path`` is not one, or one of its folders is a link that leads out of it.
        """
        directory = cls(path)
        try:
            if not cls.exists(path):
                raise RunDirectoryError(f"{path} is not a UPS run directory: it has no {MANIFEST} and no journal")
            for folder in (
                directory.journal,
                directory.console,
                directory.media,
                directory.files,
                directory.artifacts,
                directory.delivery,
                directory.wandb,
            ):
                with contextlib.suppress(FileNotFoundError):
                    path_inside(folder, path)
        except OSError as error:
            raise RunDirectoryError(f"{path} cannot be read: {error.strerror}") from error
        return directory

    def deliver_command(self, *options: str) -> str:
        """The command that delivers this run, quoted for a shell."""
        return command_line("ups", "deliver", *options, self.path)

    def read_manifest(self) -> RunManifest:
        """Read ``run.json``. Where it is damaged or missing, the directory gives the rest, and a problem is noted.

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
        """Names for this process's journal and console log that no process of the run has yet.

        Raises:
            RunDirectoryError: All names are taken.
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
        """The mark that a process holds while it lives (see :mod:`ups.journal.liveness`)."""
        return self.journal / f"{process}.alive"

    def console_of(self, process: str) -> Path:
        """The console log of a process."""
        return self.console / f"{process}.log"

    def processes(self) -> list[str]:
        """The names of all processes that have a journal here, in the order in which they started.

        A training that resumes the run comes after the one that it continues.

        Raises:
            RunDirectoryError: The journals cannot be read.
        """
        try:
            journals = [path for path in self.journal.iterdir() if path.suffix == ".jsonl"]
            names = [path.stem for path in journals if path.is_file() and not path.is_symlink()]
        except OSError as error:
            raise RunDirectoryError(f"cannot read {self.journal}: {error.strerror}") from error
        known = [name for name in names if self.start_of(name) is not None]
        return sorted(known, key=lambda name: (self._starts[name].order, self._starts[name].time, name))

    def start_of(self, process: str) -> ProcessStart | None:
        """The first record of a process's journal; None while it is still to be written.

        Raises:
            RunDirectoryError: Its journal cannot be read.
        """
        if process not in self._starts:
            path = self.journal_of(process)
            try:
                with open_inside(path, self.path) as file:
                    line = file.readline(_LONGEST_START)
            except OSError as error:
                raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
            if not line.endswith(b"\n") and len(line) < _LONGEST_START:
                return None
            self._starts[process] = _start_in(line)
        return self._starts[process]

    def is_alive(self, process: str) -> bool:
        """True where a process of the run lives. One on another machine counts as alive some seconds longer."""
        mark = self.mark_of(process)
        if liveness.is_held(mark):
            return True
        start = self.start_of(process)
        return start is not None and start.host not in ("", socket.gethostname()) and liveness.beats(mark)

    def was_copied_alive(self, process: str) -> bool:
        """True where this is a copy of the run's directory that was made while a process of the run lived.

        A copied journal has another inode. A living process sets the time of its mark each second; the copied mark has
        that time, or the time of the copying, and its change time, which cannot be set, is the time of the copying.
        """
        start = self.start_of(process)
        try:
            copied = start is not None and start.inode not in (0, self.journal_of(process).stat().st_ino)
            mark = self.mark_of(process).stat()
        except OSError:
            return False
        return copied and abs(mark.st_ctime - mark.st_mtime) < liveness.BEAT_LIMIT

    def journaled_bytes(self) -> int:
        """The bytes in all journals of the run."""
        return sum(self.journal_of(process).stat().st_size for process in self.processes())

    def living(self) -> list[str]:
        """The processes of the run that are alive, in the order in which they started."""
        return [process for process in self.processes() if self.is_alive(process)]

    def owners(self) -> list[str]:
        """The processes whose end is the run's end: one for each time that the run was resumed, the newest last."""
        return [process for process in self.processes() if (start := self.start_of(process)) and start.owner]

    def is_writable(self) -> bool:
        """True where delivery can write here: not on a read-only file system, or where the directory is gone."""
        return os.access(self.delivery, os.W_OK)

    def delivery_is_running(self) -> bool:
        """True where a delivery, in any process, holds this run."""
        return liveness.is_held(self.running_mark)

    def segments(self) -> list[Path]:
        """W&B's own files of this run, oldest first; more than one where a delivery was cut off."""
        own = [  # neither a link nor behind one, so that delivery may cut or rename it
            path
            for path in self.wandb.glob("*run-*/run-*.wandb")
            if path.is_file() and not path.is_symlink() and not path.parent.is_symlink()
        ]
        return sorted(own, key=lambda path: path.parent.name.partition("run-")[2])

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
    """The default folder for runs: ``ups-runs`` in ``WANDB_DIR`` or in the working directory."""
    return Path(os.environ.get("WANDB_DIR") or ".") / "ups-runs"


def new_run_id() -> str:
    """A fresh run id in W&B's own form: 8 lower-case letters and digits."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, on the disk."""
    if not folder.is_dir():
        if folder.parent != folder:
            _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _start_in(line: bytes) -> ProcessStart:
    """The first record of a journal. A damaged one is taken as empty, since the other records still count."""
    try:
        record = parse(line)
        fields = dict(record["begin"])
        start = ProcessStart(time=record["time"], order=fields.pop("nth", 0), **fields)
    except (ValueError, KeyError, TypeError):
        return ProcessStart(time=0.0)
    numbers = (start.time, start.order, start.pid, start.inode, 0 if start.rank is None else start.rank)
    right = all(map(is_finite, numbers)) and isinstance(start.host, str) and isinstance(start.owner, bool)
    return start if right and all(isinstance(each, int) for each in numbers[1:]) else ProcessStart(time=0.0)
