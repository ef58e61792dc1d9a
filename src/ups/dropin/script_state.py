"""A run as its script sees it while it trains: the step of the next row, and the summary."""

from collections.abc import Mapping
from typing import Any

__all__ = ["ScriptState"]


class ScriptState:
    """Follows the calls of a script as wandb's own service would, so that ``run.step`` and ``run.summary`` answer.

    Attributes:
        step: W&B's step of the next row.
        summary: The last value of each metric in the rows that are closed, and what the script has set.
    """

    def __init__(self, step: int = 0, summary: Mapping[str, Any] | None = None) -> None:
        self.step = step
        self.summary: dict[str, Any] = dict(summary or {})
        self._open: dict[str, Any] = {}

    def log(self, values: Mapping[str, Any], step: int | None, commit: bool | None) -> None:
        """Follow a call of ``log``, with its values as JSON."""
        if step is not None and step > self.step:
            self.close_row(step)
        if commit or (commit is None and step is None):
            if self._open:
                self._open.update(values)
                self.close_row(self.step + 1)
            else:
                self.summary.update(values)
                self.step += 1
        else:
            self._open.update(values)

    def close_row(self, following: int) -> None:
        """Close the open row; the next one has the step ``following``."""
        self.summary.update(self._open)
        self._open.clear()
        self.step = following

    def set_summary(self, path: list[str], value: Any) -> None:
        """Set a value of the summary at a path of names."""
        place = self.summary
        for name in path[:-1]:
            inner = place.get(name)
            if not isinstance(inner, dict):
                inner = place[name] = {}
            place = inner
        place[path[-1]] = value

    def remove_summary(self, path: list[str]) -> None:
        """Remove a value of the summary."""
        place = self.summary
        for name in path[:-1]:
            inner = place.get(name)
            if not isinstance(inner, dict):
                return
            place = inner
        place.pop(path[-1], None)
