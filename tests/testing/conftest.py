"""The fixture itself, also where UPS is not installed with its entry point."""

from ups.testing import wandb_charts

__all__ = ["wandb_charts"]
