"""Logs a table of predictions per epoch, an artifact at the end, and results in the summary."""

import json
from pathlib import Path

import wandb

run = wandb.init(project="tables", job_type="train", notes="a baseline", tags=["baseline", "small"])
for epoch in range(3):
    table = wandb.Table(columns=["id", "guess", "truth"])
    for row in range(4):
        table.add_data(row, (row * epoch) % 3, row % 3)
    run.log({"epoch": epoch, "predictions": table, "accuracy": 0.5 + epoch / 10})
Path("model.json").write_text(json.dumps({"weights": [1, 2, 3]}))
model = wandb.Artifact("model", type="model", description="the best one", metadata={"epochs": 3})
model.add_file("model.json")
run.log_artifact(model, aliases=["best", "latest"])
run.summary["best_accuracy"] = 0.7
run.summary.update({"test": {"f1": 0.5, "auc": 0.75}})
run.finish()
