"""Makes a run per fold, all in one group, in one process."""

import wandb

for fold in range(3):
    run = wandb.init(project="folds", group="experiment-1", id=f"fold-{fold}", config={"fold": fold}, reinit=True)
    for epoch in range(5):
        run.log({"train_loss": 1 / (epoch + 1) + fold, "val_loss": 1.1 / (epoch + 1) + fold})
    run.summary["score"] = fold * 0.1
    run.finish()
