"""Defines axes of its own, as wandb's guide to custom axes does."""

import wandb

with wandb.init(project="axes") as run:
    run.define_metric("train/step")
    run.define_metric("train/*", step_metric="train/step")
    run.define_metric("epoch", hidden=True)
    run.define_metric("validation/loss", step_metric="epoch", summary="min")
    run.define_metric("validation/accuracy", step_metric="epoch", summary="max,last")
    for epoch in range(4):
        for batch in range(5):
            step = epoch * 5 + batch
            run.log({"train/step": step, "train/loss": 1 / (step + 1), "train/lr": 0.1})
        run.log({"epoch": epoch, "validation/loss": 1 - epoch * 0.1, "validation/accuracy": 0.5 + epoch * 0.1})
