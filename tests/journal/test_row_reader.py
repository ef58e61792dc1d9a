"""Journals as rows: in the order of the ledger, then journal by journal, whatever the files have lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from run_directories import append, start_journal
from ups.journal.ledger import JournalSpan, Ledger
from ups.journal.row_reader import Entry, RowReader, rows_of
from ups.journal.run_directory import RunDirectory


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run of the processes ``p`` and ``q``, each with four rows; each row's value is its place in the journal."""
    directory = RunDirectory.make(tmp_path, "r")
    start_journal(directory, "p", *(record("p", step) for step in range(4)), nth=1)
    start_journal(directory, "q", *(record("q", step) for step in range(4)), nth=2)
    return directory


def record(stage: str, step: int, **more: Any) -> dict[str, Any]:
    """A row of a stage."""
    return {"time": 1.0, "stage": stage, "step": step, "values": {"loss": float(step)}, **more}


def write_ledger(directory: RunDirectory, *spans: tuple[str, int, bool]) -> None:
    """Write a ledger of spans: the process, the number of lines of its journal, and if rows are settled at the end."""
    ledger = Ledger(directory)
    at = dict.fromkeys("pqr", 0)
    for process, lines, settled in spans:
        content = directory.journal_of(process).read_bytes().splitlines(keepends=True)
        start = sum(map(len, content[: at[process]]))
        part = content[at[process] : at[process] + lines]
        rows = sum(b'"values"' in line for line in part) - (b'"open"' in part[-1] and not settled)
        ledger.add(JournalSpan(process, start, start + sum(map(len, part)), rows, settled))
        at[process] += lines
    ledger.close()


def drawn(entries: list[Entry]) -> list[str]:
    """The rows among entries, each as its stage and step: ``p0``."""
    return [f"{str(row.axis).split('/')[1]}{row.values[str(row.axis)]}" for row in rows_of(entries)]


def read(directory: RunDirectory) -> list[str]:
    """All rows of a run."""
    return drawn(list(RowReader(directory, "first").read_all()))


def test_without_a_ledger_one_journal_follows_the_other(directory: RunDirectory) -> None:
    """In the order in which their processes started, by their own count."""
    assert read(directory) == ["p0", "p1", "p2", "p3", "q0", "q1", "q2", "q3"]


def test_the_order_of_the_ledger_comes_first(directory: RunDirectory) -> None:
    """Then the rest, journal by journal."""
    write_ledger(directory, ("q", 3, False), ("p", 2, False), ("q", 1, False))
    assert read(directory) == ["q0", "q1", "p0", "q2", "p1", "p2", "p3", "q3"]


@pytest.mark.parametrize("settled", [False, True])
def test_open_rows_are_settled_where_the_ledger_has_it(directory: RunDirectory, settled: bool) -> None:
    """Values that come behind that do not join them; without it they do."""
    start_journal(directory, "r", record("r", 0, open=True), nth=3)
    write_ledger(directory, ("r", 2, settled), ("p", 5, False), ("q", 5, False))
    append(directory.journal_of("r"), {**record("r", 0, open=True), "values": {"loss": 7.0}}, record("r", 1, open=True))
    entries = list(RowReader(directory, "first").read_all())
    rest = ["p0", "p1", "p2", "p3", "q0", "q1", "q2", "q3"]
    assert drawn(entries) == (["r0", *rest, "r1"] if settled else [*rest, "r0", "r1"])
    (loss,) = [row.values["training/r/loss"] for row in rows_of(entries) if row.values.get("training/r/step") == 0]
    assert loss == (0.0 if settled else 7.0)


def test_open_rows_of_a_process_are_settled_at_its_end(directory: RunDirectory) -> None:
    """All processes are taken to be gone, so each gives its newest rows before the next journal."""
    append(directory.journal_of("p"), record("p", 4, open=True))
    assert read(directory) == ["p0", "p1", "p2", "p3", "p4", "q0", "q1", "q2", "q3"]


def test_a_journal_that_has_lost_its_end_loses_those_rows_alone(directory: RunDirectory) -> None:
    """The rows behind it in the ledger are read; an open row before the loss is settled."""
    append(directory.journal_of("p"), record("p", 4, open=True), record("p", 5, open=True))
    write_ledger(directory, ("p", 7, False), ("q", 2, False))
    lines = directory.journal_of("p").read_bytes().splitlines(keepends=True)
    directory.journal_of("p").write_bytes(b"".join(lines[:6]))
    assert read(directory) == ["p0", "p1", "p2", "p3", "p4", "q0", "q1", "q2", "q3"]


def test_a_journal_that_is_gone_is_passed_over(directory: RunDirectory) -> None:
    """With all of its rows."""
    write_ledger(directory, ("p", 5, False), ("q", 2, False))
    directory.journal_of("p").unlink()
    assert read(directory) == ["q0", "q1", "q2", "q3"]


@pytest.mark.parametrize(
    "line",
    ['{"journal": "p", "start": 7, "end": 90, "rows": 1}\n', "damage\n" + json.dumps({"row": 0, "number": 0}) + "\n"],
)
def test_a_ledger_that_does_not_fit_gives_no_order(directory: RunDirectory, line: str) -> None:
    """Neither one that leaves out bytes nor a damaged one costs a row."""
    directory.ledger_file.write_text(line)
    assert read(directory) == ["p0", "p1", "p2", "p3", "q0", "q1", "q2", "q3"]


def test_tables_and_images_take_a_number_and_other_records_do_not(directory: RunDirectory) -> None:
    """W&B gives them a row of their own."""
    append(
        directory.journal_of("q"),
        {"time": 1.0, "table": "t", "path": "media/t.json"},
        {"time": 1.0, "image": "i", "path": "media/i.png"},
        {"time": 1.0, "summary": {"acc": 1.0}},
        {"time": 1.0, "settled": True},
    )
    entries = list(RowReader(directory, "first").read_all())
    others = [next(key for key in entry.record if key != "time") for entry in entries if entry.row is None]
    assert others == ["begin", "begin", "table", "image", "summary", "settled"]
    assert [entry.numbered for entry in entries if entry.row is None] == [False, False, True, True, False, False]


def test_reading_continues_behind_what_was_read(directory: RunDirectory) -> None:
    """A few records at a time; None where there are no more yet."""
    reader = RowReader(directory, "first")
    assert drawn(reader.read_more("p", 3) or []) == ["p0", "p1"]
    assert [drawn(entries) for entries in reader.read_rest("p", 1)] == [["p2"], ["p3"]]
    assert reader.read_more("p", 3) is None
    append(directory.journal_of("p"), record("p", 4))
    assert drawn(reader.read_more("p", 3) or []) == ["p4"]
    assert reader.offset == directory.journal_of("p").stat().st_size
