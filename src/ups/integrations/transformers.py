"""A callback for the Transformers ``Trainer``: each ``train()`` is a stage of one run, and all its charts are full.

::

    SFTTrainer(args=SFTConfig(..., report_to="none"), callbacks=[UPSCallback()], ...).train()   # stage "sft"
    DPOTrainer(args=DPOConfig(..., report_to="none"), callbacks=[UPSCallback()], ...).train()   # stage "dpo"

Metrics that ``report_to="wandb"`` would draw against one ``train/global_step``, which starts again in the second
training, are drawn here against each stage's own steps.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ups.charts import check_stage_name, stage_prefix
from ups.errors import UsageError
from ups.extras import require_version
from ups.integrations.trainings import Trainings, make_run, must_take_rows, open_run
from ups.tracking import WandBContext

require_version("transformers", "4.46.1")

from transformers import TrainerCallback  # noqa: E402 - only once it is known to be installed

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

__all__ = ["UPSCallback"]

_PROJECT = "huggingface"  # as Transformers' own callback calls it

# A training reports these once, at its end.
_TOTALS = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos")
_EVALUATIONS = ("eval", "test")


class UPSCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Logs the metrics of a Transformers trainer to a UPS run. Pass ``report_to="none"``, or W&B gets a second run.

    A ``train()`` is a stage. It is called after the trainer's arguments: ``SFTConfig`` gives ``sft``,
    ``TrainingArguments`` gives ``train``; then ``sft2``, …; or after ``stage``. ``eval_loss`` is drawn as
    ``eval/loss`` beside ``loss``. Results of ``evaluate()``, ``predict()`` and ``log()`` outside a training go to the
    summary, as ``eval/<stage>/loss``; so do totals of a training, as its run time. The arguments and the
    model's configuration are the run's.

    As with Transformers' own callbacks the run ends with the process, or with ``callback.context.finish()``;
    a hyper-parameter search has a run for each trial. A run that is open already, in this process or in the one that
    started it, is used: another callback for another trainer continues it.

    Only the main process of a distributed job logs.

    Args:
        stage: The name of the stages: this, then this with 2, 3, … behind it.
        context: The run to log to, from :func:`ups.create_wandb_context`, if it is not the open one.
        run_id: The run's id. An existing run of this id is resumed.
        project: W&B's project; by default ``WANDB_PROJECT``, else ``huggingface``.
        log_model: Log each ``checkpoint``, or the model at the ``end`` of each training, as an artifact; by default as
            ``WANDB_LOG_MODEL`` has it.
        arguments: Other arguments of :func:`ups.create_wandb_context`: ``entity``, ``tags``, ``mode``, ``strict``, ….

    Raises:
        UsageError: ``context`` is finished, or ``log_model`` is another value; :class:`~ups.errors.InvalidName` for
            ``stage``.
    """

    def __init__(
        self,
        stage: str | None = None,
        *,
        context: WandBContext | None = None,
        run_id: str | None = None,
        project: str | None = None,
        log_model: Literal["end", "checkpoint"] | bool | None = None,
        **arguments: Any,
    ) -> None:
        if stage is not None:
            check_stage_name(stage)
        must_take_rows("context", context)
        self._base = stage
        self._log_model = _when_to_log(log_model)
        self._arguments = {**arguments, "project": project or os.environ.get("WANDB_PROJECT") or _PROJECT}
        self._context = context
        self._run_id = run_id
        self._trainings: Trainings | None = None
        self._is_training = False

    @property
    def context(self) -> WandBContext:
        """The run's context, in the main process, once the first training or evaluation has begun.

        Raises:
            UsageError: There is none here.
        """
        if self._context is None:
            raise UsageError(
                "UPSCallback has no run in this process: the main process of the job has one, once train() has"
                " begun, or once evaluate() or predict() has a result"
            )
        return self._context

    def stage(self, name: str) -> None:
        """Call the stages of the trainings to come ``name``, then ``name`` with 2, 3, … behind it.

        Raises:
            InvalidName: The name is not letters, digits, ``_`` and ``-``.
        """
        check_stage_name(name)
        self._base = name

    # ------------------------------------------------------------------ called by the trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a stage, as a training begins."""
        if not state.is_world_process_zero:
            return
        if state.is_hyper_param_search and self._trainings is not None:  # a run for each trial
            self._trainings.context.finish()
            self._context = self._trainings = None
        trainings = self._run(args, state, kwargs.get("model"))
        trainings.must_be_open()
        trainings.configure(_parameters(args, kwargs.get("model")))
        trainings.begin(self._base or _base_of(args))
        self._is_training = True
        if "wandb" in (args.report_to or ()):
            trainings.context.sink.fault(
                "report_to",
                UsageError(
                    'report_to has "wandb", whose callback makes a second run, with charts of its own; pass'
                    ' report_to="none" to the training arguments'
                ),
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop where W&B's Stop button was pressed; one of several processes must not stop alone."""
        if self._context is not None and args.world_size == 1 and self._context.should_stop:
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a row of the stage; outside a training, results."""
        if not state.is_world_process_zero or not logs:
            return
        trainings = self._run(args, state, kwargs.get("model"))
        if not self._is_training or trainings.stage is None:
            self._log_evaluation(trainings, logs)
            return
        totals = {name: logs[name] for name in _TOTALS if name in logs}
        if totals:
            trainings.context.log_eval_summary(totals, prefix=stage_prefix(trainings.stage))
        row = {"/".join(_parts(name)): value for name, value in logs.items() if name not in totals}
        trainings.log(row, state.global_step)

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log the results of ``predict()``."""
        if state.is_world_process_zero and metrics:
            self._log_evaluation(self._run(args, state, kwargs.get("model")), metrics)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Log a checkpoint that was saved, if ``log_model`` asks for it."""
        if self._log_model == "checkpoint" and state.is_world_process_zero:
            self._run(args, state, kwargs.get("model")).log_model(
                Path(args.output_dir or ".", f"checkpoint-{state.global_step}")
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the training, and log its model if ``log_model`` asks for it; the run stays open."""
        if not state.is_world_process_zero:
            return
        self._is_training = False
        model = kwargs.get("model")
        if self._log_model == "end" and hasattr(model, "save_pretrained"):
            with tempfile.TemporaryDirectory() as folder:
                for part in (model, kwargs.get("processing_class") or kwargs.get("tokenizer")):
                    if part is not None and hasattr(part, "save_pretrained"):
                        part.save_pretrained(folder)
                self._run(args, state, model).log_model(folder)

    # ------------------------------------------------------------------ shared

    def _run(self, args: TrainingArguments, state: TrainerState, model: Any) -> Trainings:
        if self._trainings is None:
            context = self._context or open_run(self._run_id)
            new = context is None
            if context is None:
                context = make_run(self._run_id, **{**_names(args, state), **self._arguments})
            self._context, self._trainings = context, Trainings(context, self._base or "train")
            if new:  # it may be that nothing is trained, and a result is all that the run will hold
                self._trainings.configure(_parameters(args, model))
        return self._trainings

    def _log_evaluation(self, trainings: Trainings, metrics: dict[str, Any]) -> None:
        stage = trainings.newest()
        results: dict[str, dict[str, Any]] = {}
        for name, value in metrics.items():
            if name != "epoch":  # the trainer puts it beside each
                parts = _parts(name)
                results.setdefault(parts[0] if len(parts) > 1 else "eval", {})[parts[-1]] = value
        for kind, values in results.items():
            trainings.context.log_eval_summary(values, prefix=f"{kind}/{stage}" if stage else kind)


def _parts(name: str) -> tuple[str, ...]:
    """``eval_loss`` → ``("eval", "loss")``; ``("loss",)`` for another metric."""
    kind, _, rest = name.partition("_")
    return (kind, rest) if kind in _EVALUATIONS and rest else (name,)


def _base_of(args: TrainingArguments) -> str:
    """A stage for a trainer with these arguments: ``dpo`` for ``DPOConfig``, ``train`` for ``TrainingArguments``."""
    kind = type(args).__name__
    return kind.removesuffix("Config").lower() if kind.endswith("Config") and kind != "Config" else "train"


def _names(args: TrainingArguments, state: TrainerState) -> dict[str, Any]:
    """The run's name and group, as Transformers' own callback gives them."""
    run_name = args.run_name if args.run_name != args.output_dir else None  # unless it was named
    if state.trial_name is not None:
        return {"name": state.trial_name, "group": run_name or args.output_dir}
    return {"name": run_name}


def _parameters(args: TrainingArguments, model: Any) -> dict[str, Any]:
    """The arguments, over the model's configuration; its number of parameters, and its adapters."""
    parameters: dict[str, Any] = {}
    config = getattr(model, "config", None)
    if config is not None:
        parameters |= config if isinstance(config, dict) else config.to_dict()
    adapters = getattr(model, "peft_config", None)
    if adapters is not None:
        parameters["peft_config"] = adapters
    parameters |= args.to_dict()  # type: ignore[no-untyped-call]
    if hasattr(model, "num_parameters"):
        parameters["model/num_parameters"] = model.num_parameters()
    return parameters


def _when_to_log(log_model: Any) -> str | None:
    """``end``, ``checkpoint`` or None, from the argument or from ``WANDB_LOG_MODEL``, which is text."""
    given = log_model if log_model is not None else os.environ.get("WANDB_LOG_MODEL", "false")
    chosen = str(given).lower()
    if chosen in ("false", "0", "no", ""):
        return None
    chosen = "end" if chosen in ("true", "1", "yes") else chosen
    if chosen not in ("end", "checkpoint"):
        source = "log_model" if log_model is not None else "WANDB_LOG_MODEL"
        raise UsageError(f"{source} is {given!r}; choose 'end', 'checkpoint' or false")
    return chosen
