"""The drop-in: a ``wandb.Run`` whose every call is journaled in the training process and replayed by delivery.

``import ups.wandb as wandb`` turns it on. :mod:`ups.dropin.seam` is the one place that replaces parts of wandb.
"""
