"""The sink of a process's records: its journal, and the count of its faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ups.errors import InvalidValue, UPSError
from ups.journal.faults import Faults
from ups.journal.record_types import encode_record
from ups.journal.writer import Journal
from ups.text import shown

__all__ = ["RowSink"]


class RowSink:
    """Takes the records of one process of a run; if it is ``strict``, a fault is raised.

    Args:
        keep_media: Gives media of wandb's types as JSON, by their full names in W&B and a step, and keeps their files.

    Attributes:
        journal: The process's journal; set before anything is logged, and by a forked child to its own.
        faults: The faults so far, counted.
    """

    journal: Journal

    def __init__(self, *, strict: bool, keep_media: Callable[[dict[str, Any], int], dict[str, Any]]) -> None:
        self.strict = strict
        self.keep_media = keep_media
        self.faults = Faults()
        self._open_rows: dict[str, int] = {}  # the step of each stage's newest row, while values may join it

    def record(self, **content: Any) -> None:
        """Append a record to the journal."""
        self.journal.append(encode_record({"time": time.time(), **content}))

    def fault(self, kind: str, error: UPSError) -> None:
        """Count a fault, reported once per kind; raise it if the run is strict."""
        self.faults.add(kind, str(error), quiet=self.strict)
        if self.strict:
            raise error

    def note(self, kind: str, message: str) -> None:
        """Count something that may surprise a person and costs no row: reported once per kind, never raised."""
        self.faults.add(kind, message)

    def is_mapping(self, call: str, given: Any) -> bool:
        """True where ``given`` is a mapping; if not, count a fault of the ``call``."""
        if isinstance(given, Mapping):
            return True
        error = InvalidValue(f"{call}() was given {shown(given)}: pass a dictionary, as in {{'loss': 0.5}}")
        self.fault(f"call:{call}", error)
        return False

    def device_failed(self, stage: str, metric: str, error: Exception) -> None:
        """Count a value that a device did not bring. Another thread than the training's calls this: it never raises."""
        message = f"stage {stage!r}, metric {shown(metric)}: its device did not bring it: {shown(error, 200)}"
        self.faults.add(f"device:{stage}/{metric}", message)

    def joins_open_row(self, stage: str, step: int) -> bool:
        """Note that a stage logs an open row. True where its values join the row before, as in the row rule."""
        if self._open_rows.get(stage) == step:
            return True
        if stage in self._open_rows:
            self._open_rows.clear()
        self._open_rows[stage] = step
        return False

    def settle_rows(self) -> None:
        """Settle the open rows: no more values join them."""
        if self._open_rows:
            self._open_rows.clear()
            self.record(settled=True)
