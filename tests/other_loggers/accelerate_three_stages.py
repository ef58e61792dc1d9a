"""Accelerate's tracker with three stages that each count from 0: as it is mostly written, and with the check's fix."""

from pathlib import Path

import torch
from accelerate import Accelerator

STAGES = {"operator": 30, "diffusion_residual": 20, "consistency_distill": 10}


def train(name: str, *, fixed: bool) -> None:
    """Train a line in three stages, in one run."""
    Path(name).mkdir()
    accelerator = Accelerator(cpu=True, log_with="wandb")
    accelerator.init_trackers("others", init_kwargs={"wandb": {"mode": "offline", "id": name, "dir": name}})
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model, optimizer = accelerator.prepare(model, optimizer)
    for stage, steps in STAGES.items():
        if fixed:
            run = accelerator.get_tracker("wandb", unwrap=True)
            run.define_metric(f"training/{stage}/loss", step_metric=f"training/{stage}/step")
        for step in range(steps):
            x = torch.randn(4, 1)
            loss = (model(x) - 2 * x).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            if fixed:
                accelerator.log({f"training/{stage}/loss": loss.item(), f"training/{stage}/step": step})
            else:
                accelerator.log({f"training/{stage}/loss": loss.item()}, step=step)
    accelerator.end_training()


train("usual", fixed=False)
train("fixed", fixed=True)
