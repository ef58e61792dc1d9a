"""A plain loop in two stages, each counting its own steps.

Run it with: python plain_loop.py

Without an account it is offline; then `ups check ups-runs` reads back what W&B holds.
"""

import math

import ups

STAGES = {"operator": 100, "distill": 60}  # steps of each

with ups.create_wandb_context({"lr": 0.1}, project="examples", stages=list(STAGES)) as ctx:
    weight = 0.0
    for name, steps in STAGES.items():
        stage = ctx.stage(name)
        for step in range(steps):
            error = weight - math.pi
            weight -= ctx.config["lr"] * error
            stage.log(step, loss=error * error, grad_norm=abs(error))
    ctx.log_eval_summary({"error": abs(weight - math.pi)})
