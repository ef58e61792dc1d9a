"""The Hugging Face Trainer run twice in one run: as it is mostly written, and with the fix that the check names."""

import copy
from pathlib import Path
from typing import Any

import torch
import wandb
from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import WandbCallback


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


class CountingOn(WandbCallback):
    """The fix: a training counts on from the last step of the one before."""

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset

    def on_log(self, args: TrainingArguments, state: TrainerState, *others: Any, **more: Any) -> None:
        shifted = copy.copy(state)
        shifted.global_step += self.offset
        super().on_log(args, shifted, *others, **more)


def train(model: Line, epochs: int, callback: WandbCallback | None = None) -> int:
    """Train, 4 steps an epoch; returns how many steps there were."""
    data = [{"x": torch.tensor([x / 16]), "labels": torch.tensor([x / 8])} for x in range(16)]
    arguments = TrainingArguments(
        output_dir="out",
        num_train_epochs=epochs,
        per_device_train_batch_size=4,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none" if callback else "wandb",
        use_cpu=True,
        disable_tqdm=True,
    )
    callbacks: list[TrainerCallback] = [callback] if callback else []
    trainer = Trainer(model=model, args=arguments, train_dataset=data, eval_dataset=data, callbacks=callbacks)
    trainer.train()
    return trainer.state.global_step


Path("usual").mkdir()
run = wandb.init(project="others", id="usual", dir="usual", mode="offline")
model = Line(PretrainedConfig())
train(model, 5)
train(model, 3)
run.finish()

Path("fixed").mkdir()
run = wandb.init(project="others", id="fixed", dir="fixed", mode="offline")
model = Line(PretrainedConfig())
steps = train(model, 5, CountingOn(0))
train(model, 3, CountingOn(steps))
run.finish()
