"""The rows that wandb dropped, by the run's own log."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ups.regular_file import open_regular

__all__ = ["LostCall", "LostRows", "lost_rows"]

_REFUSED = b"handler: ignoring partial history record"
_LONGEST_LINE = 1 << 20  # bytes; a longer line is read in parts
_MOST_CALLS = 10_000  # with their steps


class LostCall(NamedTuple):
    """A call of ``log()`` that wandb dropped: its ``step=``, and W&B's own ``current`` step at that time."""

    step: int
    current: int


@dataclass(frozen=True)
class LostRows:
    """The calls of ``log()`` that wandb dropped because their ``step=`` was below the run's.

    Attributes:
        count: The number of calls.
        calls: The first 10,000 calls whose steps the log holds, in order.
    """

    count: int
    calls: tuple[LostCall, ...] = ()


def lost_rows(files: Iterable[Path]) -> LostRows:
    """Count the lost calls in the ``logs/debug-internal.log`` beside each ``.wandb`` file; 0 without a log.

    The log holds one JSON object per line, and one such line per lost call.

    Raises:
        RunFileError: The log is not a regular file.
    """
    count = 0
    calls: list[LostCall] = []
    for file in files:
        try:
            with open_regular(file.parent / "logs" / "debug-internal.log") as log:
                for line in iter(lambda: log.readline(_LONGEST_LINE), b""):
                    if _REFUSED in line:
                        count += 1
                        call = _call(line) if len(calls) < _MOST_CALLS else None
                        if call is not None:
                            calls.append(call)
        except OSError:
            continue  # the run was copied without its logs
    return LostRows(count, tuple(calls))


def _call(line: bytes) -> LostCall | None:
    try:
        fields = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    step, current = fields.get("step"), fields.get("current")
    return LostCall(step, current) if isinstance(step, int) and isinstance(current, int) else None
