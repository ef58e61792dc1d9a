"""Stable-Baselines3 with wandb's own callback: by TensorBoard's files, as its example has it, and without."""

import torch
import wandb
from stable_baselines3 import PPO
from wandb.integration.sb3 import WandbCallback

torch.set_num_threads(1)
for by_tensorboard in (True, False):
    run = wandb.init(project="sb3", config={"policy": "MlpPolicy", "steps": 128}, sync_tensorboard=by_tensorboard)
    model = PPO(
        run.config["policy"],
        "CartPole-v1",
        n_steps=64,
        batch_size=32,
        n_epochs=2,
        seed=1,
        device="cpu",
        tensorboard_log="runs" if by_tensorboard else None,
    )
    callback = WandbCallback(gradient_save_freq=1, model_save_path=f"models/{by_tensorboard}", log="all")
    model.learn(total_timesteps=run.config["steps"], callback=callback)
    run.finish()
