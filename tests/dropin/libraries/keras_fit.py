"""Keras with wandb's own callbacks."""

import keras
import numpy as np
import wandb
from wandb.integration.keras import WandbMetricsLogger, WandbModelCheckpoint

keras.utils.set_random_seed(1)
inputs = np.linspace(0, 1, 64, dtype="float32")[:, None]
run = wandb.init(project="keras", config={"lr": 0.05, "epochs": 3})
model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.SGD(run.config["lr"]), loss="mse", metrics=["mae"])
model.fit(
    inputs,
    2 * inputs,
    epochs=run.config["epochs"],
    batch_size=16,
    validation_split=0.25,
    verbose=0,
    callbacks=[WandbMetricsLogger(log_freq=2), WandbModelCheckpoint("model.keras", save_best_only=True)],
)
run.finish()
