"""UPS, the uninterruptible plot supply: staged training in Weights & Biases with every chart full.

Importing this package imports neither wandb, NumPy nor torch; the public names load what they need when used.
"""

__version__ = "0.1.0"
