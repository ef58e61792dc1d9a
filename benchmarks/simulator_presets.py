"""The presets of the simulator side by side: is ``full`` better than ``quick`` in every column?

Trains both with ``ups train``, with the same seed, and scores them with ``ups evaluate``. Prints every model of both,
and the cost of a training. With ``--keep`` runs stay in a folder, and one that is already there is resumed.

Exits with 1 if a column of ``full`` is not better than that of ``quick``.

    python benchmarks/simulator_presets.py [--seed 0] [--keep FOLDER] [PRESET PRESET]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simulator_runs import trained

COLUMNS = ("one_step_l2", "ct", "mid", "high", "logspec")


def main() -> None:
    """Train, score, print, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("presets", nargs="*", default=["quick", "full"])
    chosen = parser.parse_args()
    smaller, larger = chosen.presets
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        runs = {preset: trained(folder / f"{preset}-{chosen.seed}", preset, chosen.seed) for preset in chosen.presets}
    table = Table("model", "preset", "nfe", *COLUMNS, title=f"seed {chosen.seed}, ± standard error over the test set")
    worse = []
    for name in runs[smaller].models:
        for preset, run in runs.items():
            scores = run.models[name]
            cells = (f"{scores[column]:.3g} ± {scores['se'][column]:.1g}" for column in COLUMNS)
            table.add_row(name, preset, str(scores["nfe"]), *cells)
        for column in COLUMNS:
            gain = runs[smaller].models[name][column] - runs[larger].models[name][column]
            if (-gain if column == "ct" else gain) <= 0:
                worse.append(f"{name} {column}")
    Console(width=130).print(table)
    for preset, run in runs.items():
        if run.seconds is not None:
            print(f"{preset}: {run.seconds:.0f} s of processor time")
    print(f"{larger} is not better in: {', '.join(worse)}" if worse else f"{larger} is better in every column")
    sys.exit(bool(worse))


if __name__ == "__main__":
    main()
