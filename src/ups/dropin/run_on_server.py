"""A run that W&B's server has already, which a script resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wandb
from wandb.errors import Error

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import RunRecord
    from wandb.sdk.wandb_settings import Settings

__all__ = ["RunOnServer", "add_config", "run_on_server"]

_NOT_FOUND = "could not find"  # in the message of each version of wandb


@dataclass(frozen=True)
class RunOnServer:
    """The parts of a run that the server holds, beside its rows.

    Attributes:
        next_step: W&B's step of the next row.
        summary: The summary, without what W&B puts into it.
        runtime: Seconds that the run has had.
    """

    next_step: int
    config: dict[str, Any]
    summary: dict[str, Any]
    runtime: int
    name: str
    notes: str
    tags: tuple[str, ...]
    group: str
    job_type: str

    def complete(self, record: RunRecord) -> None:
        """Put into the record of a resumed run what its script has not set."""
        add_config(record, self.config)
        record.runtime = self.runtime
        record.display_name = record.display_name or self.name
        record.notes = record.notes or self.notes
        record.run_group = record.run_group or self.group
        record.job_type = record.job_type or self.job_type
        if not record.tags:
            record.tags.extend(self.tags)


def add_config(record: RunRecord, config: dict[str, Any]) -> None:
    """Put the configuration of a resumed run into its record, below what the script has set."""
    given = {item.key for item in record.config.update}
    for name, value in config.items():
        if name not in given:
            record.config.update.add(key=name, value_json=json.dumps({"value": value}))  # as wandb's client takes it


def run_on_server(settings: Settings) -> RunOnServer | None:
    """Ask the server for the run that is to be resumed; None where it has none.

    Raises:
        wandb.errors.Error: The server cannot be asked.
    """
    api = wandb.Api(timeout=int(settings.init_timeout))
    entity = settings.entity or api.default_entity
    try:
        run = api.run(f"{entity}/{settings.project or 'uncategorized'}/{settings.run_id}")
    except (Error, ValueError) as error:
        if _NOT_FOUND in str(error).lower():
            return None
        raise
    summary = dict(run.summary)
    last = max(int(run.lastHistoryStep or -1), int(summary.get("_step", -1)))
    runtime = summary.get("_wandb", {}).get("runtime", 0)
    return RunOnServer(
        next_step=last + 1,
        config=dict(run.config),
        summary={name: value for name, value in summary.items() if not name.startswith("_")},
        runtime=int(runtime),
        name=run.name or "",
        notes=run.notes or "",
        tags=tuple(run.tags or ()),
        group=run.group or "",
        job_type=run.job_type or "",
    )
