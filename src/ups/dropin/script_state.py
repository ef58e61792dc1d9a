"""A run as its script sees it while it trains: the step of the next row, and the summary."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Self

from ups.journal.script_summary import ScriptSummary, leaves
from ups.nested import merge, remove

__all__ = ["ScriptState"]

_MOST_WAITING = 1000  # rows


class ScriptState:
    """Follows the calls of a script as wandb's own service would, so that ``run.step`` and ``run.summary`` answer.

    Rows are put into the summary when it is asked for, or some are waiting, so that ``log`` stays short.

    Args:
        began: When the run began, in seconds since 1970.
        step: W&B's step of the next row.
        summary: The summary of the rows before it.

    Attributes:
        step: W&B's step of the next row.
    """

    def __init__(self, began: float, step: int = 0, summary: ScriptSummary | None = None) -> None:
        self.began = began
        self.step = step
        self._summary = summary if summary is not None else ScriptSummary()
        self._waiting: list[dict[str, Any]] = []
        self._open: dict[str, Any] = {}
        self._last_step: int | None = None
        self._last_time = began

    def copy(self) -> Self:
        """The state for another process, which has its own open row."""
        self._take_waiting()
        return type(self)(self.began, self.step, deepcopy(self._summary))

    def log(self, values: dict[str, Any], step: int | None, commit: bool | None, time: float) -> None:
        """Follow a call of ``log`` with plain numbers, at a time in seconds since 1970."""
        if step is not None and step > self.step:
            self.close_row(step)
        self._last_time = time
        self._open.update(values)
        if commit or (commit is None and step is None):
            self.close_row(self.step + 1)

    def log_nested(self, values: dict[str, Any], step: int | None, commit: bool | None, time: float) -> None:
        """Follow a call of ``log`` with any values of JSON, which are the state's own from here."""
        if step is not None and step > self.step:
            self.close_row(step)
        merge(self._open, values)
        self.log({}, step, commit, time)

    def close_row(self, following: int) -> None:
        """Close the open row; the next one has the step ``following``."""
        if self._open:
            self._last_step = self.step
            self._waiting.append(self._open)
            self._open = {}
            if len(self._waiting) >= _MOST_WAITING:
                self._take_waiting()
        self.step = following

    @property
    def summary(self) -> dict[str, Any]:
        """The summary of the rows that are closed, and what the script has set."""
        self._take_waiting()
        kept = self._summary.values
        if self._summary.missing:
            kept = deepcopy(kept)
            for path in self._summary.missing:
                remove(kept, path)
        kept = {name: value for name, value in kept.items() if value is not None}
        if self._last_step is not None:
            kept |= {"_step": self._last_step, "_timestamp": self._last_time, "_runtime": self._last_time - self.began}
        return kept

    def define(self, given: Mapping[str, Any]) -> None:
        """Follow a call of ``define_metric``."""
        self._take_waiting()
        self._summary.define(
            given["name"], given.get("summary"), given.get("goal"), overwrite=bool(given.get("overwrite"))
        )

    def change_summary(self, update: list[tuple[list[str], Any]], remove: list[list[str]]) -> None:
        """Set values of the summary at paths of names, and remove others."""
        self._take_waiting()
        self._summary.change(update, remove)

    def _take_waiting(self) -> None:
        for row in self._waiting:
            self._summary.take_row(leaves(row))
        self._waiting.clear()
