"""Tries each member of a run, and prints what it answers, as JSON: ``every_member.py MODE``.

Beside each answer stands by how many bytes the run's journal has grown; with ``write_logs``, its console log.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import wandb
from wandb.proto import wandb_telemetry_pb2

mode: Any = sys.argv[1]
Path("d").mkdir()
Path("d/f.txt").write_text("hello")
Path("code").mkdir()
Path("code/a.py").write_text("x = 1\n")
folders = {str(Path.cwd()): "HERE"}
answers: dict[str, dict[str, Any]] = {}
run: Any = wandb.init(
    project="p",
    id="surface",
    mode=mode,
    group="g",
    job_type="j",
    notes="n",
    tags=["t"],
    config={"lr": 0.5},
    settings=wandb.Settings(silent=True, x_disable_stats=True, init_timeout=60),
)
folders[run.dir] = "FILES"
folders[run.settings.sync_dir] = "SYNC"
model = torch.nn.Linear(2, 1)


def journaled(member: str) -> int:
    """The bytes in which a call of a member is kept."""
    kept = "console/*.log" if member == "write_logs" else "journal/*.jsonl"
    return sum(path.stat().st_size for path in Path("ups-runs").glob(f"*/{kept}"))


def shown(value: Any) -> str:
    """A value as text, without what differs from run to run."""
    if type(value).__name__ not in ("str", "list", "tuple", "dict", "bool", "int", "NoneType", "RunStatus"):
        return type(value).__name__
    text = repr(value)
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder, folders[folder])
    return text


def tried(member: str, call: Callable[[], Any]) -> None:
    """Note what a member answers, or raises."""
    if not hasattr(run, member.removesuffix("=")):
        return
    before = journaled(member)
    try:
        answer = {"answer": shown(call())}
    except Exception as error:  # noqa: BLE001 - the answer
        answer = {"raises": type(error).__name__, "text": str(error)}
    answers[member] = {**answer, "journaled": journaled(member) - before}


def set_member(name: str, value: Any) -> Callable[[], None]:
    """A call that sets a member."""
    return lambda: setattr(run, name, value)


def artifact(name: str) -> wandb.Artifact:
    """An artifact with one file."""
    made = wandb.Artifact(name, "dataset")
    made.add_file("d/f.txt")
    return made


def watched() -> None:
    """Watch a model for a step."""
    run.watch(model, log="all", log_freq=1, log_graph=True)
    model(torch.ones(1, 2)).sum().backward()
    run.log({"after": 1.0})


def waited() -> Any:
    """Log an artifact, and wait until the server has it; offline there is nothing to wait for."""
    made = run.log_artifact(artifact("logged"))
    return made.wait(60) if mode == "online" else made


tried("log", lambda: run.log({"loss": 1.0, "in": {"a": 2}}))
tried("_log", lambda: run._log({"part": 1.0}, commit=False))
for name in (
    *("disabled", "offline", "id", "project", "group", "job_type", "notes", "tags", "name", "entity", "path", "url"),
    *("project_url", "sweep_id", "sweep_url", "resumed", "start_time", "starting_step", "step", "dir", "sync_dir"),
    *("config", "config_static", "summary", "settings", "_attach_id", "_is_finished", "_settings", "_torch", "_config"),
    *("_add_singleton", "_config_callback", "project_name", "get_url", "get_project_url", "get_sweep_url"),
):
    member = getattr(run, name, None)
    tried(name, partial(getattr, run, name))
    if name.startswith(("get_", "project_name")) and callable(member):
        tried(name, member)
tried("name=", set_member("name", "named"))
tried("notes=", set_member("notes", "noted"))
tried("tags=", set_member("tags", ("t", "u")))
tried("config=", lambda: run.config.update({"late": 1}))
tried("summary=", lambda: run.summary.update({"best": 1}))
tried("define_metric", lambda: run.define_metric("val/*", step_metric="epoch"))
tried("status", lambda: run.status())
tried("to_html", lambda: run.to_html())
tried("display", lambda: run.display())
tried("alert", lambda: run.alert("title", "text"))
tried("mark_preempting", lambda: run.mark_preempting())
tried("pin_config_keys", lambda: run.pin_config_keys(["lr"]))
tried("watch", watched)
tried("unwatch", lambda: run.unwatch(model))
tried("save", lambda: run.save("d/f.txt", base_path="d"))
tried("_publish_file", lambda: run._publish_file("f.txt"))
tried("log_code", lambda: run.log_code("code"))
tried("log_model", lambda: run.log_model("d", name="model"))
tried("upsert_artifact", lambda: run.upsert_artifact("d", name="parts", type="t"))
tried("finish_artifact", lambda: run.finish_artifact("d", name="parts", type="t"))
tried("log_artifact", waited)
tried("link_artifact", lambda: run.link_artifact(artifact("linked"), "registry/collection", aliases=["x"]))
tried("link_model", lambda: run.link_model("d", "models", name="linked-model"))
tried("use_artifact", lambda: Path(run.use_artifact("logged:latest").download(), "f.txt").read_text())
tried("use_model", lambda: Path(run.use_model("linked-model:latest")).read_text())
tried("restore", lambda: type(run.restore("f.txt")).__name__)
tried("write_logs", lambda: run.write_logs("a line"))
tried("_label", lambda: run._label(repo="r", code="c", version="1"))
tried("_telemetry_callback", lambda: run._telemetry_callback(wandb_telemetry_pb2.TelemetryRecord()))
tried("_tensorboard_callback", lambda: run._tensorboard_callback("d"))
if Path("ups-runs").exists():
    interface: Any = run._interface
    tried("_interface", lambda: interface.deliver_link_artifact(artifact("x"), "p", []))
tried("finish", lambda: run.finish())
print("ANSWERS", json.dumps(answers))
