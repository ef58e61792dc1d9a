"""The speed of the simulator's training: samples per second, memory and error after some hundred steps of a stage.

Runs on the GPU if there is one, otherwise on the CPU, once for each way of computing: networks, mixed precision,
``torch.compile``, threads. Each way is a training with ``ups train --stage operator``, journaled. The speed is the
median over its health rows without the first, which includes the one-time work of compilers and allocators. Memory is
the peak on the GPU, or on a CPU the peak of the process.

    python benchmarks/simulator_speed.py [--preset quick] [--steps 300]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

WAYS = {
    "dilated": [],
    "dilated, two threads": ["training.threads=2"],
    "dilated, bfloat16": ["training.precision=bfloat16"],
    "dilated, compiled": ["training.compile=true"],
    "fno": ["model.backbone=fno"],
    "fno, two threads": ["model.backbone=fno", "training.threads=2"],
}
LOOKS = 6

CODE = """
import resource, sys, torch
from ups.cli import main
try:
    main()
except SystemExit as end:
    gpu = torch.cuda.is_available()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    held = torch.cuda.max_memory_allocated() / 2**20 if gpu else grown
    print("\\nMEMORY", round(held), torch.cuda.get_device_name() if gpu else "CPU")
    raise
"""


def main() -> None:
    """Train each way and print a row a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--steps", type=int, default=300)
    chosen = parser.parse_args()
    table = Table("way", "samples/s", "ms a step", "memory, MiB", "validation error")
    device = ""
    for way, changes in WAYS.items():
        with tempfile.TemporaryDirectory() as scratch:
            rows, memory, device = train(Path(scratch), chosen.preset, chosen.steps, changes)
        looks = [row for row in rows if "samples_per_s" in row]
        speed, took = (statistics.median(row[name] for row in looks[1:]) for name in ("samples_per_s", "step_ms"))
        table.add_row(way, f"{speed:.0f}", f"{took:.1f}", memory, f"{looks[-1]['validation_error']:.3g}")
    table.title = f"{chosen.preset}, operator, {chosen.steps} steps on {device}"
    Console(width=110).print(table)


def train(folder: Path, preset: str, steps: int, changes: list[str]) -> tuple[list[dict[str, float]], str, str]:
    """The rows of the steps, the memory in MiB, and the device."""
    settings = [f"stages.operator.steps={steps}", f"training.health_every={steps // LOOKS}", *changes]
    arguments = ["train", "--preset", preset, "--stage", "operator", "--mode", "local", "--dir", str(folder)]
    for setting in settings:
        arguments += ["--set", setting]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    (told,) = (line for line in done.stdout.splitlines() if line.startswith("MEMORY "))
    _, memory, device = told.split(" ", 2)
    (journal,) = folder.glob("*/journal/*.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    return [record["values"] for record in records if record.get("stage") == "operator"], memory, device


if __name__ == "__main__":
    main()
