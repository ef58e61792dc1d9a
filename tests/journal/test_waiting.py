"""One answer to whether a run waits to be delivered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from run_directories import append, row, start_journal
from ups.journal.ledger import JournalSpan, Ledger
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status, write_status
from ups.journal.waiting import has_new_records, waits


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run of the processes ``p`` and ``q``, delivered."""
    directory = RunDirectory.make(tmp_path, "r")
    ledger = Ledger(directory)
    for process in "pq":
        path = start_journal(directory, process, row(0))
        ledger.add(JournalSpan(process, 0, path.stat().st_size, 1))
    ledger.close()
    report(directory)
    return directory


def report(directory: RunDirectory, state: str = "finished") -> None:
    """Write the status of a delivery that has taken up all bytes."""
    write_status(directory, Status(state=state, consumed_bytes=directory.journaled_bytes()))


def test_a_run_that_was_delivered_does_not_wait(directory: RunDirectory) -> None:
    """Until a record is journaled: then the run waits, and the process that wrote it."""
    assert not waits(directory)
    append(directory.journal_of("q"), row(1))
    assert waits(directory)
    assert has_new_records(directory, ["q"])
    assert not has_new_records(directory, ["p"])


@pytest.mark.parametrize("state", ["starting", "delivering", "finishing", "incomplete", "undelivered", "stopped"])
def test_a_delivery_that_has_not_finished_leaves_the_run_waiting(directory: RunDirectory, state: str) -> None:
    """Whatever it has taken up."""
    report(directory, state)
    assert waits(directory)
    assert not has_new_records(directory)


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_run_without_a_readable_status_waits(directory: RunDirectory, content: str | None) -> None:
    """No delivery has reported that W&B holds its rows."""
    if content is None:
        directory.status_file.unlink()
    else:
        directory.status_file.write_text(content)
    assert waits(directory)


def test_a_cut_line_is_not_a_record(directory: RunDirectory) -> None:
    """A crash has left it, and no delivery will ever take it up."""
    with directory.journal_of("p").open("ab") as file:
        file.write(b'{"time": 1.0, "stage": "a", "st')
    assert not waits(directory)


def test_a_journal_that_the_ledger_does_not_have_waits(directory: RunDirectory) -> None:
    """As of a process that joined the run after its delivery."""
    start_journal(directory, "late")
    assert waits(directory)


def test_a_damaged_ledger_is_not_asked(directory: RunDirectory) -> None:
    """No delivery can take anything up; the last one has reported that."""
    append(directory.journal_of("p"), row(1))
    directory.ledger_file.write_text("damage\n" + directory.ledger_file.read_text())
    assert not has_new_records(directory)


def test_the_status_of_an_older_ups_is_read(directory: RunDirectory) -> None:
    """Its keys had other names."""
    former = {"state": "finished", "rows": 2, "taken": directory.journaled_bytes(), "held": 2, "withheld": {"a": 1}}
    directory.status_file.write_text(json.dumps(former))
    status = read_status(directory)
    assert status is not None
    assert (status.confirmed_rows, status.skipped_values) == (2, {"a": 1})
    assert not waits(directory)
