"""A tracker for Accelerate: a training loop logs in stages, each has an axis of its own, and all charts are full.

::

    tracker = UPSTracker("simulator")
    accelerator = Accelerator(log_with=tracker)
    accelerator.init_trackers("simulator", config={"lr": 1e-3})
    tracker.stage("operator")
    accelerator.log({"loss": 0.5}, step=0)
    tracker.stage("distill")
    accelerator.log({"loss": 0.7}, step=0)   # each stage counts its own steps
    accelerator.end_training()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ups.charts import check_stage_name, metric_key, stage_prefix
from ups.errors import UsageError
from ups.extras import require_version
from ups.integrations.trainings import Trainings, make_run, must_take_rows, name_text, open_run
from ups.tracking import WandBContext

require_version("accelerate", "1")

# Only once it is known to be installed.
from accelerate.state import PartialState  # noqa: E402
from accelerate.tracking import GeneralTracker, on_main_process  # noqa: E402

__all__ = ["UPSTracker"]


class UPSTracker(GeneralTracker):  # type: ignore[misc]
    """Logs the values of ``accelerator.log`` to a UPS run, in place of ``log_with="wandb"``.

    A row belongs to the stage that :meth:`stage` named last, at first ``train``. A metric called
    ``training/<stage>/<metric>``, or ``<stage>/<metric>`` of a stage in ``stages``, belongs to that one; so does a row
    that is logged with ``log_kwargs={"ups": {"stage": "<stage>"}}``. A loop that begins to count again without having
    named a stage begins one: ``train2``, ….

    Numbers make points, text goes to the summary, and ``{"loss": {"pde": 0.5}}`` is ``loss/pde``. Only the main process
    logs. ``accelerator.end_training()`` ends the run, unless it was open before: a run that is open already, in this
    process or in the one that started it, is used.

    Args:
        run_name: W&B's project, as for Accelerate's own ``WandBTracker``; the run's name is the argument ``name``.
        stage: The first stage.
        stages: The stages of the run.
        context: The run to log to, from :func:`ups.create_wandb_context`, if it is not the open one.
        run_id: The run's id. An existing run of this id is resumed.
        arguments: Other arguments of :func:`ups.create_wandb_context`: ``name``, ``entity``, ``tags``, ``mode``, ….

    Raises:
        UsageError: ``context`` is finished; :class:`~ups.errors.InvalidName` for ``stage``.
    """

    name = "ups"
    requires_logging_directory = False
    main_process_only = True

    def __init__(
        self,
        run_name: str,
        *,
        stage: str = "train",
        stages: Sequence[str] = (),
        context: WandBContext | None = None,
        run_id: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()
        check_stage_name(stage)
        must_take_rows("context", context)
        self.run_name = run_name
        self._base = stage
        self._named = False  # True where stage() was called since the last row
        self._stages = tuple(stages)
        self._arguments = arguments
        self._context = context
        self._run_id = run_id
        self._ends_run = False  # True where this tracker made the run
        self._trainings: Trainings | None = None

    @property
    def tracker(self) -> WandBContext:
        """The run's context, in the main process.

        Raises:
            UsageError: This is another process.
        """
        state = PartialState()
        if not state.is_main_process:
            raise UsageError(
                f"the run is held by the main process, and this is process {state.process_index} of"
                f" {state.num_processes}; ask accelerator.is_main_process first"
            )
        return self._run().context

    def stage(self, name: str) -> None:
        """Log to the stage ``name`` from here on; an existing one continues after its last step.

        Raises:
            InvalidName: The name is not letters, digits, ``_`` and ``-``.
        """
        check_stage_name(name)
        self._base = name
        self._named = True

    # ------------------------------------------------------------------ called by Accelerate

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def start(self) -> None:
        """Make the run, as the accelerator begins."""
        self._run().must_be_open()

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Add to the run's configuration."""
        self._run().configure(values)

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def log(self, values: Mapping[str, Any], step: int | None = None, stage: str | None = None, **_: Any) -> None:
        """Log a row; without ``step``, at the one after the stage's last. Arguments of other trackers are ignored.

        Rows of the same step join: each metric keeps its last value.
        """
        trainings = self._run()
        if stage is not None:
            trainings.log(values, step, stage, is_open=step is not None)
            return
        rows: dict[str | None, dict[str, Any]] = {}
        for name, value in trainings.flat(values).items():
            own, metric = self._stage_of(name)
            rows.setdefault(own, {})[metric] = value
        for own, row in rows.items():
            position = step if own is None else row.pop("step", step)
            place = own or self._current(trainings, row, step)
            trainings.log(row, position, place, is_open=position is not None)

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def log_images(self, values: Mapping[str, Sequence[Any]], step: int | None = None, **_: Any) -> None:
        """Log images: lists of arrays, PIL images, figures or paths by name; in a row of ``step``, if it is given."""
        for name, images in values.items():
            metric, stage = self._place_of(name, step)
            self._run().log_images(metric, images, [], stage, step)

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def log_table(
        self,
        table_name: str,
        columns: Sequence[str] | None = None,
        data: Sequence[Sequence[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **_: Any,
    ) -> None:
        """Log a table, of ``columns`` and ``data`` or of a pandas ``dataframe``; in a row of ``step``, if given."""
        metric, stage = self._place_of(table_name, step)
        self._run().log_table(metric, columns, data, dataframe, stage, step)

    @on_main_process  # type: ignore[untyped-decorator, unused-ignore]
    def finish(self) -> None:
        """End the run as the training ends, unless it was open before."""
        if self._ends_run and self._context is not None:
            self._context.finish()

    # ------------------------------------------------------------------ shared

    def _run(self) -> Trainings:
        if self._trainings is None:
            if self._context is None:
                self._context = open_run(self._run_id)
            if self._context is None:
                arguments = {"project": self.run_name, "stages": self._stages, **self._arguments}
                self._context = make_run(self._run_id, **arguments)
                self._ends_run = True
            self._trainings = Trainings(self._context, self._base)
        return self._trainings

    def _current(self, trainings: Trainings, row: Mapping[str, Any], step: int | None) -> str:
        """The stage of a row that does not name one."""
        if self._named:
            trainings.enter(self._base)
            self._named = False
        if step is None:
            return trainings.stage or trainings.begin(self._base)
        return trainings.place(row, step, self._base)

    def _place_of(self, name: Any, step: int | None) -> tuple[str, str | None]:
        """The name of a medium, and the stage that it belongs to if it has a step."""
        text = name_text(name)
        if step is None:
            return text, None
        own, metric = self._stage_of(text)
        return metric, own or self._current(self._run(), {metric: None}, step)

    def _stage_of(self, name: str) -> tuple[str | None, str]:
        """The stage that a metric's name has, or None, and the metric within it."""
        stage, _, metric = name.removeprefix(stage_prefix("")).partition("/")
        full = metric and name == metric_key(stage, metric)
        return (stage, metric) if full or (metric and stage in self._stages) else (None, name)
