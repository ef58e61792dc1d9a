"""When a training process starts its delivery again, and when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from run_directories import append, row, start_journal
from ups.errors import RunDirectoryError
from ups.journal import liveness
from ups.journal.ledger import JournalSpan, Ledger
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, write_status
from ups.tracking.row_sink import RowSink
from ups.tracking.supervisor import Supervisor


class Delivering:
    """A delivery that runs as long as a test has it run.

    Attributes:
        starts: The number of times that it was started.
        running: True while it runs.
        failure: Raised by each start, if there is one.
    """

    def __init__(self) -> None:
        self.starts = 0
        self.running = False
        self.failure: Exception | None = None
        self.last_line = ""

    def start(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.starts += 1
        self.running = True

    def is_running(self) -> bool:
        return self.running

    def log_tail(self) -> str:
        return self.last_line


class Trainer:
    """A training process with one row in its journal, its delivery and the supervisor of that."""

    def __init__(self, folder: Path) -> None:
        self.directory = RunDirectory.make(folder, "r")
        self.journal = start_journal(self.directory, "p", row(0))
        self.sink = RowSink(strict=False, keep_media=lambda values, step: values)
        self.delivering = Delivering()
        self.supervisor = Supervisor(self.directory, self.directory.mark_of("p"), self.sink, self.delivering)

    def die(self) -> None:
        """End the delivery, and have the supervisor look."""
        self.delivering.running = False
        self.supervisor.ensure_running()

    def finish(self, owner: str = "p") -> None:
        """Report, as a delivery of ``owner``, that W&B holds every row."""
        ledger = Ledger(self.directory)
        ledger.add(JournalSpan("p", ledger.offsets().get("p", 0), self.journal.stat().st_size, 1))
        ledger.close()
        consumed = self.directory.journaled_bytes()
        write_status(self.directory, Status(state="finished", owner=owner, consumed_bytes=consumed))

    def faults(self) -> dict[str, int]:
        """The faults of the process, counted."""
        return {kind: fault["count"] for kind, fault in self.sink.faults.as_dict().items()}


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    """A trainer whose delivery runs."""
    trainer = Trainer(tmp_path)
    assert trainer.supervisor.ensure_running()
    assert trainer.delivering.starts == 1
    yield trainer
    liveness.release(trainer.directory.running_mark)


def test_a_delivery_that_runs_is_left_alone(trainer: Trainer) -> None:
    """And the first start is not a fault."""
    assert trainer.supervisor.ensure_running()
    assert trainer.delivering.starts == 1
    assert trainer.faults() == {}


@pytest.mark.parametrize(("last_line", "why"), [("", "killed"), ("ups: out of memory", "out of memory")])
def test_a_delivery_that_died_is_started_again(
    trainer: Trainer, last_line: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its last line as the reason, printed once and counted."""
    trainer.delivering.last_line = last_line
    trainer.die()
    trainer.die()
    assert trainer.delivering.starts == 3
    assert trainer.faults() == {"delivery": 2}
    assert capsys.readouterr().err.count(why) == 1


def test_one_that_dies_ten_times_without_a_row_more_is_given_up(trainer: Trainer) -> None:
    """A row more in W&B begins the count again."""
    for _ in range(9):
        trainer.die()
    write_status(trainer.directory, Status(state="delivering", rows=1))
    trainer.supervisor.poll()
    for _ in range(10):
        trainer.die()
    assert trainer.delivering.starts == 20
    trainer.delivering.running = False
    assert not trainer.supervisor.ensure_running()
    assert trainer.delivering.starts == 20
    assert trainer.faults()["given-up"] == 1


def test_one_that_has_finished_is_not_started_until_a_row_waits(trainer: Trainer) -> None:
    """Its end is then not a fault."""
    trainer.finish()
    trainer.die()
    assert (trainer.delivering.starts, trainer.faults()) == (1, {})
    append(trainer.journal, row(1))
    trainer.die()
    assert trainer.delivering.starts == 2


def test_one_that_has_finished_for_another_training_is_started(trainer: Trainer) -> None:
    """It closed the run with that one's exit code."""
    trainer.finish(owner="before")
    trainer.die()
    assert trainer.delivering.starts == 2


def test_beside_a_delivery_of_another_process_none_is_started(trainer: Trainer) -> None:
    """As one that still closes the run's former training."""
    assert liveness.hold(trainer.directory.running_mark)
    trainer.die()
    assert (trainer.delivering.starts, trainer.faults()) == (1, {})
    liveness.release(trainer.directory.running_mark)
    trainer.die()
    assert trainer.delivering.starts == 2


@pytest.mark.parametrize("failure", [OSError("no more processes"), RunDirectoryError("the directory is gone")])
def test_a_start_that_fails_is_tried_again(trainer: Trainer, failure: Exception) -> None:
    """It is a fault, and stops nothing."""
    trainer.delivering.failure = failure
    trainer.die()
    assert trainer.faults()["start"] == 1
    trainer.delivering.failure = None
    trainer.die()
    assert trainer.delivering.starts == 2


def test_a_run_that_is_only_journaled_has_no_delivery(trainer: Trainer) -> None:
    """Nothing is started, and nothing is wrong."""
    supervisor = Supervisor(trainer.directory, trainer.directory.mark_of("p"), trainer.sink, None)
    assert supervisor.ensure_running()
    assert not supervisor.stuck


def test_what_delivery_reports_is_taken_over(trainer: Trainer) -> None:
    """Its faults are counted with the training's; Stop and refused credentials are noted."""
    fault = {"count": 3, "message": "the session was lost"}
    write_status(trainer.directory, Status(state="delivering", faults={"session": fault}, stop=True, denied=True))
    for _ in range(2):
        trainer.supervisor.poll()
    assert trainer.faults() == {"session": 3, "denied": 1}
    assert trainer.supervisor.stop_requested
    assert trainer.supervisor.stuck
