"""Accelerate: a loop in three stages, each counting its own steps.

Run it with: python accelerate_stages.py

Needs: pip install 'ups-tracking[accelerate,wandb]'. It runs under `accelerate launch` as well.
"""

import torch
from accelerate import Accelerator

from ups.integrations.accelerate import UPSTracker

STAGES = {"operator": 30, "diffusion_residual": 20, "consistency_distill": 10}  # steps of each

torch.set_num_threads(1)
tracker = UPSTracker("examples", stages=list(STAGES))
accelerator = Accelerator(cpu=True, log_with=tracker)
accelerator.init_trackers("examples", config={"lr": 0.1})

model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model, optimizer = accelerator.prepare(model, optimizer)
for stage, steps in STAGES.items():
    tracker.stage(stage)
    for step in range(steps):
        x = torch.randn(4, 1)
        loss = (model(x) - 2 * x).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"loss": loss.item()}, step=step)
accelerator.end_training()
