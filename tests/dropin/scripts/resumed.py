"""Is stopped and started again with the same id, as from a checkpoint."""

import wandb

for start in (0, 5):
    run = wandb.init(project="resumed", id="the-same", resume="allow", config={"epochs": 10})
    for epoch in range(start, start + 5):
        run.log({"epoch": epoch, "loss": 1 / (epoch + 1)})
    run.finish()
