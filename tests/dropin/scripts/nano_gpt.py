"""Logs as a small language model's training does: module functions, one axis of its own, estimates now and then."""

import math

import wandb

config = {"batch_size": 12, "block_size": 64, "n_layer": 4, "learning_rate": 1e-3, "dataset": "shakespeare_char"}
wandb.init(project="owt", name="gpt2-124M", config=config)
for iteration in range(60):
    rate = 1e-3 * (1 - iteration / 60)
    loss = 4.2 * math.exp(-iteration / 20) + 1
    if iteration % 10 == 0:
        wandb.log(
            {
                "iter": iteration,
                "train/loss": loss,
                "val/loss": loss * 1.05,
                "lr": rate,
                "mfu": 12.5,
            }
        )
