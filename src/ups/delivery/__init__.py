"""Delivery: the process that brings a run's journals to W&B, and the only one that imports wandb."""
