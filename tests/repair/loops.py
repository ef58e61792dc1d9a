"""Random runs for property tests: what loops log, as rows, with axes of every kind."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from ups.charts import Definitions
from ups.runfile import Run

__all__ = ["LoggedRun", "logged_runs"]

Rows = list[dict[str, float]]
KINDS = (
    "counter",
    "again",
    "out of order",
    "evaluated again",
    "measured",
    "falling",
    "epoch",
    "frozen",
    "seldom",
    "never",
    "after",
    "rungs",
)


@dataclass(frozen=True)
class LoggedRun:
    """Rows and definitions. Every value of a metric is another number, so that each point can be told from all."""

    rows: Rows
    definitions: tuple[tuple[str, str], ...]

    def run(self) -> Run:
        """The run, in memory."""
        definitions = Definitions()
        for name, axis in self.definitions:
            definitions.define(name, axis)
        return Run.from_rows(Path("run"), self.rows, run_id="run", definitions=definitions, finished=True)


def _x_of(kind: str, chance: random.Random) -> list[float]:
    """The x of an axis of a kind, as the script has it."""
    size = chance.randint(2, 14)
    begin = chance.choice([0, 1, 100])
    match kind:
        case "again":
            middle = chance.randint(0, size)
            return [begin + i for i in (*range(size), *range(middle, middle + chance.randint(1, size)))]
        case "out of order":
            return [begin + 10 * i for i in chance.sample(range(size), size)]
        case "evaluated again":
            return [*(begin + i for i in range(size)), begin + chance.randrange(size), begin + size]
        case "measured":
            return [0.5 * i + chance.gauss(0, 0.6) for i in range(size)]
        case "falling":
            return [begin + size - i for i in range(size)]
        case "epoch":
            batches = chance.randint(1, 4)
            return [begin + i // batches for i in range(size)]
        case "frozen":
            return [float(begin)] * size
        case "rungs":
            return [float(budget) for budget, trials in ((1, 9), (3, 3), (9, 1)) for _ in range(trials)]
        case _:
            return [float(begin + i) for i in range(size)]


def _rows_of(folder: str, kind: str, chance: random.Random, value: list[int]) -> Rows:
    """The rows that a loop with such an axis logs."""
    axis = f"{folder}/step"
    metrics = [f"{folder}/{name}" for name in chance.sample(["loss", "acc", "lr", "eval"], chance.randint(1, 3))]
    often = {metric: chance.choice([1.0, 1.0, 0.5]) for metric in metrics}
    apart, seldom = chance.random() < 0.3, chance.randint(2, 4)
    rows: Rows = []

    def logged(names: list[str], own: dict[str, float]) -> None:
        row = {}
        for name in names:
            value[0] += 1
            row[name] = float(value[0])
        rows.append(row | own)

    for place, x in enumerate(_x_of(kind, chance)):
        own = {axis: x}
        if kind in ("never", "after") or (kind == "seldom" and place % seldom):
            own = {}
        present = [metric for metric in metrics if chance.random() < often[metric]]
        if apart:
            for metric in present:
                logged([metric], own)
        elif present:
            logged(present, own)
        if kind == "after":
            rows.append({axis: x})
    return rows


@st.composite
def logged_runs(draw: st.DrawFn) -> LoggedRun:
    """A run of one to three loops, one after the other or mixed, with metrics against W&B's own step beside them."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    chance = random.Random(draw(st.integers(0, 2**32)))
    value, loops = [0], []
    for folder, kind in zip("abc", kinds, strict=False):
        loops.append(_rows_of(folder, kind, chance, value))
    rows: Rows = []
    mixed = draw(st.booleans())
    while any(loops):
        loop = chance.choice([each for each in loops if each]) if mixed else next(each for each in loops if each)
        rows.append(loop.pop(0))
    if draw(st.booleans()):
        for row in rows:
            if chance.random() < 0.5:
                value[0] += 1
                row["speed"] = float(value[0])
    definitions = [(f"{folder}/*", f"{folder}/step") for folder in "abc"[: len(kinds)] if chance.random() < 0.9]
    return LoggedRun(rows, tuple(definitions))
