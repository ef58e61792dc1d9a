"""The Lightning logger.

What Lightning's own ``tests/tests_pytorch/loggers/test_all.py`` asks of every logger, and where it is asked here:

====================================  ==========================================================================
``test_loggers_fit_test_all``         :func:`test_the_rows_of_a_fit_and_of_a_test_arrive_with_lightnings_steps`
``test_loggers_pickle_all``           :func:`test_a_pickled_logger_goes_on_with_its_run`
``test_logger_reset_correctly``       :func:`test_a_tuner_leaves_the_logger_and_its_run_alone`
``test_logger_initialization``        :func:`test_spawned_processes_log_to_one_run_and_only_rank_0_does`
``test_logger_with_prefix_all``       :func:`test_a_prefix_goes_before_each_name`
``test_logger_default_name``          :func:`test_names_follow_lightnings_conventions`
====================================  ==========================================================================
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

import ups
from held import read_held
from integrations.journaled import points, records, summary
from ups.errors import InvalidName, UsageError

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.tuner.tuning import Tuner
    from lightning.pytorch.utilities import rank_zero_only

    from integrations.lightning_line import AnyCall, Line, data, trainer
    from ups.integrations.lightning import UPSLogger


@pytest.fixture
def logger() -> Iterator[UPSLogger]:
    """A logger whose run is only journaled."""
    made = UPSLogger(mode="local")
    yield made
    made.experiment.finish()


def test_the_rows_of_a_fit_and_of_a_test_arrive_with_lightnings_steps() -> None:
    """Each row that the trainer hands over arrives once, at the trainer's step."""

    class Recording(UPSLogger):
        def __init__(self) -> None:
            super().__init__(mode="local")
            self.given: list[tuple[int | None, list[str]]] = []

        def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
            super().log_metrics(metrics, step)
            self.given.append((step, sorted(metrics)))

    logger = Recording()
    training = trainer(logger, 1, limit_train_batches=1, limit_val_batches=1)
    model = Line()
    training.fit(model, data(), data())
    training.test(model, data())
    assert logger.given == [(0, ["epoch", "train/loss"]), (0, ["epoch", "val/loss"]), (1, ["epoch", "test/loss"])]
    assert points(logger.experiment.dir) == {"fit/train/loss": [0], "fit/epoch": [0], "fit/val/loss": [0]}
    assert list(summary(logger.experiment.dir)) == ["eval/fit/test/loss"]
    logger.experiment.finish()


def test_two_fits_are_two_stages_with_every_chart_full() -> None:
    """W&B holds all steps of both fits, each on its own axis, and the check has no finding."""
    logger = UPSLogger(project="simulator", offline=True, stage="pretrain", delivery="thread")
    trainer(logger, 4).fit(Line(0.1), data(), data())
    logger.stage("finetune")
    trainer(logger, 2).fit(Line(0.01), data(), data())
    report = logger.experiment.finish()
    assert report is not None
    assert report.findings == ()
    held = read_held(logger.experiment.dir)
    assert [x for x, _ in held.stage("pretrain", "train/loss")] == list(range(16))
    assert [x for x, _ in held.stage("pretrain", "val/loss")] == [3, 7, 11, 15]
    assert [x for x, _ in held.stage("finetune", "train/loss")] == list(range(8))
    assert held.config["lr"] == 0.01
    assert held.config["earlier"] == {"pretrain": {"lr": 0.1}}
    assert held.runs[0]["project"] == "simulator"


def test_fits_without_a_name_are_numbered(logger: UPSLogger) -> None:
    """The second fit is ``fit2``, whichever trainer does it, and whatever it is called later."""
    training = trainer(logger, 1)
    training.fit(Line(), data())
    trainer(logger, 1).fit(Line(), data())
    assert points(logger.experiment.dir)["fit2/train/loss"] == [0, 1, 2, 3]


def test_what_is_logged_by_hand_before_a_fit_is_in_its_stage(logger: UPSLogger) -> None:
    """Rows that come before the trainer's belong to the stage that the fit goes on with."""
    logger.log_metrics({"warmup": 1.0}, step=0)
    trainer(logger, 1).fit(Line(), data())
    assert set(points(logger.experiment.dir)) == {"fit/warmup", "fit/train/loss", "fit/epoch"}


def test_an_evaluations_batches_are_a_stage_and_its_results_are_not(logger: UPSLogger) -> None:
    """Results go to the summary under the stage that was evaluated; what comes batch by batch makes charts."""
    model = Line(each=True)
    training = trainer(logger, 1)
    training.fit(model, data())
    training.test(model, data())
    logger.log_metrics({"by hand": 1.0})  # after a fit, so it begins the next one's stage
    training.test(model, data())
    drawn = points(logger.experiment.dir)
    assert len(drawn["test/test/loss_step"]) == len(drawn["test2/test/loss_step"]) == 4
    assert list(summary(logger.experiment.dir)) == ["eval/fit/test/loss_epoch"]


def test_rows_without_a_step_follow_the_last(logger: UPSLogger) -> None:
    """As Fabric and people by hand log."""
    for value in (3.0, 2.0, 1.0):
        logger.log_metrics({"loss": value})
    assert points(logger.experiment.dir) == {"fit/loss": [0, 1, 2]}


def test_a_prefix_goes_before_each_name() -> None:
    """``prefix`` is joined with Lightning's ``-``."""
    logger = UPSLogger(mode="local", prefix="tmp")
    logger.log_metrics({"test": 1.0}, step=0)
    assert points(logger.experiment.dir) == {"fit/tmp-test": [0]}
    logger.experiment.finish()


def test_names_follow_lightnings_conventions(tmp_path: Path) -> None:
    """``name`` is the project, ``version`` the run's id, and checkpoints lie below ``save_dir`` under both."""
    logger = UPSLogger("a run", tmp_path, mode="local")
    assert (logger.name, logger.version, logger.save_dir) == ("lightning_logs", None, str(tmp_path))
    training = trainer(logger, 1, enable_checkpointing=True)
    training.fit(Line(), data())
    assert logger.experiment.name == "a run"
    run_id = logger.experiment.run_id
    assert logger.version == run_id
    assert logger.log_dir == str(tmp_path / "ups-runs" / run_id)
    (checkpoint,) = (tmp_path / "lightning_logs" / run_id / "checkpoints").iterdir()
    assert isinstance(training.checkpoint_callback, ModelCheckpoint)
    assert str(checkpoint) == training.checkpoint_callback.best_model_path
    logger.experiment.finish()


def test_a_version_that_is_there_is_gone_on_with() -> None:
    """A training that starts again with its run's id has the same stages, each going on where it ended."""
    for _ in range(2):
        logger = UPSLogger(version="again", offline=True, delivery="thread")
        trainer(logger, 2).fit(Line(), data())
        logger.experiment.finish()
    held = read_held(Path("ups-runs/again"))
    assert [x for x, _ in held.stage("fit", "train/loss")] == list(range(8))
    assert not held.stage("fit2", "train/loss")


def test_a_pickled_logger_goes_on_with_its_run(logger: UPSLogger) -> None:
    """The trainer and its logger can be pickled with the run open, and what comes back logs to the same run."""
    logger.log_metrics({"a": 1.0})
    logger.save()
    copy = pickle.loads(pickle.dumps(trainer(logger, 1))).logger
    with ups.create_wandb_context({}, mode="local"):  # the newest run is another
        copy.log_metrics({"acc": 1.0})
    assert (copy.name, copy.save_dir, copy.version) == (logger.name, logger.save_dir, logger.version)
    assert copy.experiment is logger.experiment
    assert "a" in str(points(logger.experiment.dir))
    assert "acc" in str(points(logger.experiment.dir))


@pytest.mark.parametrize("method", ["lr_find", "scale_batch_size"])
def test_a_tuner_leaves_the_logger_and_its_run_alone(logger: UPSLogger, method: str) -> None:
    """What a tuner tries is in no chart, and the trainer has its logger back."""

    class Sized(Line):
        batch_size = 2

        def train_dataloader(self) -> Any:
            return data()

        val_dataloader = train_dataloader

    training = trainer(logger, 1, enable_checkpointing=True)
    model = Sized()
    getattr(Tuner(training), method)(model, **({"num_training": 5} if method == "lr_find" else {"max_trials": 2}))
    assert training.logger is logger
    assert model.logger is logger
    assert points(logger.experiment.dir) == {}


@pytest.mark.timeout(400)
@mock.patch.dict(os.environ)  # where Lightning leaves the address of its processes
def test_spawned_processes_log_to_one_run_and_only_rank_0_does() -> None:
    """With ``ddp_spawn`` the run is the parent's, its next fit the next stage; on other ranks any call passes."""
    logger = UPSLogger(offline=True, version="spawned")
    trainer(logger, 3, strategy="ddp_spawn", devices=2, callbacks=[AnyCall()]).fit(Line(), data())
    trainer(logger, 1, callbacks=[AnyCall()]).fit(Line(), data())
    logger.experiment.finish()
    held = read_held(Path("ups-runs/spawned"))
    assert [x for x, _ in held.stage("fit", "train/loss")] == list(range(6))
    assert [x for x, _ in held.stage("fit2", "train/loss")] == list(range(4))
    assert held.exit_codes == [0]


def test_another_rank_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a rank beyond 0 every call passes, and no run is made."""
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = UPSLogger(mode="local")
    logger.log_hyperparams({"lr": 1.0})
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize("success")
    assert logger.experiment.log_image("a", None) is None
    assert not Path("ups-runs").exists()


@pytest.mark.parametrize(("log_model", "artifacts"), [(False, 0), (True, 1), ("all", 2)])
def test_checkpoints_are_logged_as_artifacts(log_model: Any, artifacts: int) -> None:
    """``log_model`` logs none, what is left at the end of a fit, or each as it is saved."""
    logger = UPSLogger(mode="local", log_model=log_model)
    keep_best = ModelCheckpoint(monitor="val/loss", save_top_k=1)
    trainer(logger, 2, enable_checkpointing=True, callbacks=[keep_best]).fit(Line(), data(), data())
    logged = [record["artifact"] for record in records(logger.experiment.dir) if "artifact" in record]
    assert [artifact["name"] for artifact in logged] == [f"model-{logger.version}"] * artifacts
    logger.experiment.finish()


def test_the_open_run_is_taken_up() -> None:
    """A logger in a process that has a run open logs to that run, and does not end it."""
    with ups.create_wandb_context({}, mode="local") as ctx:
        logger = UPSLogger(project="other")
        trainer(logger, 1).fit(Line(), data())
        assert logger.experiment is ctx
        assert not ctx.finished


def test_a_finished_run_is_one_clear_line(logger: UPSLogger, capsys: pytest.CaptureFixture[str]) -> None:
    """A fit whose run was finished stops before it trains; so does a logger that is given such a run."""
    logger.experiment.finish()
    with pytest.raises(UsageError, match=r"the run \w+ is finished and takes no training; .* make a new one"):
        trainer(logger, 1).fit(Line(), data())
    assert "was logged after finish" not in capsys.readouterr().err
    with pytest.raises(UsageError, match="which is finished; pass one that is open"):
        UPSLogger(experiment=logger.experiment)


def test_a_stage_that_cannot_be_drawn_is_refused(logger: UPSLogger) -> None:
    """A wrong name is an exception where it is given, not in the training."""
    with pytest.raises(InvalidName, match="'fine tune' is not a stage name"):
        logger.stage("fine tune")
