"""The trackers: how a row of three values is logged with each, and which rows its files hold.

Each is used as its own documentation shows, on this machine only, with its defaults. Imported in the process of one
tracker, which has no other one.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

__all__ = ["HELD", "OPEN", "VARIABLES", "Tracker", "swanlab_scalars", "tensorboard_events"]

Log = Callable[[int, float, float, float], object]
"""Log a row: its step, a loss, a learning rate, a norm of the gradient."""

VARIABLES = {"TRACKIO_DIR": "{folder}", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HOME": "{folder}/home"}
"""The environment of a tracker's process, which keeps it in its folder and on this machine."""


@dataclass
class Tracker:
    """An open run: how to log a row, and how to close the run."""

    log: Log
    finish: Callable[[], object]


def open_ups(folder: Path, mode: Literal["offline", "local", "disabled"] = "offline") -> Tracker:
    import ups

    ctx = ups.create_wandb_context({}, "run", mode=mode, dir=folder)
    stage = ctx.stage("operator")
    return Tracker(lambda step, loss, lr, g: stage.log(step, loss=loss, lr=lr, grad_norm=g), ctx.finish)


def open_wandb(folder: Path) -> Tracker:
    import wandb

    return _open_run_of(wandb, folder)


def open_wandb_one_line(folder: Path) -> Tracker:
    import ups.wandb as wandb

    return _open_run_of(wandb, folder)


def _open_run_of(wandb: Any, folder: Path) -> Tracker:
    run = wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True))

    def finish() -> None:
        run.finish()
        wandb.teardown()

    return Tracker(lambda step, loss, lr, g: run.log({"loss": loss, "lr": lr, "grad_norm": g}), finish)


def open_trackio(folder: Path) -> Tracker:
    import trackio

    run = trackio.init(project="latency")
    return Tracker(lambda step, loss, lr, g: run.log({"loss": loss, "lr": lr, "grad_norm": g}, step=step), run.finish)


def open_tensorboardx(folder: Path) -> Tracker:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder))

    def log(step: int, loss: float, lr: float, grad_norm: float) -> None:
        writer.add_scalar("loss", loss, step)
        writer.add_scalar("lr", lr, step)
        writer.add_scalar("grad_norm", grad_norm, step)

    return Tracker(log, writer.close)


def open_swanlab(folder: Path) -> Tracker:
    import swanlab

    run = swanlab.init(project="latency", mode="offline", log_dir=str(folder))
    return Tracker(lambda step, loss, lr, g: run.log({"loss": loss, "lr": lr, "grad_norm": g}, step=step), run.finish)


def open_nothing(folder: Path) -> Tracker:
    return Tracker(lambda step, loss, lr, g: None, lambda: None)


OPEN: dict[str, Callable[[Path], Tracker]] = {
    "ups": open_ups,
    "ups local": partial(open_ups, mode="local"),
    "ups disabled": partial(open_ups, mode="disabled"),
    "wandb": open_wandb,
    "wandb, one line": open_wandb_one_line,
    "trackio": open_trackio,
    "tensorboardX": open_tensorboardx,
    "swanlab": open_swanlab,
    "nothing": open_nothing,
}
"""A tracker's name → opens a run of it in a folder."""


def held_by_ups(folder: Path) -> list[int]:
    """The steps in W&B's file, after delivery has done what was left to do."""
    import subprocess
    import sys

    from ups.runs import open_run

    subprocess.run([sys.executable, "-m", "ups", "deliver", folder / "run"], check=True, stdout=subprocess.DEVNULL)
    return [int(x) for x in open_run(folder / "run").series("training/operator/loss").x]


def held_by_wandb_one_line(folder: Path) -> list[int]:
    """The steps in W&B's file, after delivery has done what was left to do."""
    import subprocess
    import sys

    from ups.runs import open_run

    (run,) = (folder / "ups-runs").iterdir()
    subprocess.run([sys.executable, "-m", "ups", "deliver", run], check=True, stdout=subprocess.DEVNULL)
    return [int(x) for x in open_run(run).series("loss").x]


def held_by_wandb(folder: Path) -> list[int]:
    """The steps in W&B's file as far as it can be read, which is as far as ``wandb sync`` takes it."""
    from ups.runs import open_runs

    return [int(x) for run in open_runs(folder) for x in run.series("loss").x]


def held_by_trackio(folder: Path) -> list[int]:
    """The steps in the SQLite file of the project."""
    import sqlite3

    with sqlite3.connect(folder / "latency.db") as database:
        return [step for (step,) in database.execute("select step from metrics")]


def held_by_tensorboardx(folder: Path) -> list[int]:
    """The steps that have all three scalars in the event file, as far as it has whole records."""
    scalars: Counter[int] = Counter()
    for event in tensorboard_events(folder):
        scalars[event.step] += len(event.summary.value)
    return _complete(scalars)


def tensorboard_events(folder: Path) -> Iterator[Any]:
    """The events of the event files in a folder, as far as these have whole records."""
    from tensorboardX.proto.event_pb2 import Event

    for file in folder.glob("events.out.tfevents.*"):
        for record in _tensorboard_records(file.read_bytes()):
            yield Event.FromString(record)


def _tensorboard_records(content: bytes) -> Iterator[bytes]:
    """The records of a TFRecord file: length (8 bytes), its checksum (4), the record, its checksum (4)."""
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if at + 16 + length > len(content):
            return
        yield content[at + 12 : at + 12 + length]
        at += 16 + length


def held_by_swanlab(folder: Path) -> list[int]:
    """The steps that have all three scalars in the run's file, read as ``swanlab sync`` reads it."""
    scalars: Counter[int] = Counter()
    for scalar in swanlab_scalars(folder):
        scalars[scalar.step] += scalar.key in ("loss", "lr", "grad_norm")
    return _complete(scalars)


def swanlab_scalars(folder: Path) -> Iterator[Any]:
    """The scalars in the files of the runs in a folder."""
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreReader

    for file in folder.glob("run-*/run-*.swanlab"):
        reader = DataStoreReader()
        reader.open(file)
        for content in reader:
            record = Record.FromString(content)
            if record.HasField("scalar"):
                yield record.scalar
        reader.close()


def _complete(scalars: Counter[int]) -> list[int]:
    return [step for step, count in scalars.items() for _ in range(count // 3)]


HELD: dict[str, Callable[[Path], list[int]]] = {
    "ups": held_by_ups,
    "wandb": held_by_wandb,
    "wandb, one line": held_by_wandb_one_line,
    "trackio": held_by_trackio,
    "tensorboardX": held_by_tensorboardx,
    "swanlab": held_by_swanlab,
}
"""A tracker's name → the steps of the rows that its files in a folder hold, after its own means of recovery."""
