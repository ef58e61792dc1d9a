"""What sessions are given: each row exactly once and under one number, whatever is lost; the rest at least once."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.recorded_session import RecordedSession
from run_directories import append, row, start_journal
from ups.delivery import intake
from ups.delivery.feeder import Feeder
from ups.delivery.intake import Intake
from ups.delivery.run_lifetime import RunLifetime
from ups.delivery.wandb_errors import Refused, SessionLost
from ups.journal.ledger import Ledger
from ups.journal.row_reader import RowReader, rows_of
from ups.journal.run_directory import RunDirectory


class Run:
    """A run without processes, and what its sessions were given.

    Attributes:
        held: The rows that W&B holds: each number and content.
        numbers: The numbers under which each row was ever given.
    """

    def __init__(self, folder: Path) -> None:
        self.directory = RunDirectory.make(folder, "r")
        self.held: list[tuple[int, Any]] = []
        self.numbers: dict[str, set[int]] = {}
        self.refused: list[str] = []
        self.faults: Counter[str] = Counter()

    def start(self, process: str, *records: dict[str, Any], **start: Any) -> Path:
        """Write the journal of a process; see :func:`start_journal`."""
        return start_journal(self.directory, process, *records, **start)

    def session(self, *, lost_after: int | None = None, unsaved: int = 0, ended: bool = True) -> RecordedSession:
        """Run one session through all that the journals hold, as delivery does.

        Args:
            lost_after: The number of rows after which it is lost.
            unsaved: The number of rows, of those that it was given, that a lost session leaves out of W&B.
            ended: Whether the run has ended.
        """
        session = RecordedSession(lost_after)
        ledger = Ledger(self.directory)
        journals = RowReader(self.directory, "first")
        held = self.held[-1][0] if self.held else -1
        rows = ledger.continue_from(held, held + 1)
        lifetime = RunLifetime(self.directory, None)
        feeder = Feeder(
            session,
            journals,
            self.directory,
            ledger,
            rows,
            on_end=lifetime.note,
            on_refusal=lambda refused: self.refused.append(refused.what),
        )
        source = Intake(
            feeder,
            lifetime,
            on_fault=lambda kind, message, count: self.faults.update({kind: count}),
            on_progress=lambda: None,
        )
        kept = None
        with contextlib.suppress(SessionLost):
            source.take_ledger()
            feeder.restore_summary()
            while source.take_new(ended=ended):
                pass
            kept = len(session.rows)
        ledger.cursor.save()
        ledger.close()
        self.feeder, self.lifetime, self.ledger = feeder, lifetime, ledger
        for number, content in session.rows:
            self.numbers.setdefault(repr(content), set()).add(number)
        self.held += session.rows[: kept if kept is not None else max(len(session.rows) - unsaved, 0)]
        return session

    def steps(self, stage: str = "a") -> list[int]:
        """The steps of a stage that W&B holds, in its order."""
        axis = f"training/{stage}/step"
        return [content[axis] for _, content in self.held if isinstance(content, dict) and axis in content]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run without journals."""
    return Run(tmp_path)


CUT = st.tuples(st.integers(0, 6), st.integers(0, 3))  # rows until the session is lost; rows that W&B then lacks


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 5), CUT, st.booleans()), max_size=10))
def test_each_row_is_given_once_under_one_number(rounds: list[tuple[str, int, tuple[int, int], bool]]) -> None:
    """Journals grow between sessions, each of which is lost at any row, with the newest rows; the last ends well."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        run = Run(Path(folder))
        paths = {process: run.start(process, nth=order) for order, process in enumerate("pq", 1)}
        written = dict.fromkeys("pq", 0)
        for index, (process, count, (lost_after, unsaved), table) in enumerate(rounds):
            for _ in range(count):
                append(paths[process], {**row(written[process]), "stage": process})
                written[process] += 1
            if table:
                (run.directory.path / "t.json").touch()
                append(paths[process], {"time": 1.0, "table": f"t{index}", "path": "t.json"})
            run.session(lost_after=lost_after, unsaved=unsaved)
        last = run.session()
        assert run.session().rows == []
        assert {process: run.steps(process) for process in "pq"} == {p: list(range(written[p])) for p in "pq"}
        tables = [content for _, content in run.held if isinstance(content, str)]
        assert Counter(tables) == Counter(f"t{index}" for index, (*_, table) in enumerate(rounds) if table)
        assert [number for number, _ in run.held] == list(range(len(run.held)))
        assert all(len(numbers) == 1 for numbers in run.numbers.values())
        assert (run.feeder.rows, run.ledger.rows) == (len(run.held), len(run.held))
        assert last.summary.keys() <= {f"training/{p}/{name}" for p in "pq" for name in ("loss", "step")}
        assert not run.faults
        assert not run.refused


def test_rows_that_a_journal_has_lost_keep_their_numbers(run: Run) -> None:
    """A power cut takes the end of a journal: W&B may hold those rows, so others get the next numbers."""
    path = run.start("p", *map(row, range(5)))
    run.session(lost_after=2)
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(content[:4]))  # without the last two rows
    run.start("q", *({**row(step), "stage": "b"} for step in range(2)), nth=2)
    session = run.session()
    assert [number for number, _ in session.rows] == [2, 5, 6]
    assert (run.steps("a"), run.steps("b")) == ([0, 1, 2], [0, 1])
    assert (run.feeder.gone, run.feeder.rows) == (2, 7)


def test_an_open_row_is_given_once_it_is_settled(run: Run) -> None:
    """Of a process that is gone, at its end; in each later session at the same place, under the same number."""
    run.start("p", row(0), {**row(1, loss=1.0), "open": True}, {**row(1, loss=1.5), "open": True})
    run.start("q", {**row(0), "stage": "b"}, nth=2)
    first = run.session(lost_after=2)
    assert [(number, content["training/a/loss"]) for number, content in first.rows] == [(0, 0.0), (1, 1.5)]
    run.held.clear()
    again = run.session()
    assert again.rows[:2] == first.rows
    assert [number for number, _ in again.rows] == [0, 1, 2]


def test_what_has_no_number_is_given_by_the_cursor(run: Run) -> None:
    """Alerts and files once; configuration, tags and summary again, of which the newest values stand."""
    (run.directory.path / "media" / "files").mkdir(parents=True)
    (run.directory.path / "media" / "files" / "notes.txt").touch()
    end = {"time": 9.0, "end": {"exit_code": 3}}
    run.start(
        "p",
        {"time": 1.0, "alert": {"title": "look", "text": "", "level": "INFO"}},
        {"time": 1.0, "file": {"base": "media/files", "name": "notes.txt"}},
        {"time": 1.0, "config": {"lr": 0.1}},
        {"time": 1.0, "tags": ["one"]},
        {"time": 1.0, "summary": {"eval/acc": 0.5}},
        row(0, loss=2.0),
        end,
    )
    run.directory.console_of("p").write_text("printed\nand cut")
    first, second = run.session(), run.session()
    assert first.once == ["look", "notes.txt", "printed\nand cut"]
    assert second.once == []
    for session in (first, second):
        assert (session.config, session.tags) == ({"lr": 0.1}, ["one"])
        assert session.summary["eval/acc"] == 0.5
    assert second.summary == {"training/a/loss": 2.0, "training/a/step": 0, "eval/acc": 0.5}
    assert run.lifetime.exit_code() == 3
    assert run.feeder.expected == {"_step": 1, "training/a/loss": 1, "training/a/step": 1}


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.json", "nowhere.json"])
def test_a_file_outside_the_run_costs_itself_alone(run: Run, path: str) -> None:
    """Its number stays free, and the rows behind it are given."""
    (run.directory.path.parent / "outside.json").touch()
    run.start("p", row(0), {"time": 1.0, "table": "t", "path": path}, row(1))
    session = run.session()
    assert run.refused == ["the table 't'"]
    assert [number for number, _ in session.rows] == [0, 2]


def test_damaged_lines_are_counted_and_passed_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, in the session that takes them up, whichever spans they are in."""
    monkeypatch.setattr(intake, "_SPAN", 1)
    path = run.start("p", row(0))
    for step, damage in enumerate([b"\0\0\n[1]\n", b"{}\n"], 1):
        with path.open("ab") as file:
            file.write(damage)
        append(path, row(step))
    for _ in range(2):
        run.session()
        assert run.faults == {"damaged": 3}
    assert run.steps() == [0, 1, 2]


def test_a_refusal_of_wandb_costs_one_thing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session takes the rest."""

    def refuse(session: RecordedSession, tags: list[str]) -> None:
        raise Refused("tags", "too many")

    monkeypatch.setattr(RecordedSession, "add_tags", refuse)
    run.start("p", {"time": 1.0, "tags": ["one"]}, row(0))
    run.session()
    assert (run.refused, run.steps()) == (["tags"], [0])


CALL = st.fixed_dictionaries(
    {"log": st.dictionaries(st.sampled_from(["loss", "a/x", "epoch"]), st.integers(0, 5).map(float), max_size=2)},
    optional={"step": st.integers(0, 40), "commit": st.booleans()},
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pppq"), st.lists(CALL, max_size=5), CUT), min_size=1, max_size=8))
def test_each_row_of_a_script_is_given_once_under_one_number(
    rounds: list[tuple[str, list[dict[str, Any]], tuple[int, int]]],
) -> None:
    """Also where its processes log at once; with its definitions in each session, before the rows that need them."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        run = Run(Path(folder))
        defined = {"time": 0.0, "metric": {"name": "a/*", "step_metric": "epoch"}}
        paths = {"p": run.start("p", defined), "q": run.start("q", nth=2, owner=False)}
        calls = 0
        for process, records, (lost_after, unsaved) in rounds:
            for record in records:
                calls += 1
                append(paths[process], {"time": float(calls), **record, "log": {**record["log"], "nth": calls}})
            assert "a/*" in run.session(lost_after=lost_after, unsaved=unsaved, ended=False).made
        for path in paths.values():
            append(path, {"time": 0.0, "end": {"exit_code": 0}})
        run.session()
        again = run.session()
        assert again.rows == []
        numbers = [number for number, _ in run.held]
        assert numbers == sorted(set(numbers))
        assert all(len(given) == 1 for given in run.numbers.values())
        assert (run.feeder.rows, run.ledger.rows) == (len(run.held), len(run.held))
        journals = list(rows_of(RowReader(run.directory, "first").read_all()))
        assert [content for _, content in run.held] == [row.values for row in journals]
        if len(calls_of := {process for process, records, _ in rounds if records}) == 1 and "p" in calls_of:
            assert numbers == [number for number, _ in _alone(journals)]
        assert not run.faults
        assert not run.refused


def _alone(rows: list[Any]) -> list[tuple[int, Any]]:
    """The rows of one process, each with its own number."""
    return [(row.number, row) for row in rows]


def test_files_are_given_again_until_a_session_has_ended_well(run: Run) -> None:
    """W&B may lack what a lost session was given last; none is taken from outside the run."""
    run.directory.files.mkdir()
    (run.directory.files / "a.png").touch()
    (run.directory.files / "out.png").symlink_to("/etc/hostname")
    kept = [{"time": 1.0, "kept": {"path": name, "policy": "now"}} for name in ("a.png", "out.png", "none.png")]
    call = {"time": 1.0, "log": {"x": 1}}
    path = run.start("p", *kept, call)
    assert run.session(lost_after=0).files == ["a.png"]
    assert run.session().files == ["a.png"]
    assert run.refused == 2 * ["a file behind a link", "the file 'none.png'"]
    run.feeder.finished()
    run.ledger.cursor.save()
    append(path, {"time": 1.0, "kept": {"path": "b/../a.png", "policy": "now"}})
    assert run.session().files == []


def test_an_artifact_comes_once_and_from_the_runs_own_folder(run: Run) -> None:
    """One whose answer is awaited comes again until that is there."""
    run.directory.artifacts.mkdir()
    (run.directory.artifacts / "a.txt").touch()
    (run.directory.artifacts / "link.txt").symlink_to("/etc/hostname")

    def artifact(name: str, path: str, **answer: str) -> dict[str, Any]:
        given = {"type": "t", "name": name, "manifest": {"contents": [{"path": "a", "localPath": path}]}}
        return {"time": 1.0, "artifact_record": {"artifact": given, **answer}}

    wrong = ["/etc/hostname", "run.json", "artifacts/../run.json", "artifacts/link.txt", "artifacts/none.txt"]
    run.directory.manifest_file.touch()
    run.start(
        "p",
        artifact("right", "artifacts/a.txt"),
        artifact("awaited", "artifacts/a.txt", answer="one"),
        *(artifact(path, path) for path in wrong),
        {"time": 1.0, "use_artifact": {"id": "used", "type": "t", "name": "n"}},
        {"time": 1.0, "preempting": True},
        {"time": 1.0, "log": {"x": 1}},
    )
    assert run.session(lost_after=0).once == ["right", "awaited", "used", "preempting"]
    assert run.refused == [f"the artifact {path!r}" for path in wrong]
    assert run.session().once == ["awaited"]
    assert run.session().once == []
