"""The end of a run and its exit code, by what its processes journaled or by their silence."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from run_directories import append, row, start_journal
from ups.delivery import run_lifetime
from ups.delivery.run_lifetime import RunLifetime
from ups.journal import liveness
from ups.journal.run_directory import RunDirectory

HERE = socket.gethostname()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RunDirectory]:
    """A run's directory; the marks that a test holds in it are free again after it."""
    directory = RunDirectory.make(tmp_path, "r")
    yield directory
    for mark in directory.journal.glob("*.alive"):
        liveness.release(mark)


def test_the_owners_end_is_the_runs_end(directory: RunDirectory) -> None:
    """While the owner lives the run goes on, whatever others do; an end that was noted counts before the mark."""
    for order, process in enumerate(("p", "q"), 1):
        start_journal(directory, process, nth=order, owner=process == "p")
    assert liveness.hold(directory.mark_of("p"))
    lifetime = RunLifetime(directory, "p")
    lifetime.note("q", 5.0, 7)
    assert lifetime.exit_code() is None
    lifetime.note("p", 4.0, 3)
    assert lifetime.exit_code() == 3


def test_without_an_owner_the_run_ends_with_its_last_process(directory: RunDirectory) -> None:
    """With the exit code of the process that ended last."""
    for order, process in enumerate("pqr", 1):
        start_journal(directory, process, nth=order)
    assert liveness.hold(directory.mark_of("r"))
    lifetime = RunLifetime(directory, None)
    lifetime.note("p", 9.0, 2)
    lifetime.note("q", 8.0, 0)
    assert lifetime.exit_code() is None
    lifetime.note("r", 1.0, 5)
    assert lifetime.exit_code() == 2


def test_a_process_that_is_silent_and_gone_has_failed(directory: RunDirectory) -> None:
    """At the time of its last line, which may be before the end of another."""
    path = start_journal(directory, "p")
    assert RunLifetime(directory, "p").exit_code() == 1
    start_journal(directory, "q", nth=2)
    os.utime(path, (50.0, 50.0))
    lifetime = RunLifetime(directory, None)
    lifetime.note("q", 51.0, 0)
    assert lifetime.exit_code() == 0
    lifetime.note("q", 49.0, 0)
    assert lifetime.exit_code() == 1


def test_a_run_without_processes_has_ended_well(directory: RunDirectory) -> None:
    """It has nothing to deliver."""
    assert RunLifetime(directory, None).exit_code() == 0


@pytest.mark.parametrize(("ago", "code"), [(0.0, None), (3600.0, 4)])
def test_the_ranks_of_a_job_end_together(directory: RunDirectory, ago: float, code: int | None) -> None:
    """After rank 0 the run waits for the others, though not for ever, and not for a process of no rank."""
    for rank, process in enumerate(("zero", "one")):
        start_journal(directory, process, nth=rank + 1, rank=rank, owner=rank == 0, time=100.0)
    start_journal(directory, "beside", nth=3, rank=None, owner=False, time=100.0)
    lifetime = RunLifetime(directory, "zero")
    lifetime.note("zero", time.time() - ago, 4)
    assert liveness.hold(directory.mark_of("beside"))
    assert lifetime.exit_code() == 4
    assert liveness.hold(directory.mark_of("one"))
    assert lifetime.exit_code() == code
    lifetime.note("one", time.time(), 0)
    assert lifetime.exit_code() == 4


def test_a_process_that_lost_its_mark_has_a_moment_to_hold_it_again(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that daemonises closes it; after that moment the process counts as gone."""
    start_journal(directory, "p", pid=os.getppid(), host=HERE, time=time.time())
    lifetime = RunLifetime(directory, "p")
    assert lifetime.exit_code() is None
    monkeypatch.setattr(run_lifetime, "_MARK_GRACE", 0.0)
    assert lifetime.exit_code() == 1


def test_another_process_of_that_number_is_not_the_process(directory: RunDirectory) -> None:
    """It began after the journal did."""
    start_journal(directory, "p", pid=os.getppid(), host=HERE, time=100.0)
    assert RunLifetime(directory, "p").exit_code() == 1


@pytest.mark.parametrize(("shown_ago", "code"), [(0.0, 0), (3600.0, 1)])
def test_a_copy_of_a_live_run_ends_well_and_that_of_a_dead_one_does_not(
    directory: RunDirectory, shown_ago: float, code: int
) -> None:
    """A copied journal has another inode; the mark shows if its process lived when it was copied."""
    path = start_journal(directory, "p", inode=1, host=HERE, pid=0)
    assert path.stat().st_ino != 1
    directory.mark_of("p").touch()
    shown = time.time() - shown_ago
    os.utime(directory.mark_of("p"), (shown, shown))
    lifetime = RunLifetime(directory, "p")
    assert lifetime.exit_code() == code
    assert lifetime.unknown == ("p" if code == 0 else None)


def test_the_end_is_near_when_it_is_the_last_record(directory: RunDirectory) -> None:
    """Of the owner's journal, read or not."""
    path = start_journal(directory, "p", row(0))
    start_journal(directory, "q", {"time": 1.0, "end": {"exit_code": 0}}, nth=2)
    lifetime = RunLifetime(directory, "p")
    assert not lifetime.is_near()
    append(path, {"time": 1.0, "end": {"exit_code": 0}})
    assert lifetime.is_near()
    append(path, row(1))
    assert not lifetime.is_near()
    assert not RunLifetime(directory, None).is_near()


def test_a_training_that_resumes_the_run_becomes_its_owner(directory: RunDirectory) -> None:
    """The newest of several; a process that only joined does not."""
    for order, (process, owner) in enumerate([("a", True), ("b", True), ("c", True), ("joined", False)], 1):
        start_journal(directory, process, nth=order, owner=owner)
    lifetime = RunLifetime(directory, "a")
    assert lifetime.pass_on()
    assert lifetime.owner == "c"
    assert not lifetime.pass_on()
    assert not RunLifetime(directory, None).pass_on()
