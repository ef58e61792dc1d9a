"""What a run's own log says about rows that wandb refused."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LostRows", "lost_rows"]

_REFUSED = "handler: ignoring partial history record"


@dataclass(frozen=True)
class LostRows:
    """Calls of ``log()`` that wandb dropped because their ``step=`` was below the run's.

    Attributes:
        count: how many.
        step: the ``step=`` of the first; None if the log does not say.
        current: the run's own step at that time.
    """

    count: int
    step: int | None = None
    current: int | None = None


def lost_rows(files: Iterable[Path]) -> LostRows:
    """The rows lost, by the ``logs/debug-internal.log`` beside each ``.wandb`` file; 0 without one.

    The log holds one JSON object a line; one line is one lost call.
    """
    count = 0
    first: dict[str, object] = {}
    for file in files:
        try:
            with (file.parent / "logs" / "debug-internal.log").open(encoding="utf-8", errors="replace") as log:
                for line in log:
                    if _REFUSED in line:
                        count += 1
                        first = first or _fields(line)
        except OSError:
            continue  # a run that was copied without its logs
    return LostRows(count, _whole(first.get("step")), _whole(first.get("current")))


def _fields(line: str) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
