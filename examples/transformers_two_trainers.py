"""Transformers: two trainers, one run, each training a stage.

Run it with: python transformers_two_trainers.py

Needs: pip install 'ups-tracking[transformers,wandb]'. With TRL's SFTTrainer and DPOTrainer it is the same: pass
them callbacks=[UPSCallback()], and the stages are called sft and dpo.
"""

import torch
from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

from ups.integrations.transformers import UPSCallback


class Line(PreTrainedModel):
    """Learns y = 2 x."""

    config_class = PretrainedConfig

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.layer = torch.nn.Linear(1, 1)
        self.post_init()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss and the prediction for ``x`` and ``labels``, both batch × 1."""
        y = self.layer(x)
        return {"loss": (y - labels).square().mean(), "logits": y}


def trainer(model: Line, stage: str, epochs: int, learning_rate: float) -> Trainer:
    """A trainer of 4 steps per epoch."""
    data = [{"x": torch.tensor([x / 16]), "labels": torch.tensor([x / 8])} for x in range(16)]
    arguments = TrainingArguments(
        output_dir="out",
        num_train_epochs=epochs,
        learning_rate=learning_rate,
        per_device_train_batch_size=4,
        logging_steps=1,
        eval_strategy="epoch",
        save_strategy="no",
        report_to="none",  # UPSCallback takes the place of report_to="wandb"
        use_cpu=True,
        disable_tqdm=True,
    )
    callbacks = [UPSCallback(stage, project="examples")]
    return Trainer(model=model, args=arguments, train_dataset=data, eval_dataset=data, callbacks=callbacks)


torch.set_num_threads(1)
model = Line(PretrainedConfig())
trainer(model, "pretrain", epochs=5, learning_rate=0.1).train()
finetuning = trainer(model, "finetune", epochs=3, learning_rate=0.01)
finetuning.train()
finetuning.evaluate()  # results go to the summary
