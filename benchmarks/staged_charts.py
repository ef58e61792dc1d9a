"""Three stages in one run, each counting its steps from 0: their points, with UPS and with other trackers.

Each tracker logs the same three stages as its own documentation shows, offline, with its defaults. Then the script
reads its files and counts the points at a step of their own, which a chart can show.

The peers are installed in ``.peers`` when they are first needed. Exits with 1 if UPS lacks a point.

    python benchmarks/staged_charts.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from peers.environment import peers
from peers.process import environment
from peers.stages import STAGES, TRACKERS


def points(name: str, python: Path, folder: Path) -> dict[str, int]:
    """Count the points of each stage in a tracker's files, each at a step of its own."""
    (folder / "home").mkdir(parents=True)
    done = subprocess.run(
        [python, "-m", "peers.stages", name, folder],
        capture_output=True,
        text=True,
        env=environment(folder),
        cwd=folder,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, int] = json.loads(done.stdout)
    return found


def main() -> int:
    own = Path(sys.executable)
    available = peers()
    table = Table("tracker", "call", *(f"{stage} ({steps})" for stage, steps in STAGES.items()))
    table.title = "points that a chart can show, of three stages in one run"
    left: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="ups-stages-", ignore_cleanup_errors=True) as scratch:
        for name, log in TRACKERS.items():
            python = available.get(name, own)
            if isinstance(python, str):
                table.add_row(name, f"not installed: {python}")
                continue
            left[name] = points(name, python, Path(scratch) / str(len(left)))
            table.add_row(name, (log.__doc__ or "").replace("``", "").removesuffix("."), *map(str, left[name].values()))
    Console(width=150).print(table)
    return int(left["ups"] != STAGES)


if __name__ == "__main__":
    sys.exit(main())
