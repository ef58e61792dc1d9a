"""A Lightning model that learns y = 2 x, and trainers of 4 steps an epoch."""

from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

__all__ = ["AnyCall", "Line", "data", "trainer"]


class Line(lightning.LightningModule):
    """One weight; ``each`` also logs every batch of an evaluation."""

    def __init__(self, lr: float = 0.01, each: bool = False) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr, self.each = lr, each
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        loss: torch.Tensor = (self.layer(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        self.log("val/loss", (self.layer(batch) - 2 * batch).square().mean(), on_step=self.each, on_epoch=True)

    def test_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("test/loss", (self.layer(batch) - 2 * batch).square().mean(), on_step=self.each, on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class AnyCall(lightning.Callback):
    """Calls the run in every process of a training: on rank 0 it is a context, on others what takes any call."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        logger: Any = trainer.logger
        context = logger.experiment
        assert (type(context).__name__ == "WandBContext") == trainer.is_global_zero
        assert trainer.is_global_zero or context.anything(at="all") is None


def data() -> Any:
    """16 numbers in 4 batches; for each of two processes in 2."""
    numbers: Any = torch.linspace(-1, 1, 16)[:, None]  # a tensor has what a data set needs
    return DataLoader(numbers, batch_size=4)


def trainer(logger: Any, epochs: int = 2, **more: Any) -> lightning.Trainer:
    """A trainer on the CPU that logs every step and prints nothing."""
    settings = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, **more}
    return lightning.Trainer(max_epochs=epochs, accelerator="cpu", logger=logger, log_every_n_steps=1, **settings)
