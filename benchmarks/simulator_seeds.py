"""The simulator over several seeds: how good each model is, and how much that varies.

Trains a preset once for each seed with ``ups train`` and scores it with ``ups evaluate``, one after the other. Prints
mean ± standard deviation over the seeds of each score, for each model, and the processor time of a training. With
``--keep`` runs stay in a folder, and one that is already there is resumed instead of trained again.

Exits with 1 if a claim of docs/simulator.md does not hold for the means.

    python benchmarks/simulator_seeds.py [--seeds 0,1,2] [--preset quick] [--keep FOLDER] [KEY=VALUE …]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simulator_runs import Trained, trained

SCORES = {
    "nfe": "nfe",
    "one_step_l2": "one-step L2",
    "ct": "ct",
    "mid": "mid",
    "high": "high",
    "logspec": "logspec",
    "rollout_20": "L2 at 20",
    "rollout_50": "L2 at 50",
    "rollout_100": "L2 at 100",
    "step_ms": "ms a step",
}


def main() -> None:
    """Train, score, print, judge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    chosen = parser.parse_args()
    seeds = [int(seed) for seed in chosen.seeds.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        runs = [trained(folder / f"{chosen.preset}-{seed}", chosen.preset, seed, chosen.changes) for seed in seeds]
    print_table(f"{' '.join([chosen.preset, *chosen.changes])}, seeds {chosen.seeds}: mean ± deviation", runs)
    claims = judge(runs)
    for claim, holds in claims.items():
        print("holds " if holds else "FAILS ", claim)
    sys.exit(not all(claims.values()))


def print_table(title: str, runs: list[Trained]) -> None:
    """A row a model."""
    table = Table("model", *SCORES.values(), title=title)
    for name in runs[0].models:
        table.add_row(name, *(cell([run.models[name][score] for run in runs]) for score in SCORES))
    console = Console(width=150)
    console.print(table)
    seconds = [run.seconds for run in runs if run.seconds is not None]
    if seconds:
        console.print(f"processor time of a training and its evaluation: {statistics.mean(seconds):.0f} s")


def cell(values: list[float | None]) -> str:
    """Mean ± deviation of what is known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return "–"
    if len(set(known)) == 1:
        return f"{known[0]:.3g}"
    return f"{statistics.mean(known):.3g} ± {statistics.stdev(known):.1g}"


def judge(runs: list[Trained]) -> dict[str, bool]:
    """Each claim about a preset's means over seeds, and True where it holds."""

    def mean(model: str, score: str) -> float:
        return statistics.mean(run.models[model][score] for run in runs)

    gain = mean("operator", "logspec") - mean("diffusion_residual", "logspec")
    kept = (mean("operator", "logspec") - mean("consistency_distill", "logspec")) / gain
    ratio = mean("diffusion_residual", "logspec") / mean("operator", "logspec")
    error, refined = mean("operator", "one_step_l2"), mean("diffusion_residual", "one_step_l2")
    return {
        f"operator: ct {mean('operator', 'ct'):.3g}, at least 50": mean("operator", "ct") >= 50,
        f"diffusion_residual: mid {mean('diffusion_residual', 'mid'):.3g}, at most 0.1": mean(
            "diffusion_residual", "mid"
        )
        <= 0.1,
        f"diffusion_residual: logspec {ratio:.2f} of the operator's, at most 0.45": ratio <= 0.45,
        f"diffusion_residual: one-step L2 {refined:.3g}, at most the operator's {error:.3g}": refined <= error,
        f"consistency_distill: keeps {kept:.0%} of the gain in logspec, at least 75 %": kept >= 0.75,
    }


if __name__ == "__main__":
    main()
