"""Values at paths of names in nested dictionaries, as W&B's summaries, configurations and rows have them."""

from collections.abc import Sequence
from typing import Any

__all__ = ["put", "remove"]


def put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path, in place of one that stands in the way; dictionaries that are missing are made."""
    for name in path[:-1]:
        below = target.get(name)
        if not isinstance(below, dict):
            below = target[name] = {}
        target = below
    target[path[-1]] = value


def remove(target: dict[str, Any], path: Sequence[str]) -> None:
    """Remove the value at a path, if there is one."""
    for name in path[:-1]:
        below = target.get(name)
        if not isinstance(below, dict):
            return
        target = below
    target.pop(path[-1], None)
