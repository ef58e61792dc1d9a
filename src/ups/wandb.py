"""The drop-in: ``import ups.wandb as wandb`` is wandb itself, with every run journaled and delivered by UPS."""

import sys

import wandb

from ups.dropin.seam import install

install()
sys.modules[__name__] = wandb
