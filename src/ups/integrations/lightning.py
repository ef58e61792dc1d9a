"""A Lightning logger: each ``fit`` is a stage of one run, and all its charts are full.

::

    logger = UPSLogger(project="simulator")
    Trainer(logger=logger, max_epochs=5).fit(model)      # stage "fit"
    logger.stage("finetune")
    Trainer(logger=logger, max_epochs=2).fit(model)      # stage "finetune"

Metrics that :class:`lightning.pytorch.loggers.WandbLogger` would draw against one ``trainer/global_step``, which
starts again in the second fit, are drawn here against each stage's own steps.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ups.charts import check_stage_name
from ups.extras import require_version
from ups.integrations.trainings import Trainings, make_run, must_take_rows, open_run, resume_in
from ups.journal.faults import notify
from ups.tracking import WandBContext
from ups.tracking.context import held_here

require_version("lightning", "2.5", "lightning", "pytorch-lightning")

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment  # type: ignore[attr-defined]
    from lightning.pytorch.utilities import rank_zero_only
    from torch import Tensor
    from torch.nn import Module
else:
    try:
        from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
        from lightning.pytorch.utilities import rank_zero_only
    except ImportError:  # the same under the name that it has on its own
        from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
        from pytorch_lightning.utilities import rank_zero_only

__all__ = ["UPSLogger"]

_PROJECT = "lightning_logs"  # as Lightning's own loggers call it
_FOLDER = "ups-runs"
_BY_HAND = "by hand"


class UPSLogger(Logger):
    """Logs the metrics of a Lightning trainer to a UPS run, in place of ``WandbLogger``.

    A ``fit`` is a stage: ``fit``, then ``fit2``, …, or as :meth:`stage` names it. The results of
    ``trainer.validate`` and ``trainer.test`` go to the summary, as ``eval/<stage>/<metric>``; metrics that they log
    batch by batch become a stage ``validate`` or ``test``. As with the other loggers the run ends with the process, or
    with ``logger.experiment.finish()``.

    Only the process of rank 0 logs. A run that is open already, in this process or in the one that started it, is
    used, unless ``version`` names another.

    Args:
        name: The run's display name.
        save_dir: The folder that gets the run's folder, in ``ups-runs``; Lightning puts its checkpoints in
            ``<save_dir>/<project>/<version>/checkpoints``.
        version: The run's id. An existing run of this id is resumed.
        offline: Write W&B's files only, for ``wandb sync``; as ``mode="offline"``.
        project: W&B's project; by default ``WANDB_PROJECT``, else ``lightning_logs``.
        stage: The name of the stages: this, then this with 2, 3, … behind it.
        log_model: Log checkpoints as artifacts: those that remain at the end of a fit (True), or each as it is
            saved (``"all"``).
        prefix: A prefix of each metric's name, with a ``-``.
        experiment: The run to log to, from :func:`ups.create_wandb_context`, if it is not the open one.
        arguments: Other arguments of :func:`ups.create_wandb_context`: ``entity``, ``tags``, ``mode``, ``strict``, ….

    Raises:
        UsageError: ``experiment`` is finished; :class:`~ups.errors.InvalidName` for ``stage``.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] = ".",
        version: str | None = None,
        offline: bool = False,
        *,
        project: str | None = None,
        stage: str = "fit",
        log_model: bool | Literal["all"] = False,
        prefix: str = "",
        experiment: WandBContext | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()
        check_stage_name(stage)
        must_take_rows("experiment", experiment)
        self._project = project or os.environ.get("WANDB_PROJECT") or _PROJECT
        self._save_dir = os.fspath(save_dir)
        self._version = version
        self._prefix = prefix
        self._log_model = log_model
        self._base = stage
        self._pid = os.getpid()
        self._joined = False  # True where this process is one of several that a trainer spawned
        self._arguments = {**arguments, "name": name, "project": self._project}
        if offline:
            self._arguments["mode"] = "offline"
        if self._save_dir != ".":
            self._arguments["dir"] = Path(self._save_dir, _FOLDER)
        self._experiment = experiment
        self._trainings: Trainings | None = None
        self._made_elsewhere: str | None = None  # the run's directory, in a process that unpickled this logger
        self._batches: str | None = None  # the stage of what an evaluation logs batch by batch
        self._fit: str | None = None  # the stage of the newest fit, to which an evaluation's results belong
        self._doing: str | None = None  # "fit", "test", …; None between two calls of a trainer
        self._trainer: Any = None
        self._checkpoints: dict[int, ModelCheckpoint] = {}
        self._logged: dict[str, float] = {}  # checkpoints that were logged, by when they were written

    def __getstate__(self) -> dict[str, Any]:
        """The state without the open run: a spawned process joins it."""
        context = self.experiment
        made = str(context.dir) if isinstance(context, WandBContext) and context.enabled else None
        return {
            **self.__dict__,
            "_version": self.version,
            "_made_elsewhere": made,
            "_experiment": None,
            "_trainings": None,
            "_trainer": None,
            "_doing": None,
            "_checkpoints": {},
        }

    @property
    @rank_zero_experiment
    def experiment(self) -> WandBContext:
        """The run's context, made when it is first asked for; on other ranks than 0 an object that takes any call."""
        if self._experiment is None:
            if self._made_elsewhere is not None:
                self._joined = held_here(Path(self._made_elsewhere)) is None
                self._experiment = resume_in(self._made_elsewhere)
            else:
                self._experiment = open_run(self._version) or make_run(self._version, **self._arguments)
                if os.getpid() != self._pid:
                    notify(
                        f"the run {self._experiment.run_id} was made in a process that the trainer forked, and ends"
                        " with it; for one run of all fits, ask for logger.experiment before trainer.fit()"
                    )
        return self._experiment

    def stage(self, name: str) -> None:
        """Call the stages of the fits to come ``name``, then ``name`` with 2, 3, … behind it.

        Raises:
            InvalidName: The name is not letters, digits, ``_`` and ``-``.
        """
        check_stage_name(name)
        self._base = name

    # ------------------------------------------------------------------ read by Lightning

    @property
    def name(self) -> str:
        """The project; the run's own name is ``experiment.name``."""
        return self._project

    @property
    def version(self) -> str | None:
        """The run's id; None if it is not made yet and was not given one."""
        return self._experiment.run_id if self._experiment is not None else self._version

    @property
    def save_dir(self) -> str:
        """The folder that was given."""
        return self._save_dir

    @property
    def root_dir(self) -> str | None:
        """The folder of the runs; None before the run is made."""
        return str(self._experiment.dir.parent) if self._experiment is not None else None

    @property
    def log_dir(self) -> str | None:
        """The run's directory; None before the run is made."""
        return str(self._experiment.dir) if self._experiment is not None else None

    # ------------------------------------------------------------------ called by Lightning

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Add to the run's configuration. Other values of an earlier fit are kept under ``earlier``."""
        trainings = self._run()
        trainings.must_be_open()
        trainings.configure(params)

    @rank_zero_only
    def log_graph(self, model: Module, input_array: Tensor | None = None) -> None:
        """Begin a stage if a trainer, which calls this with its model as it begins, begins to fit.

        No graph is drawn.
        """
        try:
            trainer: Any = model.trainer
            function = str(trainer.state.fn.value)
        except (AttributeError, RuntimeError):  # not called by a trainer
            return
        trainings = self._run()
        trainings.must_be_open()
        if function == "fit":
            if self._doing is None:
                trainings.begin(self._base)
            self._fit = trainings.stage
        self._doing, self._trainer = function, trainer

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row of the stage; without ``step``, at the one after its last."""
        trainings = self._run()
        evaluation = self._doing if self._doing in ("validate", "test") else None
        # The trainer adds the epoch to an evaluation's results, and not to metrics of a batch.
        results = evaluation is not None and "epoch" in metrics
        if results:
            metrics = {name: value for name, value in metrics.items() if name != "epoch"}
        if self._prefix:
            metrics = {f"{self._prefix}{self.LOGGER_JOIN_CHAR}{name}": value for name, value in metrics.items()}
        if results:
            stage = self._fit or trainings.newest()
            trainings.context.log_eval_summary(metrics, prefix=f"eval/{stage}" if stage else "eval")
            return
        if evaluation is not None:
            self._batches = self._batches or trainings.take_name(evaluation)
            trainings.log(metrics, step, self._batches)
            return
        self._stage_now(trainings)
        trainings.log(metrics, step)
        if self._trainer is not None and self._trainer.world_size == 1 and trainings.context.should_stop:
            self._trainer.should_stop = True  # of several ranks, one alone must not stop

    def _stage_now(self, trainings: Trainings) -> str | None:
        """The stage of the newest training, which begins here by hand, by Fabric, or where hyper-parameters are off."""
        if self._doing is None and not trainings.context.finished:
            trainings.begin(self._base)
            self._doing = _BY_HAND
        return trainings.stage

    @rank_zero_only
    def log_image(self, key: str, images: Sequence[Any], step: int | None = None, **kwargs: Sequence[Any]) -> None:
        """Log images: arrays, PIL images, figures or paths; ``caption`` gives each its own.

        Given a ``step``, they are among the stage's metrics, in a row at that step.
        """
        self._run().log_images(key, images, kwargs.get("caption") or [], self._stage_of_media(step), step)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: Sequence[str] | None = None,
        data: Sequence[Sequence[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table, of ``columns`` and ``data`` or of a pandas ``dataframe``; ``step`` as for images."""
        self._run().log_table(key, columns, data, dataframe, self._stage_of_media(step), step)

    def _stage_of_media(self, step: int | None) -> str | None:
        """The stage of media with a step: that of metrics which are logged with it."""
        if step is None:
            return None
        trainings = self._run()
        if self._doing in ("validate", "test"):
            self._batches = self._batches or trainings.take_name(self._doing)
            return self._batches
        return self._stage_now(trainings)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Log the checkpoint as an artifact, or note it for the end of the fit, as ``log_model`` says."""
        if self._log_model == "all" or (self._log_model and checkpoint_callback.save_top_k == -1):
            self._log_checkpoints(checkpoint_callback)
        elif self._log_model:
            self._checkpoints[id(checkpoint_callback)] = checkpoint_callback

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End a fit, validation or test, not the run. ``status`` is ``success`` or another."""
        if self._experiment is None:
            return
        if status == "success":
            for callback in self._checkpoints.values():
                self._log_checkpoints(callback)
        self._checkpoints.clear()
        self._doing = self._trainer = self._batches = None
        if self._joined:
            self._experiment.finish(0 if status == "success" else 1)
            self._experiment = self._trainings = None

    def _run(self) -> Trainings:
        if self._trainings is None:
            self._trainings = Trainings(self.experiment, self._base)
        return self._trainings

    @rank_zero_only
    def _log_checkpoints(self, callback: ModelCheckpoint) -> None:
        """Log the checkpoints that exist and have changed since they were logged, oldest first."""
        paths = {*callback.best_k_models, callback.best_model_path, callback.last_model_path} - {""}
        written = sorted((Path(path).stat().st_mtime, path) for path in paths if Path(path).exists())
        for when, path in written:
            if self._logged.get(path) != when:
                self._run().log_model(path)
                self._logged[path] = when
