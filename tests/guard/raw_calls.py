"""Calls without any habit: each a number that says its names, its ``step=``, its ``commit=`` and its x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guard.made_loops import Call

__all__ = ["DEFINITIONS", "KINDS", "raw_calls"]

_METRICS = ("loss", "a/loss", "a/other", "b/loss")
_AXES = ("a/step", "epoch")
_NAMES = (*_METRICS, *_AXES)
_SUBSETS = tuple(
    tuple(name for place, name in enumerate(_NAMES) if bits >> place & 1) for bits in range(1, 2 ** len(_NAMES))
)
_STEPS = (None, "next", "same", "back", "gap", "first")
_COMMITS = (None, True, False)
_MOVES = ("next", "same", "back", "first")
KINDS = len(_SUBSETS) * len(_STEPS) * len(_COMMITS) * len(_MOVES)
"""How many kinds of calls there are."""

_CHOICES: tuple[tuple[Call, ...], ...] = (
    (),
    (Call("a/*", {"step_metric": "a/step"}),),
    (Call("a/*", {"step_metric": "a/step"}), Call("b/loss", {"step_metric": "epoch"})),
    (Call("a/*", {"step_metric": "a/step", "step_sync": False}), Call("loss", {"step_metric": "epoch"})),
    (Call("*", {"step_metric": "epoch"}),),
    (Call("*", {"step_metric": "epoch"}), Call("a/*", {"step_metric": "a/step"})),
)
DEFINITIONS = len(_CHOICES)
"""How many sets of definitions there are."""


def raw_calls(definitions: int, kinds: Sequence[int]) -> list[Call]:
    """The calls of a script: one of the sets of definitions, then a call of ``log`` per kind. All metrics differ."""
    calls = list(_CHOICES[definitions])
    value, step = 1000.5, 0
    x = dict.fromkeys(_AXES, 0)
    for kind in kinds:
        kind, subset = divmod(kind, len(_SUBSETS))
        kind, which = divmod(kind, len(_STEPS))
        move, commit = divmod(kind, len(_COMMITS))
        data: dict[str, Any] = {}
        for name in _SUBSETS[subset]:
            if name in x:
                data[name] = x[name] = _moved(_MOVES[move], x[name])
            else:
                value += 1
                data[name] = value
        arguments: dict[str, Any] = {"data": data}
        moved = _STEPS[which]
        if moved is not None:
            arguments["step"] = step = _moved(moved, step)
        if _COMMITS[commit] is not None:
            arguments["commit"] = _COMMITS[commit]
        calls.append(Call(None, arguments))
    return calls


def _moved(move: str, number: int) -> int:
    return {"next": number + 1, "same": number, "back": max(0, number - 2), "gap": number + 5, "first": 0}[move]
