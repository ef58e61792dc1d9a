"""LightGBM with wandb's own callback."""

import lightgbm
import numpy as np
import wandb
from wandb.integration.lightgbm import log_summary, wandb_callback

inputs = np.random.default_rng(1).normal(size=(200, 3))
train = lightgbm.Dataset(inputs[:150], label=inputs[:150].sum(axis=1))
valid = lightgbm.Dataset(inputs[150:], label=inputs[150:].sum(axis=1), reference=train)
run = wandb.init(project="lightgbm", config={"leaves": 7})
model = lightgbm.train(
    {"objective": "regression", "metric": ["l2", "l1"], "num_leaves": 7, "num_threads": 1, "verbose": -1, "seed": 1},
    train,
    num_boost_round=12,
    valid_sets=[train, valid],
    valid_names=["train", "valid"],
    callbacks=[wandb_callback()],
)
log_summary(model, save_model_checkpoint=True)
run.finish()
