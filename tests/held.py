"""What W&B holds, read by W&B's own tool: shares nothing with UPS."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from environments import environment

__all__ = ["Held", "inspect_command", "read_held", "reader_environment", "stream_rows"]

_READER = "0.31.0"
"""The oldest wandb whose reader prints records as JSON; it reads the files of each version before it."""


class Held:
    """The records of a run's ``.wandb`` files, oldest file first, as ``wandb leet inspect`` prints them."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self.records = records
        self.rows: list[dict[str, Any]] = [r["history"]["item"] for r in records if r["type"] == "history"]
        self.metrics: list[dict[str, Any]] = [r["metric"] for r in records if r["type"] == "metric"]
        self.exit_codes: list[int] = [r["exit"].get("exit_code", 0) for r in records if r["type"] == "exit"]
        self.runs: list[dict[str, Any]] = [r["run"] for r in records if r["type"] == "run"]
        self.environments: list[dict[str, Any]] = [r["environment"] for r in records if r["type"] == "environment"]

    @property
    def summary(self) -> dict[str, Any]:
        """All summary updates, the later over the earlier."""
        summary: dict[str, Any] = {}
        for record in self.records:
            if record["type"] == "summary":
                summary |= record["summary"].get("update", {})
        return summary

    @property
    def config(self) -> dict[str, Any]:
        """All configuration updates, the later over the earlier."""
        config: dict[str, Any] = {}
        for record in self.records:
            for change in (record.get("run", {}).get("config"), record.get("config")):
                config |= (change or {}).get("update", {})
        return config

    @property
    def stats(self) -> list[dict[str, Any]]:
        """The system metrics."""
        return [r["stats"] for r in self.records if r["type"] == "stats"]

    @property
    def console(self) -> str:
        """The console log."""
        return "".join(
            r[kind].get("line", "") for r in self.records for kind in ("output_raw", "output_logger") if kind in r
        )

    def points(self, metric: str, axis: str) -> list[tuple[Any, Any]]:
        """(x, y) of the rows that hold both."""
        return [(row[axis], row[metric]) for row in self.rows if axis in row and metric in row]

    def stage(self, stage: str, metric: str = "loss") -> list[tuple[Any, Any]]:
        """(step, value) of the rows that hold a stage's metric and its step metric."""
        return self.points(f"training/{stage}/{metric}", f"training/{stage}/step")


def read_held(run_dir: Path) -> Held:
    """What the ``.wandb`` files below ``run_dir`` hold."""
    files = sorted(
        {path.resolve() for path in run_dir.resolve().rglob("*.wandb")},
        key=lambda path: path.parent.name.partition("run-")[2],
    )
    records = []
    for path in files:
        printed = subprocess.run(inspect_command(path), capture_output=True, text=True, check=True)
        records += [json.loads(line) for line in printed.stdout.splitlines() if line.strip()]
    return Held(records)


def stream_rows(run_dir: Path) -> Iterator[dict[str, Any]]:
    """The rows of a run that has one ``.wandb`` file, one after another, for runs too large for :func:`read_held`."""
    (path,) = (path for path in run_dir.rglob("*.wandb") if not path.parent.is_symlink())
    with subprocess.Popen(inspect_command(path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"history"' in line and (record := json.loads(line))["type"] == "history":
                yield record["history"]["item"]
    assert process.returncode == 0


def inspect_command(file: Path) -> list[str | Path]:
    """What ``wandb leet inspect --json`` starts, without the Python before it, which takes most of the time."""
    folder = file.resolve().parent.parent
    return [_reader(), "leet", "inspect", "--no-observability", "--json", "--run-file", file.resolve(), folder]


@functools.cache
def _reader() -> Path:
    """The program of the installed wandb that reads ``.wandb`` files; of wandb 0.31 where it prints no records."""
    spec = find_spec("wandb")
    assert spec is not None
    assert spec.origin is not None
    wandb = Path(spec.origin).parent
    command = wandb / "cli" / "leet.py"
    if not command.exists() or "--json" not in command.read_text(encoding="utf-8"):
        (wandb,) = reader_environment().parents[1].glob("lib/python*/site-packages/wandb")
    return wandb / "bin" / "wandb-core"


def reader_environment() -> Path:
    """The interpreter of the environment with that wandb."""
    return environment("wandb-reader", [f"wandb=={_READER}"])
