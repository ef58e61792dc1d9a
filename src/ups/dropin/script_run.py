"""The run directory of a script's wandb run."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb.errors import Error, UsageError

from ups.credentials import without_user
from ups.dropin.delivery_settings import delivery_variables
from ups.dropin.run_on_server import RunOnServer, add_config, run_on_server
from ups.dropin.script_state import ScriptState
from ups.journal.faults import notify
from ups.journal.run_directory import RunDirectory
from ups.journal.run_manifest import RunManifest
from ups.journal.script_summary import ScriptSummary
from ups.journal.status import Status
from ups.runs.journal_source import JournalSource
from ups.tracking.context import DISABLED, RUN_DIR_VARIABLE, WandBContext
from ups.tracking.provenance import provenance
from ups.tracking.recording import recording

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import RunRecord
    from wandb.sdk.wandb_settings import Settings

__all__ = ["begin_run", "is_placed", "join_run", "opened", "place_run"]

_RESUMING = ("allow", "must", "auto")
_POLL = 0.05  # seconds


def place_run(settings: Settings) -> RunDirectory:
    """Make the directory of a run, in ``ups-runs`` beside the ``wandb`` folder, and have wandb put its files there.

    wandb still has a folder for the run. Delivery links W&B's file in it.
    """
    parent = Path(settings.root_dir) / "ups-runs"
    run_id = str(settings.run_id)
    name, again = run_id, 1
    while RunDirectory.exists(parent / name) and settings.resume not in _RESUMING:
        again += 1
        name = f"{run_id}-{again}"
    directory = RunDirectory.make(parent.absolute(), name)
    directory.files.mkdir(exist_ok=True)
    settings.x_files_dir = str(directory.files)
    return directory


def is_placed(settings: Settings) -> bool:
    """True where a run's files are in a run directory, and not in another folder that its script has chosen."""
    return settings.x_files_dir is not None and RunDirectory.exists(Path(settings.x_files_dir).parent)


def begin_run(directory: RunDirectory, settings: Settings, record: RunRecord) -> tuple[WandBContext, ScriptState]:
    """Begin the run that wandb announces, in the directory that :func:`place_run` has made, or resume it there.

    ``record`` then has what is known of the run that is resumed, here or on the server.

    Raises:
        wandb.errors.UsageError: ``resume="must"``, and the run does not exist; or ``resume="never"``, and it does.
    """
    config = {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
    internal = config.pop("_wandb", {})
    recorded = recording()
    options: dict[str, Any] = {
        "console": settings.console != "off",
        "wandb_folder": Path(settings.sync_dir).absolute(),
        "variables": delivery_variables(settings),
        "reads_back": recorded is None and not settings.silent,  # a test asks itself
    }
    state = ScriptState(time.time())
    known = RunDirectory.exists(directory.path)
    held = _held_by_server(directory, settings, known=known) if recorded is None and not settings._offline else None
    with directory.beginning():
        known = RunDirectory.exists(directory.path)
        if known:
            manifest = directory.read_manifest()
            state = _state_of(directory, record)
            context = WandBContext(directory, manifest, owner=not directory.living(), **options)
            context.sink.record(config=config)
        else:
            manifest = RunManifest(
                run_id=record.run_id,
                mode="local" if recorded is not None else "offline" if settings._offline else "online",
                guarded=recorded is None or recorded.guarded,
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
            context = WandBContext(directory, manifest, owner=True, **options)
    for name, value in internal.items():
        context.sink.record(config_item={"path": ["_wandb", name], "value": value})
    if held is not None:
        held.complete(record)
        if not known:
            state = ScriptState(time.time(), held.next_step, ScriptSummary(held.summary))
    record.resumed = known or held is not None
    record.starting_step = state.step
    return context, state


def _held_by_server(directory: RunDirectory, settings: Settings, *, known: bool) -> RunOnServer | None:
    """Ask the server for a run that the script may resume. Where it does not answer, the run goes by what is here.

    Raises:
        wandb.errors.UsageError: As :func:`begin_run`.
    """
    if settings.resume not in (*_RESUMING, "never"):
        return None
    refusal = None
    try:
        held = run_on_server(settings)
    except Error as error:
        if settings.resume == "must" and not known:
            raise
        course = "continues as it is here" if known else "begins as a new one"
        notify(f"W&B's server cannot be asked for run {settings.run_id}, which {course}: {error}")
        return None
    if held is None and settings.resume == "must" and not known:
        refusal = f"run {settings.run_id} does not exist, so resume='must' fails: use resume='allow' to begin it"
    elif held is not None and settings.resume == "never":
        refusal = f"run {settings.run_id} exists already, so resume='never' fails: give another id, or use 'allow'"
    if refusal is not None:
        if not known:
            shutil.rmtree(directory.path, ignore_errors=True)  # it was made for this run
        raise UsageError(refusal)
    return held


def _state_of(directory: RunDirectory, record: RunRecord) -> ScriptState:
    """The state of a run in its directory; its configuration is put into ``record``, below what the script has set."""
    source = JournalSource(directory)
    run = source.read_all()
    add_config(record, run.config)
    return ScriptState(time.time(), source.next_step, source.script_summary())


def opened(context: WandBContext, timeout: float) -> Status | None:
    """Wait until delivery has opened a run on its server, and return its report; None after ``timeout`` seconds."""
    until = time.monotonic() + timeout
    while (status := context.status) is None or status.entity is None:
        if time.monotonic() > until:
            return None
        time.sleep(_POLL)
    return status


def join_run(run_id: str) -> WandBContext | None:
    """Join the run of the process that started this one; None where that has no such run."""
    place = os.environ.get(RUN_DIR_VARIABLE)
    if not place or place == DISABLED:
        return None
    directory = RunDirectory.open(Path(place))
    manifest = directory.read_manifest()
    return WandBContext(directory, manifest) if manifest.run_id == run_id else None


def _provenance(record: RunRecord, settings: Settings) -> dict[str, Any]:
    """The rest of the manifest; job type and notes stand among the variables that a run may set."""
    found = provenance()
    environment = dict(found.get("environment", {}))
    if record.job_type:
        environment["WANDB_JOB_TYPE"] = record.job_type
    if record.notes:
        environment["WANDB_NOTES"] = record.notes
    if settings.ignore_globs:
        environment["WANDB_IGNORE_GLOBS"] = ",".join(settings.ignore_globs)
    if "WANDB_BASE_URL" in delivery_variables(settings):
        found["base_url"] = without_user(settings.base_url)
    return {**found, "environment": environment}
