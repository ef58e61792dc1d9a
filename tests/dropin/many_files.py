"""Logs an artifact whose manifest is a file of its own: with wandb's limit for that lowered."""

from pathlib import Path

import wandb
from wandb.sdk.interface import interface

interface.MANIFEST_FILE_SIZE_THRESHOLD = 2  # files, of 100,000
run = wandb.init(project="p", id="r", settings=wandb.Settings(x_disable_stats=True))
artifact = wandb.Artifact("many", "dataset")
for name in ("a.txt", "b.txt", "c.txt"):
    Path(name).write_text(f"content of {name}")
    artifact.add_file(name, name=f"folder/{name}")
    Path(name).unlink()
run.log_artifact(artifact)
artifact.wait(60)
