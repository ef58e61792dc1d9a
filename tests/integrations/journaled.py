"""What an integration has written of a run, without waiting for W&B: the lines of its journals."""

import json
from pathlib import Path
from typing import Any

__all__ = ["points", "records", "summary"]


def records(run_dir: Path) -> list[dict[str, Any]]:
    """The records of all processes of the run."""
    paths = sorted((run_dir / "journal").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def points(run_dir: Path) -> dict[str, list[int]]:
    """The steps at which each metric was logged, by ``<stage>/<metric>``."""
    steps: dict[str, list[int]] = {}
    for record in records(run_dir):
        for metric in record.get("values", {}):
            steps.setdefault(f"{record.get('stage')}/{metric}", []).append(record["step"])
    return steps


def summary(run_dir: Path) -> dict[str, Any]:
    """The summary, the later over the earlier."""
    held: dict[str, Any] = {}
    for record in records(run_dir):
        held |= record.get("summary", {})
    return held
