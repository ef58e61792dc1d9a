"""Makes runs with media with the real wandb client, one a function below; run as a script: ``media_runs.py FOLDER``.

Each lies in ``FOLDER/<name>/wandb``. It needs nothing but wandb, NumPy and Pillow.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import wandb
from PIL import Image

Run = Any


def picture(number: int) -> Any:
    """An image, another one for each number."""
    return wandb.Image(Image.new("RGB", (4, 4), (number, 0, 0)), caption=f"number {number}")


def grown(run: Run, log_mode: Literal["IMMUTABLE", "MUTABLE", "INCREMENTAL"] = "IMMUTABLE") -> None:
    """One table that gets a row before each time that it is logged."""
    table = wandb.Table(columns=["step", "text"], log_mode=log_mode)
    for step in range(10):
        table.add_data(step, "x" * step)
        run.log({"preds": table, "loss": 1 / (step + 1)}, step=step)


def mutable(run: Run) -> None:
    grown(run, "MUTABLE")


def incremental(run: Run) -> None:
    grown(run, "INCREMENTAL")


def wider(run: Run) -> None:
    """One table that gets a column before it is logged again."""
    table = wandb.Table(columns=["a"], data=[[1], [2]])
    run.log({"preds": table})
    table.add_column("b", [3, 4])
    run.log({"preds": table})


def grown_each_epoch(run: Run) -> None:
    """A new table in each epoch, and each grows in vain; in a dictionary."""
    for _ in range(2):
        table = wandb.Table(columns=["a"])
        for value in range(3):
            table.add_data(value)
            run.log({"val": {"preds": table}})


def anew(run: Run) -> None:
    """A new table each time, longer than the one before, and one object that is logged again as it was."""
    same = wandb.Table(columns=["a"], data=[[1]])
    for size in range(1, 5):
        run.log({"preds": wandb.Table(columns=["a"], data=[[value] for value in range(size)]), "same": same})


def long(run: Run) -> None:
    """More rows than the file of a table has; the artifact has them all."""
    run.log({"preds": wandb.Table(columns=["a"], data=[[value] for value in range(10_050)])})


def images(run: Run) -> None:
    """Media of all kinds, as they should be: on an axis, with captions, with masks, in lists, the same one again."""
    run.define_metric("val/*", step_metric="val/epoch")
    for epoch in range(3):
        mask = {"predictions": {"mask_data": np.zeros((4, 4), dtype=int), "class_labels": {0: "none"}}}
        run.log(
            {
                "val/sample": picture(epoch),
                "val/samples": [picture(10 + epoch), picture(20 + epoch)],
                "val/epoch": epoch,
                "same": picture(99),
                "masked": wandb.Image(Image.new("RGB", (4, 4), (epoch, 9, 9)), masks=mask),
                "inside": wandb.Table(columns=["image"], data=[[picture(30 + epoch)]]),
                "page": [wandb.Html("<b>a</b>"), wandb.Html(f"<b>{epoch}</b>")],
                "histogram": wandb.Histogram([1, 2, epoch]),
            }
        )
    run.summary["best"] = picture(77)


def overwritten(run: Run) -> None:
    """Two tables and images for each row, in calls with commit=False."""
    for step in range(3):
        for half in range(2):
            table = wandb.Table(columns=["step", "half"], data=[[step, half]])
            run.log({"cands": table, "val/image": picture(10 * step + half)}, commit=False)
        run.log({"score": step})


def overwritten_mutable(run: Run) -> None:
    """A table that is stored as it grows, twice for each row: nothing of it is lost."""
    table = wandb.Table(columns=["step"], log_mode="MUTABLE")
    for step in range(3):
        for _ in range(2):
            table.add_data(step)
            run.log({"cands": table}, commit=False)
        run.log({"score": step})


def dropped(run: Run) -> None:
    """A second stage counts step= from 0 again."""
    for stage in range(2):
        for step in range(3):
            run.log({"image": picture(10 * stage + step)}, step=step)


def sessions(run: Run) -> None:
    """One session of several."""
    for step in range(2):
        run.log({"image": picture(10 * int(run.name) + step), "loss": step})


CASES: dict[str, Callable[[Run], None]] = {
    made.__name__: made
    for made in (
        grown, mutable, incremental, wider, grown_each_epoch, anew, long, images, overwritten, overwritten_mutable,
        dropped, sessions,
    )
}  # fmt: skip


def main(folder: Path) -> None:
    for name, made in CASES.items():
        (folder / name).mkdir()
        for session in range(2 if name == "sessions" else 1):
            settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
            run = wandb.init(
                mode="offline",
                dir=folder / name,
                project="made",
                id=name,
                name=f"{session}",
                settings=settings,
                reinit="finish_previous",
            )
            made(run)
            run.finish()
            if name == "sessions":
                time.sleep(1.1)  # W&B names the folder of a session by its second


if __name__ == "__main__":
    main(Path(sys.argv[1]))
