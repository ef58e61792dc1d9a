"""The ledger: rows and their numbers, kept over restarts, servers that hold more or less, and damage."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ups.errors import DeliveryError
from ups.journal.ledger import Cursor, JournalSpan, Ledger, spans_of
from ups.journal.run_directory import RunDirectory


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run's directory without a ledger."""
    return RunDirectory.make(tmp_path, "r")


@contextmanager
def empty_directory() -> Iterator[RunDirectory]:
    """As the fixture, one for each example of Hypothesis; without syncs, which would take most of the time."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield RunDirectory.make(Path(folder), "r")


def reopened(ledger: Ledger, directory: RunDirectory) -> Ledger:
    """The ledger as the next delivery finds it."""
    ledger.close()
    return Ledger(directory)


def numbers(ledger: Ledger, rows: int) -> list[int]:
    """The numbers of the first rows."""
    return [ledger.number(row) for row in range(rows)]


def test_without_a_session_there_are_no_numbers(directory: RunDirectory) -> None:
    """The first session settles where they begin."""
    with pytest.raises(DeliveryError, match="no numbers yet"):
        Ledger(directory).number(0)


def test_the_numbers_of_a_fresh_run_count_its_rows_from_0(directory: RunDirectory) -> None:
    """Also after a restart of which W&B holds some rows."""
    ledger = Ledger(directory)
    assert ledger.continue_from(held=-1, lowest=0) == 0
    ledger.add(JournalSpan("p", 0, 100, 10))
    ledger = reopened(ledger, directory)
    assert ledger.continue_from(held=3, lowest=4) == 4
    assert numbers(ledger, 10) == list(range(10))


def test_rows_that_a_server_takes_no_more_get_the_next_numbers_that_it_takes(directory: RunDirectory) -> None:
    """The rows that it holds keep their numbers."""
    ledger = Ledger(directory)
    ledger.continue_from(held=-1, lowest=0)
    ledger.add(JournalSpan("p", 0, 100, 10))
    assert ledger.continue_from(held=5, lowest=50) == 6
    ledger = reopened(ledger, directory)
    assert numbers(ledger, 10) == [0, 1, 2, 3, 4, 5, 50, 51, 52, 53]
    assert [ledger.rows_up_to(number) for number in (-1, 5, 49, 50, 53, 999)] == [0, 6, 6, 7, 10, 10]


def test_a_server_that_holds_more_than_was_written_down_gets_higher_numbers(directory: RunDirectory) -> None:
    """Its further rows are none of this ledger's: the next row is numbered behind them."""
    ledger = Ledger(directory)
    ledger.continue_from(held=-1, lowest=0)
    ledger.add(JournalSpan("p", 0, 20, 2))
    assert ledger.continue_from(held=99, lowest=100) == 2
    ledger.add(JournalSpan("p", 20, 30, 1))
    assert numbers(ledger, 3) == [0, 1, 100]


def test_a_server_that_has_lost_rows_gets_them_under_numbers_that_it_takes(directory: RunDirectory) -> None:
    """All of them are numbered again, behind the last number that it ever took."""
    ledger = Ledger(directory)
    ledger.continue_from(held=-1, lowest=0)
    ledger.add(JournalSpan("p", 0, 100, 10))
    assert ledger.continue_from(held=9, lowest=20) == 10
    assert ledger.continue_from(held=-1, lowest=20) == 0
    ledger = reopened(ledger, directory)
    assert numbers(ledger, 10) == list(range(20, 30))
    assert [ledger.rows_up_to(number) for number in (19, 20, 24, 99)] == [10, 1, 5, 10]


def test_spans_of_one_journal_join_and_others_do_not(directory: RunDirectory) -> None:
    """A span that settles rows ends there, so that they are settled at the same place again."""
    ledger = Ledger(directory)
    for span in (
        JournalSpan("p", 0, 10, 1),
        JournalSpan("p", 10, 20, 1),
        JournalSpan("p", 20, 20, 2, settled=True),
        JournalSpan("p", 20, 30, 1),
        JournalSpan("q", 0, 5, 3),
        JournalSpan("p", 30, 40, 1),
    ):
        ledger.add(span)
    expected = [
        JournalSpan("p", 0, 20, 4, settled=True),
        JournalSpan("p", 20, 30, 1),
        JournalSpan("q", 0, 5, 3),
        JournalSpan("p", 30, 40, 1),
    ]
    assert list(ledger) == expected
    assert list(reopened(ledger, directory)) == spans_of(directory) == expected
    assert ledger.rows == 9
    assert ledger.offsets() == {"p": 40, "q": 5}


def test_a_span_of_an_older_ups_has_no_count_and_joins_nothing(directory: RunDirectory) -> None:
    """The number of all rows is then not known, and no row is taken for missing."""
    lines = [{"row": 0, "number": 0}, {"journal": "p", "start": 0, "end": 9}]
    directory.ledger_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = Ledger(directory)
    ledger.add(JournalSpan("p", 9, 12, 1))
    assert list(ledger) == [JournalSpan("p", 0, 9, None), JournalSpan("p", 9, 12, 1)]
    assert ledger.rows is None
    assert ledger.rows_up_to(1000) == 1001


def test_a_torn_end_is_cut_off(directory: RunDirectory) -> None:
    """No row of that line was handed over: the next line takes its place."""
    ledger = Ledger(directory)
    ledger.continue_from(held=-1, lowest=0)
    ledger.add(JournalSpan("p", 0, 10, 1))
    ledger.close()
    whole = directory.ledger_file.read_bytes()
    directory.ledger_file.write_bytes(whole + b'{"journal": "p", "sta')
    ledger = Ledger(directory)
    assert directory.ledger_file.read_bytes() == whole
    ledger.add(JournalSpan("p", 10, 20, 1))
    assert list(reopened(ledger, directory)) == [JournalSpan("p", 0, 20, 2)]


@pytest.mark.parametrize(
    "line",
    [
        "\0\0\0",
        "[]",
        '{"row": 0}',
        '{"row": 0, "number": -1}',
        '{"journal": "../p", "start": 0, "end": 1, "rows": 1}',
        '{"journal": "p", "start": 0, "end": 1.5, "rows": 1}',
        '{"journal": "p", "start": 0, "end": 1, "rows": true}',
    ],
)
def test_damage_between_lines_is_an_error_and_at_the_end_is_cut(line: str, directory: RunDirectory) -> None:
    """Rows behind damage have no known number; a power cut damages the end alone."""
    good = json.dumps({"journal": "p", "start": 0, "end": 10, "rows": 1})
    directory.ledger_file.write_text(f"{good}\n{line}\n{good}\n")
    for read in (spans_of, Ledger):
        with pytest.raises(DeliveryError, match=r"sequence\.jsonl is damaged.*--as-new"):
            read(directory)
    directory.ledger_file.write_text(f"{good}\n{line}\n")
    assert spans_of(directory) == list(Ledger(directory)) == [JournalSpan("p", 0, 10, 1)]


SPANS = st.lists(
    st.tuples(st.sampled_from("pqr"), st.integers(0, 50), st.integers(0, 5), st.booleans()).map(tuple), max_size=12
)


@settings(deadline=None)
@given(SPANS, st.integers(0, 12))
def test_what_is_read_again_is_what_was_written(steps: list[tuple[str, int, int, bool]], cut: int) -> None:
    """Any sequence of spans, with the ledger opened again at any point: same spans, rows and offsets."""
    with empty_directory() as directory:
        ledger = Ledger(directory)
        at = dict.fromkeys("pqr", 0)
        for index, (process, length, rows, settled) in enumerate(steps):
            if index == cut:
                ledger = reopened(ledger, directory)
            ledger.add(JournalSpan(process, at[process], at[process] + length, rows, settled))
            at[process] += length
        before = list(ledger), ledger.rows, ledger.offsets()
        ledger = reopened(ledger, directory)
        assert (list(ledger), ledger.rows, ledger.offsets()) == before
        assert spans_of(directory) == before[0]
        assert ledger.rows == sum(rows for _, _, rows, _ in steps)
        assert ledger.offsets() == {process: at[process] for process, *_ in steps}
        ledger.close()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_rows_up_to_is_the_inverse_of_number(sessions: list[tuple[int, int, int]]) -> None:
    """Over any sessions, of which each finds more in W&B and may have to leave out numbers: numbers only grow."""
    with empty_directory() as directory:
        ledger = Ledger(directory)
        end, held = 0, -1
        for rows, more, gap in sessions:
            held += more
            kept = [ledger.number(row) for row in range(ledger.rows_up_to(held))] if end else []
            assert ledger.continue_from(held, held + 1 + gap) == len(kept)
            assert numbers(ledger, len(kept)) == kept  # what W&B holds keeps its numbers
            ledger.add(JournalSpan("p", end, end + 10, rows))
            end += 10
        assert ledger.rows is not None
        given = numbers(ledger, ledger.rows)
        assert all(low < high for low, high in pairwise(given))
        assert [ledger.rows_up_to(number) for number in given] == list(range(1, ledger.rows + 1))
        counts = [ledger.rows_up_to(number) for number in range(-1, max(given, default=0) + 3)]
        assert counts == sorted(counts)
        ledger.close()


def test_the_cursor_is_kept_and_only_what_was_saved(directory: RunDirectory) -> None:
    """The ledger has it; it is on the disk once it is saved."""
    cursor = Ledger(directory).cursor
    cursor.set("journal/p", 10)
    cursor.save()
    cursor.set("journal/p", 20)
    assert cursor.get("journal/p") == 20
    again = Cursor(directory.cursor_file)
    assert (again.get("journal/p"), again.get("console/p")) == (10, 0)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\0\0", '{"journal/p": -1}', '{"journal/p": 1.5, "console/p": 3}'])
def test_a_damaged_cursor_begins_again(content: str, directory: RunDirectory) -> None:
    """Entry by entry: alerts may come twice, and none is lost."""
    directory.cursor_file.write_text(content)
    cursor = Cursor(directory.cursor_file)
    assert cursor.get("journal/p") == 0
    assert cursor.get("console/p") == (3 if "console" in content else 0)


WISHES = st.lists(st.one_of(st.just(0), st.integers(0, 30), st.sampled_from([10, 20, 30, 40, 50, 60])), max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(WISHES, st.integers(0, 12), st.integers(0, 9), st.booleans()), max_size=8))
def test_a_row_of_a_script_has_its_own_number_where_that_is_free(
    sessions: list[tuple[list[int], int, int, bool]],
) -> None:
    """Or the next. What W&B holds keeps its numbers, though a session ends between any two lines of the ledger."""
    with empty_directory() as directory:
        path = directory.ledger_file
        ledger, end, written = Ledger(directory), 0, 0
        for wishes, held_rows, gap, cut in sessions:
            rows = ledger.rows or 0
            held_rows = min(held_rows, rows)
            before = numbers(ledger, held_rows)
            held = before[-1] if before else -1
            size = path.stat().st_size
            assert ledger.continue_from(held, held + 1 + gap) == held_rows
            if path.stat().st_size > size:
                written = held + 1 + gap if held_rows == rows else 0  # the lowest of the rows to come
            floor = max(written, held + 1 + gap)
            assert numbers(ledger, held_rows) == before
            whole = path.read_bytes()
            old = numbers(ledger, rows)
            ledger.add(JournalSpan("p", end, end + 10, len(wishes)), wishes if any(wishes) else ())
            if cut:  # the line is not on the disk
                ledger.close()
                path.write_bytes(whole + path.read_bytes()[len(whole) :][:-3])
                ledger = Ledger(directory)
                assert (ledger.rows or 0, numbers(ledger, rows)) == (rows, old)
                continue
            end, written = end + 10, 0 if wishes else written
            previous = old[-1] if old else -1
            for row, wish in enumerate(wishes, rows):
                previous = max(wish, previous + 1, floor)
                assert ledger.number(row) == previous
            ledger = reopened(ledger, directory)
            count = ledger.rows or 0
            given = numbers(ledger, count)
            assert given[:rows] == old
            assert all(low < high for low, high in pairwise(given))
            assert [ledger.rows_up_to(number) for number in given] == list(range(1, count + 1))
            if not any(gap for *_, gap, _ in sessions):  # else a number may be one that a row had before
                for low, high in pairwise(given):
                    assert ledger.rows_up_to(high - 1) == ledger.rows_up_to(low)
        ledger.close()


def test_steps_at_a_pace_take_one_line(directory: RunDirectory) -> None:
    """The numbers of further spans at that pace take none; rows without a wish come one by one again."""
    ledger = Ledger(directory)
    ledger.continue_from(held=-1, lowest=0)
    for first in range(0, 1000, 100):
        ledger.add(JournalSpan("p", first, first + 100, 100), range(first * 10, first * 10 + 1000, 10))
    ledger.add(JournalSpan("q", 0, 10, 2))
    lines = [json.loads(line) for line in directory.ledger_file.read_text().splitlines()]
    assert [line["numbers"] for line in lines if "numbers" in line] == [[[1, 10, 10]], [[1000, 9991, 1]]]
    assert numbers(ledger, 1002)[-3:] == [9990, 9991, 9992]


@pytest.mark.parametrize(
    "given", ["3", "[3]", "[[0, 0]]", "[[0, 0, 0]]", "[[0, -1, 1]]", "[[0, 1, 4611686018427387904]]"]
)
def test_numbers_that_ups_does_not_write_are_damage(given: str, directory: RunDirectory) -> None:
    """None is as large as W&B cannot hold."""
    line = f'{{"journal": "p", "start": 0, "end": 10, "rows": 9, "numbers": {given}}}\n'
    directory.ledger_file.write_text(line + '{"row": 0, "number": 0}\n')
    with pytest.raises(DeliveryError, match=r"sequence\.jsonl is damaged"):
        Ledger(directory)
