"""Media of wandb's types in the row of a stage: their files and artifacts are journaled, as for a script's run."""

from __future__ import annotations

import json
import os
import threading
from typing import Any
from weakref import WeakKeyDictionary

import wandb
from wandb.sdk.data_types.utils import history_dict_to_json
from wandb.util import json_dumps_safer_history

from ups.dropin.interface import JournalInterface
from ups.dropin.journaled_run import JournaledRun
from ups.dropin.seam import without_asking
from ups.tracking.context import WandBContext

__all__ = ["as_json"]

_lock = threading.Lock()
_runs: WeakKeyDictionary[WandBContext, tuple[int, JournaledRun]] = WeakKeyDictionary()


class _RowInterface(JournalInterface):
    """Journals what belongs to a row's media, and keeps the JSON of the row itself.

    Attributes:
        row: The values of the newest row, by name.
    """

    row: dict[str, Any]

    def publish_partial_history(self, run: Any, data: dict[str, Any], user_step: int, *_: Any, **__: Any) -> None:
        """Keep a row's values as wandb would send them."""
        values = history_dict_to_json(run, data, step=user_step, ignore_copy_err=True)
        self.row = {name: json.loads(json_dumps_safer_history(value)) for name, value in values.items()}


def as_json(context: WandBContext, values: dict[str, Any], step: int) -> dict[str, Any]:
    """The values of a row as JSON, as W&B's history has them, with their files and artifacts journaled.

    Args:
        context: The run whose row it is.
        values: Media by their full names in W&B.
        step: The stage's step, which stands in the names of files.

    Raises:
        Exception: wandb raises it for a value that it cannot keep.
    """
    with _lock:
        process, run = _runs.get(context, (0, None))
        if run is None or process != os.getpid():
            run = _run_of(context)
            _runs[context] = os.getpid(), run
        run._local_step = step
        with without_asking():
            run._partial_history_callback(values)
        interface = run._interface
        assert isinstance(interface, _RowInterface)
        return interface.row


def _run_of(context: WandBContext) -> JournaledRun:
    """A run for wandb's own code to bind media to: it journals to a context, and nobody else sees it."""
    settings = wandb.Settings(
        run_id=context.run_id,
        mode="online" if context.mode == "online" else "offline",
        project="p",  # delivery gives an artifact the run's own
        console="off",
        silent=True,
    )
    run = JournaledRun(settings)
    run._set_backend(_RowInterface(None, context=context))
    return run
