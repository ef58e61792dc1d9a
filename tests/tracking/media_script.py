"""Logs media in the rows of one stage, by ``plain`` wandb or by UPS's own ``stage``: ``media_script.py HOW``."""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import wandb
from PIL import Image

import ups

pixels = (np.arange(8 * 8 * 3) % 255).reshape(8, 8, 3).astype("uint8")
with wave.open("beep.wav", "wb") as beep:
    beep.setparams((1, 2, 8000, 0, "NONE", ""))
    beep.writeframes((np.sin(np.arange(800) / 10) * 1000).astype("<i2").tobytes())
Image.fromarray(pixels).save("moving.gif")
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
box = {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.1, "maxY": 0.6}, "class_id": 1}
media: dict[str, Any] = {
    "image": wandb.Image(pixels, caption="c"),
    "images": [wandb.Image(pixels), wandb.Image(255 - pixels, caption="b")],
    "masked": wandb.Image(pixels, masks={"m": {"mask_data": np.ones((8, 8), int), "class_labels": {1: "one"}}}),
    "boxed": wandb.Image(pixels, boxes={"b": {"box_data": [box], "class_labels": {1: "one"}}}),
    "table": wandb.Table(columns=["a", "i"], data=[[1, wandb.Image(pixels)]]),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "histogram": wandb.Histogram([1.0, 2.0, 3.0]),
    "audio": wandb.Audio("beep.wav", caption="beep"),
    "video": wandb.Video("moving.gif", format="gif"),
    "html": wandb.Html("<b>x</b>"),
    "points": wandb.Object3D(np.ones((4, 3))),
    "mixed": [wandb.Html("a"), wandb.Histogram([1.0])],
    "plotly": go.Figure(go.Scatter(x=[1, 2], y=[3, 4])),
    "figure": figure,
    "line": wandb.plot.line(wandb.Table(columns=["x", "y"], data=[[1, 2], [2, 3]]), "x", "y"),
}
if sys.argv[1] == "plain":
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    run = wandb.init(project="p", id="r", mode="offline", settings=settings)
    run.define_metric("training/a/step", hidden=True)
    run.define_metric("training/a/*", step_metric="training/a/step", step_sync=False)
    for step, (name, value) in enumerate(media.items()):
        run.log({f"training/a/{name}": value, "training/a/loss": step / 2, "training/a/step": step})
    run.finish()
else:
    with ups.create_wandb_context({}, "r", mode="offline", dir=".", project="p") as ctx:
        stage = ctx.stage("a")
        for step, (name, value) in enumerate(media.items()):
            stage.log(step, {name: value, "loss": step / 2})
    Path("faults").write_text(str(ctx.sink.faults.as_dict()))
