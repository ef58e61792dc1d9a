"""Delivery: the process that brings a run's journals to W&B. It alone imports wandb."""
