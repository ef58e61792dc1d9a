"""Run directories written by hand, as a stranger could."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ups.cli import main
from ups.journal.record_types import encode_record
from ups.journal.run_directory import RunDirectory

__all__ = ["append", "deliver", "row", "start_journal", "write_run"]

PROCESS = "elsewhere-7"


def row(step: int, **values: Any) -> dict[str, Any]:
    """A row of the stage ``a``."""
    return {"time": time.time(), "stage": "a", "step": step, "values": values or {"loss": float(step)}}


def write_run(path: Path, records: Iterable[dict[str, Any] | bytes], **description: Any) -> Path:
    """Write a run's directory whose one process has journaled ``records`` and ended well. Bytes are lines as they are.

    ``description`` is laid over what ``run.json`` holds.
    """
    (path / "journal").mkdir(parents=True)
    (path / "delivery").mkdir()
    held = {"schema": 1, "run_id": path.name, "mode": "offline", "created": time.time(), **description}
    (path / "run.json").write_text(json.dumps(held))
    begin = {"time": time.time(), "begin": {"pid": 7, "host": "elsewhere", "owner": True, "rank": None, "nth": 1}}
    with (path / "journal" / f"{PROCESS}.jsonl").open("wb") as file:
        for record in (begin, *records, {"time": time.time(), "end": {"exit_code": 0}}):
            file.write(record if isinstance(record, bytes) else json.dumps(record).encode() + b"\n")
    return path


def start_journal(directory: RunDirectory, process: str, *records: dict[str, Any], **start: Any) -> Path:
    """Write the journal of a process, which does not live, with its first record and some more.

    ``start`` is laid over what the first record holds.
    """
    begin = {"pid": 7, "host": "elsewhere", "owner": True, "rank": None, "nth": 1, **start}
    path = directory.journal_of(process)
    append(path, {"time": begin.pop("time", 0.0), "begin": begin}, *records)
    return path


def append(path: Path, *records: dict[str, Any]) -> None:
    """Append records to a journal."""
    with path.open("ab") as file:
        file.write(b"".join(map(encode_record, records)))


def deliver(path: Path, *options: str, expect: int | None = 0) -> str:
    """Run ``ups deliver`` on a run's directory, in this process, which has imported wandb. Returns what it printed."""
    told = io.StringIO()
    command = mock.patch.object(sys, "argv", ["ups", "deliver", str(path), *options])
    with command, redirect_stdout(told), redirect_stderr(told), pytest.raises(SystemExit) as end:
        main()
    printed = told.getvalue()
    assert "Traceback" not in printed, printed
    assert expect is None or (end.value.code or 0) == expect, printed
    return printed
