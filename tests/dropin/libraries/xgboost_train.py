"""XGBoost with wandb's own callback."""

import numpy as np
import wandb
import xgboost
from wandb.integration.xgboost import WandbCallback

inputs = np.random.default_rng(1).normal(size=(80, 3))
train, valid = (
    xgboost.DMatrix(part, label=part.sum(axis=1), feature_names=["a", "b", "c"]) for part in (inputs[:60], inputs[60:])
)
with wandb.init(project="xgboost", config={"rounds": 12}):
    xgboost.train(
        {"max_depth": 2, "eta": 0.3, "eval_metric": ["rmse", "mae"], "nthread": 1},
        train,
        num_boost_round=12,
        evals=[(train, "train"), (valid, "valid")],
        verbose_eval=False,
        callbacks=[WandbCallback(log_model=True)],
    )
