"""Loops as people write them, put together at random: what is logged, against what, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

__all__ = ["Call", "Run", "made", "play"]


class Call(NamedTuple):
    """A call of ``define_metric``, where ``name`` is given, or of ``log``."""

    name: str | None
    arguments: dict[str, Any]


class Run(Protocol):
    """What takes the calls."""

    @property
    def define_metric(self) -> Callable[..., Any]: ...
    @property
    def log(self) -> Callable[..., Any]: ...


def play(calls: list[Call], run: Run) -> None:
    """Make the calls."""
    for name, arguments in calls:
        if name is None:
            run.log(**arguments)
        else:
            run.define_metric(name, **arguments)


class _Values:
    """Numbers that are all different, so that each is known again."""

    def __init__(self) -> None:
        self._last = 1000.5

    def next(self) -> float:
        self._last += 1
        return self._last


def made(random: Random) -> list[Call]:
    """The calls of one script: one to three loops that take turns."""
    values = _Values()
    definitions: list[Call] = []
    loops = []
    for name in "abc"[: random.choice((1, 1, 2, 3))]:
        own, calls = random.choice((_on_own_axis, _on_own_axis, _on_steps, _on_steps, _on_shared_axis))(
            name, random, values
        )
        definitions += [call for call in own if call not in definitions]
        loops.append(calls)
    if random.randrange(12) == 0:
        definitions.append(Call("*", {"step_metric": "global_step"}))
    logged = []
    while loops:
        loop = random.choice(loops)
        for _ in range(random.choice((1, 1, 2, 5, 20))):
            if loop:
                logged.append(loop.pop(0))
        loops = [each for each in loops if each]
    return definitions + logged


def _x(random: Random) -> list[float]:
    """The x of one chart as they come."""
    length = random.randint(1, 9)
    start = random.choice((0, 0, 1, 50))
    pace = random.choice((1, 1, 1, 3, 0.1))
    counted = [start + pace * each for each in range(length)]
    kind = random.choice(("counter", "counter", "again", "again", "out of order", "measured", "falling", "still"))
    if kind == "again":
        for _ in range(random.choice((1, 1, 2, 12))):
            again = random.randrange(length)
            counted += [start + pace * each for each in range(again, again + random.randint(1, length))]
    elif kind == "out of order":
        random.shuffle(counted)
    elif kind == "measured":
        counted = [random.randrange(10**6) / 64 for _ in counted]
    elif kind == "falling":
        counted.reverse()
    elif kind == "still":
        counted = [each for each in counted for _ in range(random.randint(1, 2))]
    return counted


def _steps(random: Random) -> list[int]:
    """The ``step=`` of one loop: a counter, with gaps or from 0 again."""
    start = random.choice((0, 0, 0, 5, 100))
    pace = random.choice((1, 1, 10))
    steps = [start + pace * each for each in range(random.randint(1, 8))]
    if random.randrange(3) == 0:
        steps += [pace * each for each in range(random.randint(1, 8))]
    return steps


def _log(data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> Call:
    arguments: dict[str, Any] = {"data": data}
    if step is not None:
        arguments["step"] = step
    if commit is not None:
        arguments["commit"] = commit
    return Call(None, arguments)


def _on_own_axis(name: str, random: Random, values: _Values) -> tuple[list[Call], list[Call]]:
    """A metric, and perhaps a second, against an axis: in the rows, in calls of its own, seldom, or never logged."""
    axis = random.choice((f"{name}/step", f"{name}/epoch", "epoch"))
    glob = random.choice((f"{name}/*", f"{name}/loss"))
    options: dict[str, Any] = {"step_metric": axis}
    if random.randrange(6) == 0:
        options["step_sync"] = False
    where = random.choice(("row", "row", "row", "call", "before", "seldom", "never", "counter beside"))
    step = random.choice((None, None, None, "x", "growing"))
    commit = random.choice((None, None, None, True))
    calls = []
    for place, x in enumerate(_x(random)):
        row = {f"{name}/loss": values.next()}
        if random.randrange(3) == 0:
            row[f"{name}/second"] = values.next()
        if random.randrange(20) == 0:
            row[f"{name}/loss"] = random.choice((float("nan"), float("inf")))
        number = None if step is None else place if step == "growing" or x != int(x) else int(x)
        if where == "row" or (where == "seldom" and place % 3 == 0):
            row[axis] = x
        elif where == "call":
            calls.append(_log({axis: x}, number, False if number is None else None))
        elif where == "before":
            calls.append(_log({axis: x}, number))
        elif where == "counter beside":
            row[f"{axis.rpartition('/')[0]}/global_step".lstrip("/")] = place
        calls.append(_log(row, number, commit))
    return [Call(glob, options)], calls


def _on_steps(name: str, random: Random, values: _Values) -> tuple[list[Call], list[Call]]:
    """Metrics without a definition, with ``step=`` or without, in one call a step or several, committed or not."""
    how = random.choice(("step", "step", "step", "none"))
    commit = random.choice((None, None, True, True, False))
    twice = random.choice((None, None, f"{name}/other", f"{name}/loss", "eval"))
    duration = random.choice((None, None, None, "duration", "own"))
    calls = []
    for step in _steps(random):
        number = step if how == "step" else None
        row: dict[str, Any] = {f"{name}/loss": values.next()}
        if duration is not None:
            row[f"{name}/step"] = step if duration == "own" else values.next()
        calls.append(_log(row, number, commit if number is not None else random.choice((None, None, commit))))
        if twice is not None and random.randrange(2) == 0:
            calls.append(_log({twice: values.next()}, number, random.choice((None, commit))))
    return [], calls


def _on_shared_axis(name: str, random: Random, values: _Values) -> tuple[list[Call], list[Call]]:
    """Metrics on an axis that other loops use as well, each at its own pace."""
    step = random.choice((None, None, "growing"))
    calls = []
    for place, x in enumerate(_x(random)):
        row = {f"shared/{name}": values.next(), "global_step": x}
        if random.randrange(3) == 0:
            row[f"shared/{name}2"] = values.next()
        calls.append(_log(row, None if step is None else place))
    return [Call("shared/*", {"step_metric": "global_step"})], calls
