"""What a run's own log says about rows that wandb refused."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ups.runfile.regular_file import open_regular

__all__ = ["LostRows", "lost_rows"]

_REFUSED = b"handler: ignoring partial history record"
_LONGEST_LINE = 1 << 20  # bytes that are looked at together


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

    Raises:
        RunFileError: the log is not a regular file.
    """
    count = 0
    first: dict[str, object] = {}
    for file in files:
        try:
            with open_regular(file.parent / "logs" / "debug-internal.log") as log:
                for line in iter(lambda: log.readline(_LONGEST_LINE), b""):
                    if _REFUSED in line:
                        count += 1
                        first = first or _fields(line)
        except OSError:
            continue  # a run that was copied without its logs
    return LostRows(count, _whole(first.get("step")), _whole(first.get("current")))


def _fields(line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
