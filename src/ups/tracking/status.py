"""What a delivery tells of itself, in a small file that anyone may read: ``delivery/status.json``."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from ups.errors import RunDirectoryError
from ups.tracking.run_directory import RunDirectory, write_atomically

__all__ = ["Status", "is_finished", "may_lack_rows", "read_status", "write_status"]


@dataclass
class Status:
    """What a delivery tells of itself in ``delivery/status.json``.

    Attributes:
        state: ``starting``, ``delivering``, ``finishing``, ``finished`` (W&B holds every row), ``undelivered``
            (given up) or ``stopped`` (ended by a fault of its own).
        owner: The process whose end is the run's end; None for ``ups deliver``.
        rows: Rows that were handed to wandb, in this session or before.
        taken: Bytes of the journals that were taken up.
        held: Rows that W&B was last seen to hold; None before it was asked.
        stop: Whether somebody pressed Stop in W&B.
        denied: Whether the server has refused the credentials.
        withheld: Values of each stage that were not drawn, since their step went back.
        counts: Rows in which the server holds each metric; None offline.
    """

    state: str = "starting"
    pid: int = 0
    owner: str | None = None
    mode: str = ""
    rows: int = 0
    taken: int = 0
    held: int | None = None
    url: str | None = None
    project: str | None = None
    entity: str | None = None
    stop: bool = False
    denied: bool = False
    withheld: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] | None = None
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    backend: list[tuple[int, float]] = field(default_factory=list)


def read_status(directory: RunDirectory) -> Status | None:
    """What the newest delivery of a run told last; None where there was none.

    Raises:
        RunDirectoryError: The file is there and cannot be read.
    """
    path = directory.delivery / "status.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in dataclasses.fields(Status)}
        return Status(**{key: value for key, value in content.items() if key in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}") from error


def is_finished(directory: RunDirectory) -> bool:
    """Whether the newest delivery of a run told that W&B holds every row.

    Raises:
        RunDirectoryError: What it told cannot be read.
    """
    status = read_status(directory)
    return status is not None and status.state == "finished"


def may_lack_rows(directory: RunDirectory) -> bool:
    """Whether W&B may not hold every row of a run's journals yet, so that they are what to look at.

    Raises:
        RunDirectoryError: What the newest delivery told cannot be read.
    """
    return not is_finished(directory) or directory.delivery_is_running() or bool(directory.living())


def write_status(directory: RunDirectory, status: Status) -> None:
    """Replace what was told before.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps(dataclasses.asdict(status), indent=1)
    write_atomically(directory.delivery / "status.json", text + "\n")
