"""What the server holds: runs, artifacts and uploaded files."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

HISTORY = "wandb-history.jsonl"
EVENTS = "wandb-events.jsonl"
SUMMARY = "wandb-summary.json"
CONSOLE = "output.log"

_CONSOLE_PREFIX = re.compile(r"^(?:ERROR )?\d{4}-\d\d-\d\dT[\d:.]+Z? ")


@dataclass(frozen=True)
class Alert:
    """One call of `run.alert`."""

    title: str
    text: str
    severity: str


@dataclass
class Artifact:
    """An artifact on its way in (PENDING), or whole (COMMITTED)."""

    id: str
    entity: str
    project: str
    name: str
    version: int
    type: str
    digest: str
    run: str
    aliases: list[str]
    description: str | None = None
    metadata: str | None = None
    state: str = "PENDING"
    files: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    used_by: list[str] = field(default_factory=list)  # ids of runs
    links: list[tuple[str, list[str]]] = field(default_factory=list)  # collections, with the aliases there


@dataclass
class Run:
    """A run as the server holds it. Safe to read from a test while clients are uploading.

    `lines` are the streamed files, by line number: a chunk that is sent again overwrites its lines.
    """

    id: str
    entity: str
    project: str
    lock: threading.RLock = field(repr=False)
    storage_id: str = ""
    name: str = ""
    group: str = ""
    job_type: str = ""
    notes: str = ""
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    host: str = ""
    program: str = ""
    commit: str = ""
    remote: str = ""
    raw_config: Json = field(default_factory=dict)
    state: str = "running"
    exit_code: int | None = None
    complete: bool = False
    preempting: bool = False
    stop_requested: bool = False
    lines: dict[str, dict[int, str]] = field(default_factory=dict, repr=False)
    resent_lines: int = 0
    last_step: int = -1
    """The largest `_step` in the history; -1 when there is none."""
    history_keys: dict[str, Counter[str]] = field(default_factory=dict, repr=False)
    """In how many rows each key stands, by the type of its value; counted as rows come, since runs may be long."""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def path(self) -> str:
        """`entity/project/id`, as `wandb.Api().run` takes it."""
        return f"{self.entity}/{self.project}/{self.id}"

    @property
    def history(self) -> list[Json]:
        """Every history row, parsed. NaN and infinities are floats."""
        return [json.loads(line) for line in self._lines(HISTORY)]

    @property
    def events(self) -> list[Json]:
        """The rows of system metrics."""
        return [json.loads(line) for line in self._lines(EVENTS)]

    @property
    def summary(self) -> Json:
        lines = self._lines(SUMMARY)
        return json.loads(lines[-1]) if lines else {}

    @property
    def config(self) -> Json:
        """The configuration as the user wrote it, without W&B's own `_wandb`."""
        return {key: item["value"] for key, item in self.raw_config.items() if key != "_wandb"}

    @property
    def output(self) -> str:
        """The console text, without W&B's time stamps."""
        return "".join(_CONSOLE_PREFIX.sub("", line).rstrip("\n") + "\n" for line in self._lines(CONSOLE))

    def line_count(self, name: str) -> int:
        """One past the last line held of a streamed file: where a client goes on."""
        with self.lock:
            return max(self.lines.get(name, {}), default=-1) + 1

    def tail(self, name: str) -> list[str]:
        """The last line of a streamed file, in a list; an empty list when there is none."""
        with self.lock:
            held = self.lines.get(name)
            return [held[max(held)]] if held else []

    def points(self, *keys: str) -> list[tuple[Any, ...]]:
        """The values of those rows that hold every one of `keys`."""
        return [tuple(row[key] for key in keys) for row in self.history if all(key in row for key in keys)]

    def _lines(self, name: str) -> list[str]:
        with self.lock:
            return [line for _, line in sorted(self.lines.get(name, {}).items())]

    def open(self) -> None:
        """A client has announced itself: the run is running (again)."""
        self.state, self.exit_code, self.complete = "running", None, False

    def stream(self, update: Json) -> None:
        """Apply one `file_stream` request."""
        for name, chunk in (update.get("files") or {}).items():
            self._write(name, chunk.get("offset", 0), chunk.get("content") or [])
        self.preempting = self.preempting or bool(update.get("preempting"))
        if update.get("exitcode") is not None:
            self.exit_code = update["exitcode"]
        if update.get("complete"):
            self.complete = True
            self.state = "failed" if self.exit_code else "finished"

    def _write(self, name: str, offset: int, content: Iterable[str]) -> None:
        held = self.lines.setdefault(name, {})
        for number, line in enumerate(content, start=offset):
            if name == HISTORY:
                if number in held:
                    self.resent_lines += 1
                    self._count(held[number], -1)
                self._count(line, 1)
            held[number] = line

    def _count(self, line: str, by: int) -> None:
        row = json.loads(line)
        self.last_step = max(self.last_step, row.get("_step", -1))
        for key, value in row.items():
            self.history_keys.setdefault(key, Counter())[_type_name(value)] += by


def _type_name(value: Any) -> str:
    """A value's type, as W&B names it."""
    match value:
        case None:
            return "nil"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
        case _:
            return "map"


class Store:
    """All runs and artifacts. One lock guards everything: requests are short."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.trials: list[tuple[str, dict[str, Any]]] = []
        """The runs that a sweep's agents are to begin: run id and parameters."""
        self._numbers = itertools.count(1)

    def new_id(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def run(self, run_id: str) -> Run | None:
        with self.lock:
            return self.runs.get(run_id)

    def create_run(self, run_id: str, entity: str, project: str) -> Run:
        run = Run(run_id, entity, project, self.lock, storage_id=self.new_id("run"), name=run_id)
        self.runs[run_id] = run
        return run

    def run_of_storage_id(self, storage_id: str) -> Run | None:
        return next((run for run in self.runs.values() if run.storage_id == storage_id), None)
