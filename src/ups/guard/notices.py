"""The changes of a guard, counted per kind; the first of each kind is reported as one line."""

from collections.abc import Callable

__all__ = ["Notices"]

_COUNTED = {  # in the order in which the summary names them
    "kept": "rows kept that step= would have dropped",
    "part": "parts begun where an axis went back",
    "parts-end": "metrics whose axis begins again too often for parts",
    "taken": "lines that continue in a part because W&B's number was taken",
    "supplied": "rows given the axis that they lacked",
    "overlap": "metrics defined by name because several globs match them",
    "own-step": "metrics drawn against the step that is in their rows",
    "stale": "metrics drawn against _step because their axis came too seldom",
    "overwritten": "values logged twice in one row",
    "table": "tables logged again after they grew",
    "not-finite": "values NaN or infinite",
    "not-a-number": "values that are not numbers",
    "processes": "calls of other processes",
    "fault": "calls that wandb could not take",
}


class Notices:
    """Counts by kind; the kinds are the keys of the summary's phrases. The messages wait to be printed."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._reported: set[str] = set()
        self.waiting: list[str] = []

    def add(self, kind: str, message: Callable[[], str], *, always: bool = False) -> None:
        """Count one of ``kind``; report its message if it is the first, or ``always``."""
        self._counts[kind] += 1
        if always or kind not in self._reported:
            self._reported.add(kind)
            self.waiting.append(message())

    def silence(self, kind: str) -> None:
        """Report nothing of a kind; the summary still counts it."""
        self._reported.add(kind)

    def take(self) -> tuple[str, ...]:
        """The messages that have not been printed."""
        messages = tuple(self.waiting)
        self.waiting.clear()
        return messages

    def summary(self) -> str:
        """All counts as one line; empty where nothing was counted."""
        return "; ".join(f"{phrase}: {self._counts[kind]:,}" for kind, phrase in _COUNTED.items() if self._counts[kind])
