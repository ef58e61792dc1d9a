"""A run's directory: who the run is, and where everything of it lies.

::

    <dir>/<run id>/
      run.json          the run: id, project, configuration, stages, program, git, … (:class:`Description`)
      journal/          one file a process: its rows; beside each, the mark that the process is alive
      console/          one file a process: what it printed
      media/            tables and images that were logged, and copies of saved files
      checkpoints/      the training's own
      delivery/         what delivery knows: sequence, cursor, status, log
      wandb/            W&B's own files
"""

import contextlib
import dataclasses
import json
import os
import re
import secrets
import socket
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ups.errors import InvalidName, RunDirectoryError
from ups.tracking import liveness

__all__ = ["Begin", "Description", "RunDirectory", "new_run_id", "runs_folder", "write_atomically"]

_SCHEMA = 1
_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DESCRIPTION = "run.json"
_TURN = 60.0  # seconds that a process waits for its turn to begin with a run


@dataclass(frozen=True, kw_only=True)
class Description:
    """What ``run.json`` holds: all that delivery needs to make the W&B run what a plain one would be."""

    run_id: str
    mode: str
    created: float  # seconds since 1970
    stages: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    project: str | None = None
    entity: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    repeated: str = "first"  # what is drawn of a step that is logged again: "first" or "all"
    host: str = ""
    program: str | None = None
    program_path: str | None = None  # relative to the git root or the working directory
    arguments: tuple[str, ...] = ()
    executable: str = ""
    python: str = ""
    working_directory: str = ""
    git_root: str | None = None
    git_commit: str | None = None
    git_remote: str | None = None
    environment: dict[str, str] = field(default_factory=dict)  # WANDB_* without secrets


@dataclass(frozen=True, kw_only=True)
class Begin:
    """The first record of a process's journal.

    Attributes:
        time: Seconds since 1970.
        pid, host: The process.
        owner: Whether its end is the run's end.
        rank: Its rank in a distributed job; None outside one.
        nth: Its place among the processes of the run, by what it found there; clocks can be set back.
    """

    time: float
    nth: int = 0
    pid: int = 0
    host: str = ""
    owner: bool = False
    rank: int | None = None


class RunDirectory:
    """The paths in a run's directory. Making one touches no disk; see :meth:`make` and :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began: dict[str, Begin] = {}
        self.journal = path / "journal"
        self.console = path / "console"
        self.media = path / "media"
        self.delivery = path / "delivery"
        self.wandb = path / "wandb"

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
            for folder in (directory.journal, directory.console, directory.delivery):
                folder.mkdir(parents=True, exist_ok=True)
        return directory

    def create(self, description: Description) -> None:
        """Begin a new run here.

        Raises:
            RunDirectoryError: The directory holds a run already, or cannot be written.
        """
        text = json.dumps({"schema": _SCHEMA, **dataclasses.asdict(description)}, indent=1, ensure_ascii=False)
        text = text.encode("utf-8", "replace").decode()  # an argument may hold any bytes, and wandb takes text
        with self._writing():
            if self.exists(self.path) or not _write_new(self.path / _DESCRIPTION, text + "\n"):
                raise RunDirectoryError(
                    f"{self.path} holds a run already: leave out run_id for a new run, go on with that one with"
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
        """Whether there is a run's directory at ``path``."""
        return (path / _DESCRIPTION).is_file()

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing run's directory.

        Raises:
            RunDirectoryError: There is none at ``path``.
        """
        if not cls.exists(path):
            raise RunDirectoryError(f"{path} is not a UPS run directory: it has no {_DESCRIPTION}")
        return cls(path)

    def describe(self) -> Description:
        """Read ``run.json``.

        Raises:
            RunDirectoryError: It cannot be read, is not JSON, or is of a newer schema than this UPS knows.
        """
        path = self.path / _DESCRIPTION
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] > _SCHEMA:
                raise RunDirectoryError(f"{path} was written by a newer UPS (schema {content['schema']}): upgrade")
            known = {f.name for f in dataclasses.fields(Description)}
            values: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in content.items() if key in known
            }
            return Description(**values)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunDirectoryError(f"cannot read {path}: {error}") from error

    def new_process_name(self) -> str:
        """A name for this process's journal and console log that no other process of the run has."""
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()) or "host"
        for attempt in range(10_000):
            name = f"{host}-{os.getpid()}" + (f"-{attempt}" if attempt else "")
            if not (self.journal / f"{name}.jsonl").exists():
                return name
        raise RunDirectoryError(f"{self.journal} is full of journals of {host}-{os.getpid()}")

    def journal_of(self, process: str) -> Path:
        """The journal of a process."""
        return self.journal / f"{process}.jsonl"

    def mark_of(self, process: str) -> Path:
        """The file that a process holds while it lives (see :mod:`ups.tracking.liveness`)."""
        return self.journal / f"{process}.alive"

    def console_of(self, process: str) -> Path:
        """What a process printed."""
        return self.console / f"{process}.log"

    def processes(self) -> list[str]:
        """The names of all processes that have a journal here, in the order in which they began.

        A training that was started again must come after the one that it goes on from.
        """
        try:
            names = [path.stem for path in self.journal.iterdir() if path.suffix == ".jsonl"]
        except OSError as error:
            raise RunDirectoryError(f"cannot read {self.journal}: {error.strerror}") from error
        known = [name for name in names if self.begin_of(name) is not None]
        return sorted(known, key=lambda name: (self._began[name].nth, self._began[name].time, name))

    def begin_of(self, process: str) -> Begin | None:
        """How a process began to log to the run; None while its first line is still to be written.

        Raises:
            RunDirectoryError: Its journal cannot be read.
        """
        if process not in self._began:
            path = self.journal_of(process)
            try:
                with path.open("rb") as file:
                    line = file.readline()
                if not line.endswith(b"\n"):
                    return None
                record = json.loads(line)
                begin = Begin(time=record["time"], **record["begin"])
            except OSError as error:
                raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
            except (ValueError, KeyError, TypeError):
                begin = Begin(time=0.0)  # damaged: what else the journal holds counts
            self._began[process] = begin
        return self._began[process]

    def is_alive(self, process: str) -> bool:
        """Whether a process of the run lives. On another machine one is believed dead some seconds after it died."""
        mark = self.mark_of(process)
        if liveness.is_held(mark):
            return True
        begin = self.begin_of(process)
        return begin is not None and begin.host not in ("", socket.gethostname()) and liveness.beats(mark)

    def living(self) -> list[str]:
        """The processes of the run that are alive, in the order in which they began."""
        return [process for process in self.processes() if self.is_alive(process)]

    def owners(self) -> list[str]:
        """The processes whose end is the run's end: another one each time that the run is resumed, the newest last."""
        return [process for process in self.processes() if (begin := self.begin_of(process)) and begin.owner]

    def is_writable(self) -> bool:
        """Whether delivery can write here: false on a read-only file system, and where the directory is gone."""
        return os.access(self.delivery, os.W_OK)

    def delivery_is_running(self) -> bool:
        """Whether a delivery, in any process, holds this run."""
        return liveness.is_held(self.delivery / "running")

    def segments(self) -> list[Path]:
        """W&B's own files of this run, oldest first: more than one where delivery was cut off."""
        found = self.wandb.glob("*run-*/run-*.wandb")
        return sorted(found, key=lambda path: path.parent.name.partition("run-")[2])

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


def _write_new(path: Path, text: str) -> bool:
    """Write ``path`` as a whole; False if another process was first."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        temporary.replace(path)
        return True
    temporary.unlink()
    return True


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` so that a reader finds the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
