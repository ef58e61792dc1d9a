"""Media that a framework's logger is given: W&B holds them in a row with the stage's step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb
from accelerate import Accelerator
from transformers import TrainerControl, TrainerState, TrainingArguments

import ups
from held import read_held
from ups.integrations.accelerate import UPSTracker
from ups.integrations.lightning import UPSLogger
from ups.integrations.transformers import UPSCallback

PIXELS = np.zeros((4, 4, 3), "uint8")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_with_media(stage: str) -> list[tuple[Any, dict[str, str]]]:
    """The stage's step and the media of each row that has some, by name, of the one run below the working directory."""
    (folder,) = Path("ups-runs").iterdir()
    found = []
    for row in read_held(folder).rows:
        media = {name.removesuffix("._type"): kind for name, kind in row.items() if name.endswith("._type")}
        if media:
            found.append((row.get(f"training/{stage}/step"), media))
    return found


def test_lightning() -> None:
    """By the logger's own calls, as beside a metric, and as values among metrics."""
    logger = UPSLogger(mode="offline")
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.log_image("field", [PIXELS, PIXELS], step=1, caption=["a", "b"])
    logger.log_table("rows", columns=["a"], data=[[1]], step=2)
    logger.log_metrics({"loss": 0.5, "sample": wandb.Image(PIXELS)}, step=3)
    logger.log_image("apart", [PIXELS])
    logger.experiment.finish()
    assert rows_with_media("fit") == [
        (1, {"training/fit/field": "images/separated"}),
        (2, {"training/fit/rows": "table-file"}),
        (3, {"training/fit/sample": "image-file"}),
        (None, {"apart": "image-file"}),
    ]
    held = read_held(next(Path("ups-runs").iterdir()))
    axes = {metric["name"]: metric.get("step_metric") for metric in held.metrics}
    assert axes["training/fit/field"] == axes["training/fit/rows"] == axes["training/fit/loss"] == "training/fit/step"
    assert [row["training/fit/loss"] for row in held.rows if row.get("training/fit/step") == 3] == [0.5]
    check = ups.open_run(next(Path("ups-runs").iterdir()))
    assert {medium.key for medium in check.media} == {
        f"training/fit/{name}" for name in ("field", "rows", "sample")
    } | {"apart"}


def test_accelerate() -> None:
    """By the tracker's own calls, and as values among metrics, whose row they join."""
    tracker = UPSTracker("project", mode="offline")
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("project")
    accelerator.log({"loss": 1.0}, step=0)
    accelerator.log({"sample": wandb.Html("<b>x</b>")}, step=0)
    tracker.log_images({"field": [PIXELS]}, step=1)
    tracker.log_table("rows", columns=["a"], data=[[1]], step=1)
    accelerator.end_training()
    found = rows_with_media("train")
    assert sorted(found, key=str) == [
        (0, {"training/train/sample": "html-file"}),
        (1, {"training/train/field": "image-file"}),
        (1, {"training/train/rows": "table-file"}),
    ]


def test_transformers() -> None:
    """As values among the logs of a trainer."""
    callback = UPSCallback(mode="offline")
    arguments = TrainingArguments(output_dir="out", report_to=[])
    state, control = TrainerState(), TrainerControl()
    callback.on_train_begin(arguments, state, control)
    state.global_step = 7
    callback.on_log(arguments, state, control, logs={"loss": 1.0, "sample": wandb.Image(PIXELS)})
    callback.on_train_end(arguments, state, control)
    callback.context.finish()
    assert rows_with_media("train") == [(7, {"training/train/sample": "image-file"})]
