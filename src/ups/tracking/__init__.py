"""Tracking: a training loop logs a stage's rows; every row is on disk at once and in W&B exactly once."""

from ups.tracking.context import WandBContext
from ups.tracking.create import create_wandb_context, join_wandb_context
from ups.tracking.stage import Stage

__all__ = ["Stage", "WandBContext", "create_wandb_context", "join_wandb_context"]
