"""Logs through a logger class with the trainer's own step, as a distributed trainer does."""

from pathlib import Path
from typing import Any

import wandb


class WandBLogger:
    """Writes a step's metrics under a tag."""

    def __init__(self, log_dir: str, tag: str | None = None) -> None:
        self.wandb = wandb
        self.tag = tag
        Path(log_dir).mkdir(parents=True, exist_ok=True)
        self.wandb.init(project="torchtitan", dir=log_dir, config={"model": "debug", "steps": 30})

    def log(self, metrics: dict[str, Any], step: int) -> None:
        """Log the metrics of a step."""
        self.wandb.log({(k if self.tag is None else f"{self.tag}/{k}"): v for k, v in metrics.items()}, step=step)

    def close(self) -> None:
        """Finish the run, if there is one."""
        if self.wandb.run is not None:
            self.wandb.finish()


logger = WandBLogger("outputs/tb")
for step in range(1, 31):
    if step == 1 or step % 5 == 0:
        logger.log(
            {
                "loss_metrics/global_avg_loss": 8 / step,
                "loss_metrics/global_max_loss": 9 / step,
                "throughput(tps)": 1000 + step,
                "memory/max_active(GiB)": 2.5,
                "grad_norm": 1.0 / step,
            },
            step=step,
        )
logger.close()
