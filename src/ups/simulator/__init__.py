"""A neural simulator of a partial differential equation, trained in three stages and tracked in full.

Needs the extra ``simulator`` (PyTorch and matplotlib). ``ups train`` runs it.
"""
