"""A script that calls wandb plainly, and writes down each call as the record that a journal has of it.

The records are what wandb's own client sends to its service: media are made and bound by wandb itself.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from google.protobuf import json_format
from wandb.proto.wandb_internal_pb2 import MetricSummary

__all__ = ["RECORDS"]

RECORDS = "records.jsonl"


class Spy:
    """Listens to what a run sends, and passes it on."""

    def __init__(self, run: wandb.Run, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._interface: Any = getattr(run, "_interface", None) or vars(run)["_backend"].interface
        self._place = path.parent / "artifacts"
        for kind in (
            "artifact",
            "partial_history",
            "metric",
            "config",
            "summary",
            "files",
            "alert",
            "preempting",
            "run",
        ):
            self._wrap(f"_publish_{kind}", getattr(self, kind))

    def _wrap(self, name: str, note: Any) -> None:
        send = getattr(self._interface, name)

        def both(message: Any, *args: Any, **options: Any) -> Any:
            note(message)
            return send(message, *args, **options)

        setattr(self._interface, name, both)

    def _write(self, **content: Any) -> None:
        print(json.dumps({"time": time.time(), **content}), file=self._file, flush=True)

    def partial_history(self, call: Any) -> None:
        record: dict[str, Any] = {"log": {item.key: json.loads(item.value_json) for item in call.item}}
        del record["log"]["_timestamp"]
        if call.HasField("step"):
            record["step"] = call.step.num
        if call.HasField("action"):
            record["commit"] = call.action.flush
        self._write(**record)

    def metric(self, metric: Any) -> None:
        definition: dict[str, Any] = {"name": metric.name or metric.glob_name, "step_sync": metric.options.step_sync}
        if metric.step_metric:
            definition["step_metric"] = metric.step_metric
        if metric.options.hidden:
            definition["hidden"] = True
        if metric._control.overwrite:
            definition["overwrite"] = True
        if kinds := [field.name for field, _ in metric.summary.ListFields()]:
            definition["summary"] = ",".join(kinds)
        self._write(metric=definition)

    def config(self, config: Any) -> None:
        for item in config.update:
            path = list(item.nested_key) or [item.key]
            self._write(config_item={"path": path, "value": json.loads(item.value_json)})

    def summary(self, summary: Any) -> None:
        update = [[list(item.nested_key) or [item.key], json.loads(item.value_json)] for item in summary.update]
        remove = [list(item.nested_key) or [item.key] for item in summary.remove]
        self._write(summary_items={"update": update, "remove": remove})

    def files(self, files: Any) -> None:
        for file in files.files:
            policy = {0: "now", 1: "end", 2: "live"}[file.policy]
            self._write(kept={"path": file.path, "policy": policy})

    def alert(self, alert: Any) -> None:
        wait = alert.wait_duration / 1000
        self._write(alert={"title": alert.title, "text": alert.text, "level": alert.level, "wait_duration": wait})

    def artifact(self, artifact: Any) -> None:
        kept = type(artifact)()
        kept.CopyFrom(artifact)
        for entry in kept.manifest.contents:
            if entry.local_path:
                copy = self._place / artifact.client_id / entry.path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(entry.local_path, copy)
                entry.local_path = copy.relative_to(self._place.parent).as_posix()
        self._write(artifact_record={"artifact": json_format.MessageToDict(kept)})

    def preempting(self, message: Any) -> None:
        self._write(preempting=True)

    def run(self, run: Any) -> None:
        self._write(run={"name": run.display_name, "notes": run.notes, "tags": list(run.tags)})


def script(run: wandb.Run, folder: Path) -> None:
    """Values of every kind, definitions, open rows, a summary of its own, configuration, media, files."""
    random = np.random.default_rng(0)
    picture = (random.random((8, 8, 3)) * 255).astype("uint8")
    first = ",first" if "first" in MetricSummary.DESCRIPTOR.fields_by_name else ""  # an older wandb does not know it
    run.define_metric("acc", summary=f"max,mean{first}")
    run.define_metric("val/*", step_metric="epoch", summary="min")
    run.define_metric("n.x", summary="max")
    run.define_metric("quiet", summary="none", hidden=True)
    for i in range(5):
        run.log(
            {
                "acc": [3, 1, 2, 5, 4][i],
                "loss": 1 / (i + 1),
                "n": {"x": -i, "y": {"z": i}},
                "text": "höhe\u2028\n",
                "none": None,
                "list": [1, 2.5, "a", []],
                "truth": True,
                "quiet": i,
            }
        )
    run.log({"nan": float("nan"), "infinity": -float("inf"), "large": 2**70, "tiny": 1e-7, "small": np.float32(1.1)})
    run.log({"val/acc": 0.5, "array": np.arange(5), "many": np.arange(1000.0)})
    run.log({"epoch": 3}, commit=False)
    run.log({"val/acc": 0.25})
    run.log({"val/acc": 0.75, "epoch": 4, "deep": {"c": 5}})
    run.log({"s": 1.5, "n": {"x": 9}}, step=100)
    run.log({"s2": 2.5, "n": {"q": 9}}, step=100)
    run.log({"s": 3}, step=101)
    run.log({})
    run.summary["acc"] = 17
    run.summary.update({"deep": {"a": 1}})
    run.summary["deep"]["b"] = 2
    run.log({"acc": 1, "deep": {"c": 5}})
    run.log({"image": wandb.Image(picture, caption="c"), "loss": 0.1})
    run.log({"images": [wandb.Image(picture), wandb.Image(255 - picture)], "media/with slash": wandb.Image(picture)})
    run.log({"histogram": wandb.Histogram(random.normal(size=100).tolist()), "page": wandb.Html("<b>x</b>")})
    run.log({"points": wandb.Object3D(random.random((10, 3))), "inside": {"image": wandb.Image(picture), "v": 1}})
    config: Any = run.config
    config.update({"late": 3, "nested": {"a": [1, 2]}})
    run.config["k"] = [1, 2]
    run.summary["picture"] = wandb.Image(picture)
    run.name, run.notes = "renamed", "noted"
    run.tags = (*(run.tags or ()), "more")
    (folder / "data.txt").write_text("hello")
    run.save(str(folder / "data.txt"), base_path=str(folder), policy="end")
    run.alert("title", "text", wait_duration=3)
    run.mark_preempting()
    run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]])})
    artifact = wandb.Artifact("mine", type="dataset", metadata={"k": 1})
    artifact.add_file(str(folder / "data.txt"))
    run.log_artifact(artifact, aliases=["best"])
    run.log({"val/acc": 0.1, "epoch": 5}, step=200, commit=False)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
    opened = wandb.init(project="p", id="same", mode="offline", dir=place, config={"lr": 1e-3}, settings=settings)
    Spy(opened, place / RECORDS)
    script(opened, place)
    opened.finish()
    wandb.teardown()
