"""``ctx.run``: a view of the run for code that expects a wandb run.

A raw wandb run would break delivery: its rows would take step numbers that delivery counts on. So ``log`` here goes to
the journal, and ``finish`` to the context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ups.charts import metric_key, stage_of_axis, step_metric
from ups.tracking.recorder import Recorder

__all__ = ["RunView"]


class RunView:
    """A view of the wandb run behind a context."""

    def __init__(self, context: Recorder) -> None:
        self._context = context

    @property
    def id(self) -> str:
        """W&B's id of the run."""
        return self._context.run_id

    @property
    def name(self) -> str | None:
        """The run's name, if it was given one."""
        return self._context.name

    @property
    def url(self) -> str | None:
        """The address of the run's page; None offline."""
        return self._context.url

    @property
    def dir(self) -> str:
        """The run's directory."""
        return str(self._context.dir)

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration; read only, see :meth:`~ups.WandBContext.update_config`."""
        return self._context.config

    @property
    def summary(self) -> Mapping[str, Any]:
        """The summary values that this process has set; see :meth:`~ups.WandBContext.log_eval_summary`."""
        return self._context.summary

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log a row through the journal.

        Metrics of a stage beside their step metric, as ``{"training/operator/loss": 0.5,
        "training/operator/step": 3}``, become a row of that stage; the others a row of no stage. ``step`` and
        ``commit`` are accepted and not needed: every row is kept, in order.
        """
        if not isinstance(data, Mapping):
            self._context.log_values(data)  # which reports it
            return
        rest = dict(data)
        for name in list(data):
            stage = _stage_with_step(name)
            if stage is None:
                continue
            prefix = metric_key(stage, "")
            own = {key.removeprefix(prefix): rest.pop(key) for key in list(rest) if key.startswith(prefix)}
            position = own.pop("step")
            if own:
                self._context.log_training_metrics(stage, own, position)
        if rest:
            self._context.log_values(rest)

    def alert(self, title: str, text: str = "", level: Any = "INFO") -> None:
        """Send an alert through W&B."""
        self._context.alert(title, text, getattr(level, "value", level))

    def finish(self, exit_code: int | None = None) -> None:
        """End the run; as :meth:`~ups.WandBContext.finish`."""
        self._context.finish(exit_code)


def _stage_with_step(name: str) -> str | None:
    """The stage whose step metric ``name`` is; None for any other metric."""
    stage = stage_of_axis(name)
    return stage if stage is not None and "/" not in stage and name == step_metric(stage) else None
