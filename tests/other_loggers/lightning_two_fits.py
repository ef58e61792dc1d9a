"""Lightning's WandbLogger with two fits in one run: as it is mostly written, and with the fix that the check names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import WandbLogger


class Line(lightning.LightningModule):
    """y = 2 x, learned."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        loss: torch.Tensor = (self.layer(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        self.log("val/loss", (self.layer(batch) - 2 * batch).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class CountingOn(WandbLogger):
    """The fix: the second fit counts on from the last step of the first."""

    offset = 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, self.offset + (step or 0))


def fit(logger: WandbLogger, model: Line, epochs: int) -> int:
    """Train, 4 steps an epoch; returns how many steps there were."""
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    numbers: Any = torch.randn(16, 1)  # a tensor has what a data set needs
    data = torch.utils.data.DataLoader(numbers, batch_size=4)
    trainer.fit(model, data, data)
    return trainer.global_step


Path("usual").mkdir()
logger = WandbLogger(project="others", id="usual", save_dir="usual", offline=True)
model = Line()
fit(logger, model, 5)
fit(logger, model, 3)
logger.experiment.finish()

Path("fixed").mkdir()
fixed = CountingOn(project="others", id="fixed", save_dir="fixed", offline=True)
model = Line()
fixed.offset = fit(fixed, model, 5)
fit(fixed, model, 3)
fixed.experiment.finish()
