"""The Transformers callback, in the trainer that it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

import ups
from held import read_held
from integrations.journaled import points, records, summary
from ups.errors import InvalidName, UsageError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from integrations.transformers_line import DPOConfig, Saves, trainer
    from ups.integrations.transformers import UPSCallback


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def callback() -> Iterator[UPSCallback]:
    """A callback whose run is only journaled."""
    made = UPSCallback(mode="local")
    yield made
    made.context.finish()


def test_two_trainers_are_two_stages_with_every_chart_full() -> None:
    """A callback for each trainer: one run, each training's steps on its own axis, no finding."""
    trainer(UPSCallback(mode="offline", delivery="thread"), 3).train()
    second = UPSCallback()
    trainer(second, 2, DPOConfig, learning_rate=0.001).train()
    report = second.context.finish()
    assert report is not None
    assert report.findings == ()
    held = read_held(second.context.dir)
    assert [x for x, _ in held.stage("train")] == list(range(1, 13))
    assert [x for x, _ in held.stage("train", "eval/loss")] == [4, 8, 12]
    assert [x for x, _ in held.stage("dpo")] == list(range(1, 9))
    assert held.config["learning_rate"] == 0.001
    assert held.config["earlier"]["train"]["learning_rate"] == 0.01
    assert held.config["model/num_parameters"] == 2
    assert held.runs[0]["project"] == "huggingface"


def test_a_callback_that_is_used_again_numbers_its_stages(callback: UPSCallback) -> None:
    """Each ``train()`` is a stage, also of one trainer; a name that is given holds from there on."""
    training = trainer(callback)
    training.train()
    training.train()
    callback.stage("finetune")
    training.train()
    drawn = points(callback.context.dir)
    for stage in ("train", "train2", "finetune"):
        assert drawn[f"{stage}/loss"] == [1, 2, 3, 4]


def test_results_go_to_the_summary(callback: UPSCallback) -> None:
    """What is evaluated or predicted outside a training, and what a training tells once, are no charts."""
    training = trainer(callback)
    training.evaluate()
    context = callback.context
    assert {"learning_rate", "model/num_parameters"} <= set(context.config)
    training.train()
    training.evaluate()
    training.predict(cast(Dataset[Any], training.eval_dataset))
    training.evaluate(metric_key_prefix="holdout")
    training.log({"mine": 1.5})
    drawn = points(context.dir)
    assert drawn["train/eval/loss"] == [4]
    assert not any("runtime" in name for name in drawn if "eval/" not in name)
    held = summary(context.dir)
    assert {"eval/loss", "eval/train/loss", "test/train/loss", "training/train/train_runtime"} <= set(held)
    assert {"eval/train/holdout_loss", "eval/train/mine"} <= set(held)
    assert not any("epoch" in name for name in held)


def test_the_run_has_the_trainers_name(callback: UPSCallback) -> None:
    """``run_name`` is the run's name; the arguments and the model's configuration are its configuration."""
    trainer(callback, run_name="a run").train()
    assert callback.context.name == "a run"
    assert {"per_device_train_batch_size", "model_type"} <= set(callback.context.config)


def test_reporting_to_wandb_as_well_is_told(capsys: pytest.CaptureFixture[str], callback: UPSCallback) -> None:
    """With both, W&B would get a second run; it is said once, with what to change."""
    training = trainer(callback, eval_strategy="no")
    training.args.report_to = ["wandb"]
    training.train()
    training.train()
    assert capsys.readouterr().err.count('pass report_to="none"') == 1


@pytest.mark.parametrize("log_model", [None, "end", "checkpoint"])
def test_models_are_logged_as_artifacts(log_model: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, the model at the end, or each checkpoint; by ``WANDB_LOG_MODEL`` as Transformers' own callback."""
    if log_model:
        monkeypatch.setenv("WANDB_LOG_MODEL", log_model)
    callback, saves = UPSCallback(mode="local"), Saves()
    training = trainer(callback, 2, save_strategy="epoch")
    training.add_callback(saves)
    training.train()
    assert saves.count >= 2
    artifacts = {None: 0, "end": 1, "checkpoint": saves.count}[log_model]
    logged = [record["artifact"] for record in records(callback.context.dir) if "artifact" in record]
    assert [artifact["name"] for artifact in logged] == [f"model-{callback.context.run_id}"] * artifacts
    for artifact in logged:
        assert any((callback.context.dir / artifact["path"]).glob("*.safetensors"))
    callback.context.finish()


def test_only_the_main_process_logs() -> None:
    """In a process that is not the first of its job no run is made, and asking for it says where it is."""
    callback = UPSCallback(mode="local")
    training = trainer(callback)
    training.is_world_process_zero = lambda: False  # type: ignore[method-assign]
    training.train()
    assert not Path("ups-runs").exists()
    with pytest.raises(UsageError, match="the main process of the job has one"):
        _ = callback.context


def test_the_open_run_is_taken_up() -> None:
    """A callback in a process that has a run open logs to that run, and does not end it."""
    with ups.create_wandb_context({}, mode="local") as ctx:
        callback = UPSCallback(project="other")
        trainer(callback).train()
        assert callback.context is ctx
        assert not ctx.finished


def test_a_finished_run_is_one_clear_line(callback: UPSCallback) -> None:
    """A training whose run was finished stops before its first step; so does a callback that is given such a run."""
    training = trainer(callback)
    training.train()
    callback.context.finish()
    with pytest.raises(UsageError, match=r"the run \w+ is finished and takes no training"):
        training.train()
    with pytest.raises(UsageError, match="which is finished; pass one that is open"):
        UPSCallback(context=callback.context)


def test_wrong_arguments_are_refused() -> None:
    """A wrong name or choice is an exception where it is given, not in the training."""
    with pytest.raises(InvalidName, match="'fine tune' is not a stage name"):
        UPSCallback("fine tune")
    with pytest.raises(UsageError, match="log_model is 'sometimes'; choose 'end', 'checkpoint' or false"):
        UPSCallback(log_model="sometimes")  # type: ignore[arg-type]
