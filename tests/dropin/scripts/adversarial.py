"""Logs two losses with one step, in two calls, and samples every tenth."""

import numpy as np
import wandb

random = np.random.default_rng(0)
wandb.init(project="gan", config={"latent": 64, "beta1": 0.5})
for step in range(40):
    wandb.log({"D/loss": 1 / (step + 1), "D/real": random.random()}, step=step)
    wandb.log({"G/loss": step / 40}, step=step)
    if step % 10 == 0:
        samples = [wandb.Image((random.random((8, 8, 3)) * 255).astype("uint8")) for _ in range(2)]
        wandb.log({"samples": samples, "weights": wandb.Histogram(random.normal(size=50))}, step=step)
wandb.finish()
