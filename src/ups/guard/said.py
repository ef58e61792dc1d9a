"""What a guard has changed or seen, counted by kind and said on stderr once a kind."""

from ups.tracking.faults import say

__all__ = ["Said"]

_COUNTED = {  # in the order in which the summary names them
    "kept": "rows kept that step= would have dropped",
    "part": "parts begun where an axis went back",
    "taken": "lines that go on in a part because W&B's number was taken",
    "counted-on": "times that an axis was counted on where it went back",
    "supplied": "rows given the axis that they lacked",
    "overlap": "metrics defined by name because several globs fit them",
    "own-step": "metrics drawn against the step that is in their rows",
    "stale": "metrics drawn against _step because their axis came too seldom",
    "not-finite": "values NaN or infinite",
    "not-a-number": "values that are no numbers",
    "fault": "calls that wandb could not take",
}


class Said:
    """Counts by kind; the kinds are the keys of the summary's phrases."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTED, 0)

    def add(self, kind: str, message: str, *, always: bool = False) -> None:
        """Count one of ``kind``; say ``message`` if it is the first, or ``always``."""
        self._counts[kind] += 1
        if always or self._counts[kind] == 1:
            say(message)

    def summary(self) -> str:
        """What there was, as one line; empty where there was nothing."""
        return "; ".join(f"{phrase}: {self._counts[kind]:,}" for kind, phrase in _COUNTED.items() if self._counts[kind])
