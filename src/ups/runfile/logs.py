"""What a run's own log says about rows that wandb refused."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ups.regular_file import open_regular

__all__ = ["LostCall", "LostRows", "lost_rows"]

_REFUSED = b"handler: ignoring partial history record"
_LONGEST_LINE = 1 << 20  # bytes that are looked at together
_MOST_CALLS = 10_000  # whose steps are kept


class LostCall(NamedTuple):
    """A call of ``log()`` that wandb dropped: its ``step=``, and W&B's own step at that time."""

    step: int
    current: int


@dataclass(frozen=True)
class LostRows:
    """Calls of ``log()`` that wandb dropped because their ``step=`` was below the run's.

    Attributes:
        count: how many.
        calls: the first 10,000 of them whose steps the log gives, in order.
    """

    count: int
    calls: tuple[LostCall, ...] = ()


def lost_rows(files: Iterable[Path]) -> LostRows:
    """The rows lost, by the ``logs/debug-internal.log`` beside each ``.wandb`` file; 0 without one.

    The log holds one JSON object per line; one line is one lost call.

    Raises:
        RunFileError: the log is not a regular file.
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
            continue  # a run that was copied without its logs
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
