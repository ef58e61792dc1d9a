"""Values at paths of names in nested dictionaries, as W&B's summaries, configurations and rows have them."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["merge", "put", "put_whole", "remove"]


def merge(target: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put values into nested dictionaries, path by path, as wandb-core does."""
    for name, value in values.items():
        inner = target.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            merge(inner, value)
        else:
            target[name] = value


def put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path, in place of one that stands in the way; dictionaries that are missing are made."""
    for name in path[:-1]:
        below = target.get(name)
        if not isinstance(below, dict):
            below = target[name] = {}
        target = below
    target[path[-1]] = value


def put_whole(target: dict[str, Any], path: Sequence[str], value: Any, whole: set[tuple[str, ...]]) -> None:
    """Put a value at a path as wandb-core does, where a dictionary that is put is one value.

    What is put below it later takes its place. ``whole`` has the paths of such dictionaries.
    """
    if whole:
        for length in range(1, len(path)):
            if (above := tuple(path[:length])) in whole:
                whole.discard(above)
                put(target, above, {})
        whole.discard(tuple(path))
    if isinstance(value, dict):
        whole.add(tuple(path))
    put(target, path, value)


def remove(target: dict[str, Any], path: Sequence[str]) -> None:
    """Remove the value at a path, if there is one."""
    for name in path[:-1]:
        below = target.get(name)
        if not isinstance(below, dict):
            return
        target = below
    target.pop(path[-1], None)
