"""A run as its script sees it while it trains: the step of the next row, and the summary."""

from collections.abc import Mapping
from typing import Any

from ups.nested import put, remove

__all__ = ["ScriptState"]


class ScriptState:
    """Follows the calls of a script as wandb's own service would, so that ``run.step`` and ``run.summary`` answer.

    Args:
        began: When the run began, in seconds since 1970.
        step: W&B's step of the next row.
        summary: The summary of the rows before it.

    Attributes:
        step: W&B's step of the next row.
    """

    def __init__(self, began: float, step: int = 0, summary: Mapping[str, Any] | None = None) -> None:
        self.began = began
        self.step = step
        self._summary: dict[str, Any] = dict(summary or {})
        self._open: dict[str, Any] = {}
        self._last_step: int | None = None
        self._last_time = began

    def log(self, values: Mapping[str, Any], step: int | None, commit: bool | None, time: float) -> None:
        """Follow a call of ``log``, with its values as JSON, at a time in seconds since 1970."""
        if step is not None and step > self.step:
            self.close_row(step)
        self._last_time = time
        if not (commit or (commit is None and step is None)):
            self._open.update(values)
        elif self._open:
            self._open.update(values)
            self.close_row(self.step + 1)
        else:
            if values:
                self._summary.update(values)
                self._last_step = self.step
            self.step += 1

    def close_row(self, following: int) -> None:
        """Close the open row; the next one has the step ``following``."""
        if self._open:
            self._summary.update(self._open)
            self._open.clear()
            self._last_step = self.step
        self.step = following

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each metric in the rows that are closed, and what the script has set."""
        kept = {name: value for name, value in self._summary.items() if value is not None}
        if self._last_step is not None:
            kept |= {"_step": self._last_step, "_timestamp": self._last_time, "_runtime": self._last_time - self.began}
        return kept

    def set_summary(self, path: list[str], value: Any) -> None:
        """Set a value of the summary at a path of names."""
        put(self._summary, path, value)

    def remove_summary(self, path: list[str]) -> None:
        """Remove a value of the summary."""
        remove(self._summary, path)
