"""The drop-in: ``import ups.wandb as wandb`` is wandb itself, with every run journaled and delivered by UPS."""

import sys

import wandb

from ups.dropin.turn_on import turn_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wandb import *  # noqa: F403

turn_on()
sys.modules[__name__] = wandb
