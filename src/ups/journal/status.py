"""The status that a delivery reports, in a small file that anyone may read."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ups.durable import write_atomically
from ups.errors import RunDirectoryError
from ups.journal.run_directory import RunDirectory
from ups.journal.untrusted import LARGEST, is_finite, is_text, is_text_or_none, open_inside, parse

__all__ = ["Status", "read_status", "write_status"]


@dataclass
class Status:
    """The content of a run's status file.

    Attributes:
        state: ``starting``, ``delivering``, ``finishing``, ``finished`` (W&B holds every row, or cannot be asked),
            ``incomplete`` (the server lacks rows that it no longer takes), ``undelivered`` (given up) or ``stopped``
            (ended by an error of its own).
        owner: The process whose end is the run's end; None for ``ups deliver``.
        rows: The rows that were handed to wandb, in this session or before.
        consumed_bytes: The bytes of the journals that were taken up.
        confirmed_rows: The rows that W&B last held; None where it was not asked, or cannot be.
        confirmed: Whether W&B itself has confirmed them; false where the server cannot be asked.
        stop: Whether a person pressed Stop in W&B.
        denied: Whether the server has refused the credentials.
        skipped_values: The values of each stage that are not drawn, since their step went back.
        counts: The rows with each metric that the server holds; None offline.
        expected: The rows with each metric that were journaled and are drawn; empty until the end.
    """

    state: str = "starting"
    pid: int = 0
    owner: str | None = None
    mode: str = ""
    rows: int = 0
    consumed_bytes: int = 0
    confirmed_rows: int | None = None
    confirmed: bool = True
    url: str | None = None
    project: str | None = None
    entity: str | None = None
    name: str | None = None
    stop: bool = False
    denied: bool = False
    skipped_values: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] | None = None
    expected: dict[str, int] = field(default_factory=dict)
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    backend: list[tuple[int, float]] = field(default_factory=list)

    @property
    def held_of_all(self) -> str:
        """The rows that W&B holds, of those that were handed over: ``12 of 100 rows``.

        Each session counts the rows from the start, so W&B may hold more of them than it has counted.
        """
        held = self.confirmed_rows or 0
        return f"{held:,} of {max(self.rows, held):,} rows"


def read_status(directory: RunDirectory) -> Status | None:
    """Read the newest delivery's last report; None where there was none, or the file is damaged.

    Raises:
        RunDirectoryError: The file cannot be opened.
    """
    path = directory.status_file
    try:
        with open_inside(path, directory.path) as file:
            content = file.read(LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunDirectoryError(f"cannot read {path}: {error.strerror}") from error
    try:
        held = parse(content)
    except ValueError:
        return None
    if not isinstance(held, dict):
        return None
    named = {_FORMER_NAMES.get(name, name): value for name, value in held.items()}
    values = {name: value for name, value in named.items() if name in _TAKES}
    if not all(_TAKES[name](value) for name, value in values.items()):
        return None
    values["backend"] = [(number, started) for number, started in values.get("backend", [])]
    return Status(**values)


_FORMER_NAMES = {"taken": "consumed_bytes", "held": "confirmed_rows", "withheld": "skipped_values"}


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _is_fault(value: Any) -> bool:
    return isinstance(value, dict) and _is_count(value.get("count")) and isinstance(value.get("message"), str)


def _is_process(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_count(value[0]) and value[0] > 0 and is_finite(value[1])


_TAKES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("state", "mode"), is_text),
    **dict.fromkeys(("owner", "url", "project", "entity", "name"), is_text_or_none),
    **dict.fromkeys(("pid", "rows", "consumed_bytes"), _is_count),
    **dict.fromkeys(("confirmed", "stop", "denied"), lambda value: isinstance(value, bool)),
    **dict.fromkeys(("skipped_values", "expected"), _are_counts),
    "confirmed_rows": lambda value: value is None or _is_count(value),
    "counts": lambda value: value is None or _are_counts(value),
    "faults": lambda value: isinstance(value, dict) and all(map(_is_fault, value.values())),
    "backend": lambda value: isinstance(value, list) and all(map(_is_process, value)),
}


def write_status(directory: RunDirectory, status: Status, *, sync: bool = True) -> None:
    """Replace the status before, on the disk when this returns; without ``sync``, a power cut may take it.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps(dataclasses.asdict(status), indent=1)
    write_atomically(directory.status_file, text + "\n", sync=sync)
