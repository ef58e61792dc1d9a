"""A model of Transformers that learns y = 2 x, and trainers of 4 steps an epoch."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from ups.integrations.transformers import UPSCallback

__all__ = ["DPOConfig", "Saves", "trainer"]


class Line(PreTrainedModel):
    """y = 2 x, learned."""

    config_class = PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.layer = torch.nn.Linear(1, 1)
        self.post_init()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.layer(x)
        return {"loss": (y - labels).square().mean(), "logits": y}


class DPOConfig(TrainingArguments):
    """Arguments of a trainer of its own, as TRL has them."""


def trainer(callback: UPSCallback, epochs: int = 1, kind: type = TrainingArguments, **more: Any) -> Trainer:
    """A trainer of 4 steps an epoch."""
    settings = {"report_to": "none", "save_strategy": "no", "eval_strategy": "epoch", "learning_rate": 0.01, **more}
    arguments = kind(
        output_dir="out",
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
        **settings,
    )
    rows = [{"x": torch.tensor([x / 16]), "labels": torch.tensor([x / 8])} for x in range(16)]
    model = Line(PretrainedConfig())
    return Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows, callbacks=[callback])


class Saves(TrainerCallback):
    """Counts the checkpoints that are saved: Transformers 4 saves the last one twice."""

    count = 0

    def on_save(self, *_: Any, **__: Any) -> None:
        self.count += 1
