"""The run directory of a script's wandb run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ups.journal.run_directory import RunDirectory, runs_folder
from ups.journal.run_manifest import RunManifest
from ups.tracking.context import DISABLED, RUN_DIR_VARIABLE, WandBContext
from ups.tracking.provenance import provenance

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import RunRecord
    from wandb.sdk.wandb_settings import Settings

__all__ = ["FILES", "begin_run", "join_run", "place_run"]

FILES = "files"  # the folder of a run directory that the script knows as run.dir


def place_run(settings: Settings) -> None:
    """Have wandb put a run's files into a run directory, which is made in ``ups-runs`` of wandb's own folder."""
    parent = Path(settings.root_dir) / "ups-runs" if settings.root_dir else runs_folder()
    run_id = str(settings.run_id)
    name, again = run_id, 1
    while RunDirectory.exists(parent / name) and not settings.resume:
        again += 1
        name = f"{run_id}-{again}"
    directory = RunDirectory.make(parent.absolute(), name)
    files = directory.path / FILES
    files.mkdir(exist_ok=True)
    settings.root_dir = str(directory.path)
    settings.x_files_dir = str(files)
    settings.symlink = False


def begin_run(settings: Settings, record: RunRecord) -> WandBContext:
    """Begin the run that wandb announces, in the directory where :func:`place_run` has put it."""
    directory = RunDirectory(Path(settings.root_dir))
    config = {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
    internal = config.pop("_wandb", {})
    console = settings.console != "off"
    with directory.beginning():
        if RunDirectory.exists(directory.path):
            manifest = directory.read_manifest()
            context = WandBContext(directory, manifest, owner=True, console=console)
            context.sink.record(config=config)
        else:
            manifest = RunManifest(
                run_id=record.run_id,
                mode=_mode(settings),
                created=time.time(),
                config=config,
                project=record.project or None,
                entity=record.entity or None,
                name=record.display_name or None,
                tags=tuple(record.tags),
                group=record.run_group or None,
                **_provenance(record, settings),
            )
            directory.create(manifest)
            context = WandBContext(directory, manifest, owner=True, console=console)
    for name, value in internal.items():
        context.sink.record(config_item={"path": ["_wandb", name], "value": value})
    return context


def join_run(run_id: str) -> WandBContext | None:
    """Join the run of the process that started this one; None where that has no such run."""
    place = os.environ.get(RUN_DIR_VARIABLE)
    if not place or place == DISABLED:
        return None
    directory = RunDirectory.open(Path(place))
    manifest = directory.read_manifest()
    return WandBContext(directory, manifest) if manifest.run_id == run_id else None


def _mode(settings: Settings) -> str:
    if os.environ.get("UPS_MODE") == "local":
        return "local"
    return "offline" if settings._offline else "online"


def _provenance(record: RunRecord, settings: Settings) -> dict[str, Any]:
    """The rest of the manifest; job type and notes stand among the variables that a run may set."""
    found = provenance()
    environment = dict(found.get("environment", {}))
    if record.job_type:
        environment["WANDB_JOB_TYPE"] = record.job_type
    if record.notes:
        environment["WANDB_NOTES"] = record.notes
    return {**found, "environment": environment}
