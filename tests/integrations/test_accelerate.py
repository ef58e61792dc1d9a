"""The Accelerate tracker.

What Accelerate's own ``tests/test_tracking.py`` asks of a tracker of a user's own, and where it is asked here:

=========================================  =====================================================================
``CustomTrackerTestCase.test_init_…``      :func:`test_what_the_accelerator_is_given_arrives`
``CustomTrackerTestCase.test_log``         :func:`test_what_the_accelerator_is_given_arrives`
``….test_init_trackers_none_kwargs``       :func:`test_kwargs_may_be_none`
``….test_log_none_kwargs``                 :func:`test_kwargs_may_be_none`
``RegisterTrackerClassTest``               :func:`test_it_can_be_registered_and_named`
``TrackerDeferredInitializationTest``      :func:`test_making_one_touches_no_distributed_state`
``test_log_images``, ``test_log_table``    :func:`test_images_and_tables_are_kept`
=========================================  =====================================================================
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.version import Version

import ups
from held import read_held
from integrations.journaled import points, records, summary
from ups.errors import InvalidName, UsageError

if TYPE_CHECKING:
    import accelerate.tracking
    import pandas as pd
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

    from ups.integrations.accelerate import UPSTracker

ACCELERATE = Version(metadata.version("accelerate"))


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> Iterator[None]:
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def started(**arguments: Any) -> tuple[Accelerator, UPSTracker]:
    """An accelerator whose tracker's run is only journaled."""
    tracker = UPSTracker("examples", **{"mode": "local", **arguments})
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("examples")
    return accelerator, tracker


def test_three_stages_have_every_chart_full() -> None:
    """W&B holds all steps of all stages, each on its own axis, and the check has no finding."""
    tracker = UPSTracker("examples", mode="offline", delivery="thread", stages=["operator", "residual", "distill"])
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("examples", config={"lr": 0.1})
    for stage, steps in {"operator": 12, "residual": 8, "distill": 4}.items():
        tracker.stage(stage)
        for step in range(steps):
            accelerator.log({"loss": 1 / (step + 1)}, step=step)
    context = tracker.tracker
    accelerator.end_training()
    report = context.finish()
    assert report is not None
    assert report.findings == ()
    held = read_held(context.dir)
    assert [[x for x, _ in held.stage(stage)] for stage in ("operator", "residual", "distill")] == [
        list(range(12)),
        list(range(8)),
        list(range(4)),
    ]
    assert held.runs[0]["project"] == "examples"
    assert held.config["lr"] == 0.1
    assert held.exit_codes == [0]


def test_what_the_accelerator_is_given_arrives() -> None:
    """The configuration, numbers as points, nested ones under both names, text in the summary."""
    config = {"num_iterations": 12, "learning_rate": 1e-2, "some_boolean": False, "some_string": "some_value"}
    tracker = UPSTracker("Some name", mode="local")
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("Some name", config)
    values = {"total_loss": 0.1, "iteration": 1, "my_text": "some_value", "loss": {"pde": 0.5}}
    accelerator.log(values, step=0)
    context = accelerator.get_tracker("ups", unwrap=True)
    assert context is tracker.tracker
    assert context.config == config
    assert points(context.dir) == {"train/total_loss": [0], "train/iteration": [0], "train/loss/pde": [0]}
    assert summary(context.dir) == {"training/train/my_text": "some_value"}
    accelerator.end_training()
    assert context.finished


@pytest.mark.skipif(Version("1.14") > ACCELERATE, reason="this Accelerate refuses None")
def test_kwargs_may_be_none() -> None:
    """``init_kwargs=None`` and ``log_kwargs=None`` are as if they were left out."""
    tracker = UPSTracker("Some name", mode="local")
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("Some name", init_kwargs=None)
    accelerator.log({"total_loss": 0.1}, step=0, log_kwargs=None)
    accelerator.end_training()
    assert points(tracker.tracker.dir) == {"train/total_loss": [0]}


def test_it_can_be_registered_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """``log_with="ups"`` makes one, with the accelerator's project name and keyword arguments."""
    if not hasattr(accelerate.tracking, "register_tracker_class"):
        pytest.skip("this Accelerate has no such call")
    monkeypatch.setattr(accelerate.tracking, "LOGGER_TYPE_TO_CLASS", dict(accelerate.tracking.LOGGER_TYPE_TO_CLASS))
    monkeypatch.setattr("accelerate.accelerator.LOGGER_TYPE_TO_CLASS", accelerate.tracking.LOGGER_TYPE_TO_CLASS)
    accelerate.tracking.register_tracker_class(UPSTracker)
    accelerator = Accelerator(cpu=True, log_with="ups")
    accelerator.init_trackers("some_project", {"lr": 0.1}, init_kwargs={"ups": {"mode": "local", "name": "a run"}})
    tracker = accelerator.get_tracker("ups")
    assert isinstance(tracker, UPSTracker)
    assert tracker.tracker.name == "a run"
    accelerator.end_training()


def test_making_one_touches_no_distributed_state() -> None:
    """Nothing of Accelerate's state, and no run, is there before the accelerator is."""
    PartialState._reset_state()
    tracker = UPSTracker("test", mode="local")
    assert PartialState._shared_state == {}
    assert not Path("ups-runs").exists()
    Accelerator(cpu=True, log_with=tracker)
    assert PartialState._shared_state != {}


def test_images_and_tables_are_kept() -> None:
    """The images of a list beside each other, a table from columns and data, and one from a data frame."""
    accelerator, tracker = started()
    accelerator.log({"loss": 1.0}, step=0)
    tracker.log_images({"field": [np.zeros((4, 4)), np.ones((4, 4))]}, step=1)
    tracker.log_table("rows", columns=["a", "b"], data=[[1, "x"]])
    tracker.log_table("frame", dataframe=pd.DataFrame({"a": [1, 2]}), step=2)
    logged = [record for record in records(tracker.tracker.dir) if "image" in record or "table" in record]
    placed = [(record.get("image") or record["table"], record.get("stage"), record.get("step")) for record in logged]
    assert placed == [("field", "train", 1), ("rows", None, None), ("frame", "train", 2)]
    assert [len(record["more"]) for record in logged if "image" in record] == [1]
    accelerator.end_training()


def test_a_loop_that_counts_anew_begins_a_stage() -> None:
    """A row whose step goes back is kept, in a stage of its own; a slower or repeated count begins none."""
    accelerator, tracker = started()
    for step in range(6):
        accelerator.log({"loss": 1.0, "lr": 0.1}, step=step)
        if step % 3 == 2:
            accelerator.log({"eval_loss": 1.0}, step=step // 3)
    accelerator.log({"loss": 1.0}, step=2)  # as after going back to a checkpoint
    for step in range(4):
        accelerator.log({"loss": 1.0}, step=step)
    drawn = points(tracker.tracker.dir)
    accelerator.end_training()
    assert drawn["train/loss"] == list(range(6))
    assert drawn["train/eval_loss"] == [0, 1]
    assert drawn["train2/loss"] == [2]
    assert drawn["train3/loss"] == list(range(4))
    assert not any(name.startswith("train4/") for name in drawn)


def test_a_training_longer_than_the_one_before_stays_one() -> None:
    """Where it passes the end of the earlier one, and where its steps are wider or irregular."""
    accelerator, tracker = started()
    for steps in (range(5), range(12), range(0, 100, 7), [0, 1, 3, 7, 50, 51, 200]):
        for step in steps:
            accelerator.log({"loss": 1.0}, step=step)
    drawn = points(tracker.tracker.dir)
    accelerator.end_training()
    assert drawn == {
        "train/loss": list(range(5)),
        "train2/loss": list(range(12)),
        "train3/loss": list(range(0, 100, 7)),
        "train4/loss": [0, 1, 3, 7, 50, 51, 200],
    }


@pytest.mark.parametrize("ahead", [4, 1000])
def test_two_counters_of_one_metric_have_an_axis_each(ahead: int) -> None:
    """Training steps that run ahead of the evaluations' own count: no value is lost, and x grows on both axes."""
    accelerator, tracker = started(mode="offline", delivery="thread")
    for count in range(1, 9):
        accelerator.log({"loss": 1 / count, "lr": 0.1}, step=ahead * count)
        accelerator.log({"loss": 10.0 + count}, step=count)
    context = tracker.tracker
    accelerator.end_training()
    report = context.finish()
    assert report is not None
    assert report.findings == ()
    held = read_held(context.dir)
    assert held.stage("train") == [(ahead * count, 1 / count) for count in range(1, 9)]
    assert held.stage("train2") == [(count, 10.0 + count) for count in range(1, 9)]


def test_of_calls_at_one_step_the_last_value_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """With gradient accumulation a loop logs several times a step. As with W&B's own tracker, a step is one point."""
    accelerator, tracker = started(mode="offline", delivery="thread")
    step = 0
    for micro in range(80):
        if micro % 4 == 3:
            step += 1
        accelerator.log({"step_loss": float(micro), "lr": 1e-3}, step=step)
    context = tracker.tracker
    accelerator.end_training()
    report = context.finish()
    assert report is not None
    assert report.findings == ()
    held = read_held(context.dir)
    last = [*range(2, 79, 4), 79]  # the last call of each step
    assert held.stage("train", "step_loss") == [(at, float(micro)) for at, micro in enumerate(last)]
    assert [x for x, _ in held.stage("train", "lr")] == list(range(21))
    printed = capsys.readouterr().err
    assert printed.count("ups: stage 'train': step 0 is given again: of each metric the last value stands") == 1
    assert "cannot go back" not in printed
    assert len(held.rows) == 21


def test_metrics_that_come_one_by_one_are_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Several calls at a step with other names join, and nothing is said of them."""
    accelerator, tracker = started(mode="offline", delivery="thread", strict=True)
    for step in range(5):
        for name in ("loss", "lr", "accuracy"):
            accelerator.log({name: float(step)}, step=step)
    context = tracker.tracker
    accelerator.end_training()
    held = read_held(context.dir)
    assert len(held.rows) == 5
    assert [x for x, _ in held.stage("train", "accuracy")] == list(range(5))
    assert "given again" not in capsys.readouterr().err


class Split(enum.Enum):
    TRAIN = "train"


class Name(str, enum.Enum):  # noqa: UP042 - as older code has it
    LOSS = "loss"


def test_names_that_are_no_strings_are_kept_as_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Wandb raises TypeError for them, and for a part of a nested name it takes the text. It is said once."""
    accelerator, tracker = started(mode="offline", delivery="thread")
    for step in range(3):
        accelerator.log(
            {1: 1.0, Split.TRAIN: 2.0, ("a", 2): 3.0, Name.LOSS: 4.0, "deep": {7: 5.0}, None: 6.0}, step=step
        )
    tracker.log_table(Split.TRAIN, columns=["a"], data=[[1]])
    context = tracker.tracker
    accelerator.end_training()
    held = read_held(context.dir)
    for name, value in {"1": 1.0, "Split.TRAIN": 2.0, "('a', 2)": 3.0, "loss": 4.0, "deep/7": 5.0, "None": 6.0}.items():
        assert held.stage("train", name) == [(step, value) for step in range(3)]
    printed = capsys.readouterr().err
    assert printed.count("ups: the name 1 is not a string: its values are logged as '1'") == 1
    assert "15 x the name 1 is not a string" in printed


def test_wandbs_own_tracker_refuses_names_that_are_no_strings() -> None:
    """What a loop that moves from it to UPS may have met."""
    accelerator = Accelerator(cpu=True, log_with="wandb")
    accelerator.init_trackers("examples", init_kwargs={"wandb": {"mode": "offline"}})
    with pytest.raises(TypeError, match="must be strings"):
        accelerator.log({1: 1.0}, step=0)
    accelerator.end_training()


@pytest.mark.parametrize("step", ["3", 2.5, None, float("nan")])
def test_a_step_that_is_no_whole_number_stops_nothing(step: Any) -> None:
    """Its row is told; without a step, it comes after the last."""
    accelerator, tracker = started()
    for at in (0, 1, step, 2):
        accelerator.log({"loss": 1.0}, step=at)
    drawn = points(tracker.tracker.dir)
    accelerator.end_training()
    assert drawn["train/loss"][:2] == [0, 1]
    assert drawn["train/loss"][-1] == 2


def test_a_metric_may_name_its_stage() -> None:
    """By W&B's full name, by a declared stage, or by ``log_kwargs``; any other prefix is part of the metric's name."""
    accelerator, tracker = started(stages=["operator"])
    accelerator.log({"operator/loss": 1.0, "training/distill/loss": 2.0, "eval/loss": 3.0}, step=5)
    accelerator.log({"loss": 4.0}, step=6, log_kwargs={"ups": {"stage": "operator"}})
    accelerator.log({"training/distill/loss": 5.0, "training/distill/step": 9})
    drawn = points(tracker.tracker.dir)
    accelerator.end_training()
    assert drawn == {"operator/loss": [5, 6], "distill/loss": [5, 9], "train/eval/loss": [5]}


def test_a_stage_that_is_named_again_goes_on() -> None:
    """Stages may take turns; without ``step`` each counts on from its own last."""
    accelerator, tracker = started()
    for stage in ("generator", "critic", "generator"):
        tracker.stage(stage)
        for _ in range(2):
            accelerator.log({"loss": 1.0})
    drawn = points(tracker.tracker.dir)
    accelerator.end_training()
    assert drawn == {"generator/loss": [0, 1, 2, 3], "critic/loss": [0, 1]}


def test_the_open_run_is_taken_up_and_left_open() -> None:
    """``end_training()`` ends the run that the tracker made, not one that was there before."""
    with ups.create_wandb_context({}, mode="local") as ctx:
        accelerator, tracker = started()
        accelerator.log({"loss": 1.0}, step=0)
        accelerator.end_training()
        assert tracker.tracker is ctx
        assert not ctx.finished


def test_another_process_is_told_that_it_has_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the main process logging does nothing, and asking for the run says where it is."""
    tracker = UPSTracker("examples", mode="local")
    Accelerator(cpu=True, log_with=tracker)
    state = PartialState()
    monkeypatch.setitem(PartialState._shared_state, "process_index", 1)
    monkeypatch.setitem(PartialState._shared_state, "num_processes", 2)
    monkeypatch.setitem(PartialState._shared_state, "distributed_type", "MULTI_CPU")
    assert not state.is_main_process
    tracker.start()
    tracker.log({"loss": 1.0}, step=0)
    assert not Path("ups-runs").exists()
    with pytest.raises(UsageError, match=r"this is process 1 of 2; ask accelerator\.is_main_process first"):
        _ = tracker.tracker


def test_a_finished_run_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A row after the end is said once and stops nothing; a finished run that is passed is refused."""
    accelerator, tracker = started()
    accelerator.log({"loss": 1.0}, step=0)
    context = tracker.tracker
    accelerator.end_training()
    for step in (1, 2):
        tracker.log({"loss": 1.0}, step=step)
    assert capsys.readouterr().err.count("a row was logged after finish()") == 1
    with pytest.raises(UsageError, match="which is finished; pass one that is open"):
        UPSTracker("examples", context=context)


def test_a_stage_that_cannot_be_drawn_is_refused() -> None:
    """A wrong name is an exception where it is given, not in the training."""
    with pytest.raises(InvalidName, match="'fine tune' is not a stage name"):
        UPSTracker("examples", stage="fine tune")
