"""Lightning: two fits of one run, each a stage.

Run it with: python lightning_two_stages.py

Needs: pip install 'ups-tracking[lightning,wandb]'
"""

import lightning
import torch

from ups.integrations.lightning import UPSLogger


class Line(lightning.LightningModule):
    """Learns y = 2 x."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
        """One step."""
        loss = (self.layer(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, _: int) -> None:
        """One batch."""
        self.log("val/loss", (self.layer(batch) - 2 * batch).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def fit(model: Line, logger: UPSLogger, epochs: int) -> lightning.Trainer:
    """Train, 4 steps per epoch."""
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data, data)
    return trainer


torch.set_num_threads(1)
data = torch.utils.data.DataLoader(torch.linspace(-1, 1, 16)[:, None], batch_size=4)
logger = UPSLogger(project="examples", stage="pretrain")

model = Line(lr=0.1)
fit(model, logger, epochs=5)

logger.stage("finetune")
model = Line(lr=0.01)
trainer = fit(model, logger, epochs=3)
trainer.validate(model, data)  # results go to the summary
