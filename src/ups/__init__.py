"""UPS, the uninterruptible plot supply: staged training in Weights & Biases with every chart full.

Importing this package imports neither wandb, NumPy nor torch; the public names load what they need when used.
"""

from ups import errors

TYPE_CHECKING = False  # type checkers know this name, and importing typing takes longer than all the rest
if TYPE_CHECKING:
    from ups.guard import guard
    from ups.runfile import Run
    from ups.runs import open_run
    from ups.tracking import Stage, WandBContext, create_wandb_context, join_wandb_context

__version__ = "0.1.0"

__all__ = [
    "Run",
    "Stage",
    "WandBContext",
    "create_wandb_context",
    "errors",
    "guard",
    "join_wandb_context",
    "open_run",
]

_HOMES = {
    "Run": "ups.runfile",
    "guard": "ups.guard",
    "open_run": "ups.runs",
    "Stage": "ups.tracking",
    "WandBContext": "ups.tracking",
    "create_wandb_context": "ups.tracking",
    "join_wandb_context": "ups.tracking",
}

if not TYPE_CHECKING:  # else a type checker accepts every name

    def __getattr__(name: str) -> object:
        """Import a public name's home when it is first asked for."""
        if name not in _HOMES:
            raise AttributeError(f"module 'ups' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        return globals().setdefault(name, value)  # ups.guard is already there: the module itself, which is callable
