"""Logs one of each kind of value that wandb takes, and calls each kind of method that changes a run."""

import wave
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
import wandb
from matplotlib.figure import Figure
from PIL import Image

random = np.random.default_rng(0)
pixels = (random.random((8, 8, 3)) * 255).astype("uint8")
run = wandb.init(
    project="everything",
    id="everything",
    config={"lr": 1e-3, "nested": {"a": [1, 2]}, "name": "näme"},
    tags=["t"],
    notes="n",
    group="g",
    job_type="j",
    settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
)
run.define_metric("epoch", hidden=True)
run.define_metric("val/*", step_metric="epoch")
run.define_metric("acc", summary="max,mean")
for epoch in range(5):
    run.log({"acc": epoch % 3, "loss": 1 / (epoch + 1), "nan": float("nan"), "in": {"a": {"b": epoch}}})
    run.log({"val/loss": 2 / (epoch + 1), "epoch": epoch})
run.log({"open": 1}, commit=False)
run.log({"closed": 2})
run.log({"numbered": 1.5}, step=100)
run.log({"joins": 2.5}, step=100)
run.log({"numbered": 3}, step=101)
run.log({})


def figure() -> Figure:
    """A plot that wandb turns into Plotly's JSON."""
    made, axes = plt.subplots()
    axes.plot([1, 2, 3])
    return made


with wave.open("beep.wav", "wb") as beep:
    beep.setparams((1, 2, 8000, 0, "NONE", ""))
    beep.writeframes((np.sin(np.arange(800) / 10) * 1000).astype("<i2").tobytes())
Image.fromarray(pixels).save("moving.gif")
Path("m.pdb").write_text("ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N\nEND\n")
mutable = wandb.Table(columns=["a"], log_mode="MUTABLE")
mask = {"m": {"mask_data": np.ones((8, 8), int), "class_labels": {1: "one"}}}
box = {
    "position": {"minX": 0.1, "maxX": 0.5, "minY": 0.1, "maxY": 0.6},
    "class_id": 1,
}
boxes = {"b": {"box_data": [box], "class_labels": {1: "one"}}}
try:
    masked = wandb.Image(pixels, masks=mask, boxes=boxes)
except ValueError:  # an older wandb cannot make masks with a newer Pillow
    masked = wandb.Image(pixels, boxes=boxes)
pairs = wandb.Table(columns=["x", "y"], data=[[1, 2], [2, 3]])
values = {
    "numpy_float": np.float32(1.25),
    "numpy_int": np.int64(7),
    "numpy_nan": np.float32("nan"),
    "array_short": np.arange(5),
    "array_long": np.arange(1000.0),
    "list": [1, 2.5, "a"],
    "wide_int": 2**70,
    "text": "höhe\u2028\n",
    "none": None,
    "truth": True,
    "tensor": torch.tensor(1.5),
    "tensors": torch.arange(40.0),
    "histogram": wandb.Histogram(random.normal(size=100)),
    "image": wandb.Image(pixels, caption="c"),
    "images": [wandb.Image(pixels), wandb.Image(255 - pixels, caption="b")],
    "masked": masked,
    "media/with slash": wandb.Image(pixels),
    "table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
    "table_of_images": wandb.Table(columns=["a", "i"], data=[[1, wandb.Image(pixels)]]),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "audio": wandb.Audio("beep.wav", caption="beep"),
    "video": wandb.Video("moving.gif", format="gif"),
    "molecule": wandb.Molecule("m.pdb"),
    "html": wandb.Html("<b>x</b>"),
    "points": wandb.Object3D(random.random((10, 3))),
    "plotly": go.Figure(go.Scatter(x=[1, 2], y=[3, 4])),
    "plotly_media": wandb.Plotly(go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))),
    "figure": figure(),
    "figure_image": wandb.Image(figure()),
    "line": wandb.plot.line(pairs, "x", "y", title="t"),
    "bar": wandb.plot.bar(wandb.Table(columns=["l", "v"], data=[["a", 2]]), "l", "v"),
    "confusion": wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["a", "b"]),
    "nested_media": {"i": wandb.Image(pixels), "v": 1},
}
for count, (name, value) in enumerate(values.items()):
    run.log({name: value, "count": count})
for row in range(2):
    mutable.add_data(row)
    run.log({"mutable": mutable})

model = torch.nn.Linear(3, 2)
torch.nn.init.ones_(model.weight)
torch.nn.init.zeros_(model.bias)
run.watch(model, log="all", log_freq=1, log_graph=True)
for _ in range(2):
    model(torch.ones(4, 3)).sum().backward()
    run.log({"after_watch": 1.0})
run.unwatch()

run.summary["best"] = 0.5
run.summary.update({"deep": {"a": 1}})
run.summary["deep"]["b"] = 2
run.config.update({"late": 3})
run.config["k"] = [1, 2]
run.config.update({"lr": 5}, allow_val_change=True)
run.name = "renamed"
run.tags += ("u",)
run.notes = "m"
Path("data.txt").write_text("hello")
run.save("data.txt")
Path("d/e").mkdir(parents=True)
Path("d/e/f.txt").write_text("f")
run.save("d/e/*", base_path="d", policy="end")
Path("live.txt").write_text("before")
run.save("live.txt", policy="live")
run.log_code(".")
artifact = wandb.Artifact("mine", type="dataset", metadata={"k": 1})
artifact.add_file("data.txt")
run.log_artifact(artifact, aliases=["best"])
run.log_artifact("d", name="folder", type="x")
run.log_model("data.txt", name="model")
run.upsert_artifact("data.txt", name="parts", type="x")
run.finish_artifact("data.txt", name="parts", type="x")
run.alert("title", "text")
run.mark_preempting()
print(run.step, run.id, run.project, run.group, run.job_type, run.tags, run.notes, run.offline, run.disabled)
print(sorted(run.summary.keys()), run.summary["best"], run.summary["deep"]["b"], dict(run.config))
run.finish()
