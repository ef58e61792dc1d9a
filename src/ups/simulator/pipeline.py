"""The training from end to end: three stages, the control, the evaluation.

A stage gets the models before it from their checkpoints. So one code resumes a pipeline, trains one
stage alone, and runs a pipeline from end to end.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ups.simulator import stages
from ups.simulator.checkpoint import checkpoint_path, load_checkpoint
from ups.simulator.config import Config, StageConfig
from ups.simulator.data import Batch, Data, draw_batch, make_data, make_test, seeded
from ups.simulator.evaluate import Evaluation
from ups.simulator.group import ALONE, Group
from ups.simulator.model import Operator, Refiner
from ups.simulator.progress import Reporter
from ups.simulator.results import evaluate_models, keep
from ups.simulator.simulators import operator_simulator, refined_simulator
from ups.simulator.solver import PROBLEMS
from ups.simulator.trained import CONTROL, STAGES, TrainedModels
from ups.simulator.training import Task, train
from ups.tracking.context import WandBContext

__all__ = ["Outcome", "Pipeline"]

_REFERENCE_PAIRS = 2048

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Outcome:
    """The result of a pipeline: an evaluation per trained model; ``stopped`` if it ended early."""

    evaluations: Sequence[Evaluation]
    stopped: bool


class Pipeline:
    """A training run in a directory; it resumes from the checkpoints that exist there."""

    def __init__(
        self, config: Config, run_dir: Path, context: WandBContext, reporter: Reporter, group: Group = ALONE
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self.context = context
        self.reporter = reporter
        self.group = group
        self.models = TrainedModels(config, run_dir, group.device)

    @cached_property
    def data(self) -> Data:
        """Training and validation set on the device, made at the first use."""
        self.reporter.line(f"solving {PROBLEMS[self.config.problem].title} for the training set")
        made = make_data(self.config)
        return Data(made.train.to(self.group.device), made.validation.to(self.group.device))

    def run(self, only: str | None = None) -> Outcome:
        """Train what is not trained yet, then evaluate every trained model and keep the results.

        This trains ``only`` one stage (or ``control``); by default all stages in order, then the control. It sets the
        number of PyTorch's threads to this process's part of ``training.threads``. Of a group, the first process
        evaluates; the others get no evaluations.

        Raises:
            RunDirectoryError: A stage needs an earlier one whose checkpoint is missing or unfinished.
            KeyboardInterrupt: Ctrl-C was pressed; the checkpoint is written.
        """
        torch.set_num_threads(max(1, self.config.training.threads // self.group.here))
        for name in (only,) if only else (*STAGES, CONTROL):
            if not self._train(name):
                return Outcome((), stopped=True)
        return Outcome(self._evaluate() if self.group.first else (), stopped=False)

    def _train(self, name: str) -> bool:
        """Train one stage to its end; False if it was stopped before."""
        path = checkpoint_path(self.run_dir, name)
        saved = load_checkpoint(path)
        self.group.wait()  # so that no process writes before all have looked
        if saved is not None and saved.finished:
            self.reporter.line(f"{name:<20} trained already")
            return True
        if name == "diffusion_residual":
            return self._fit(self._diffusion_task(), path, saved.step if saved else 0)
        if name == "consistency_distill":
            return self._fit(self._consistency_task(), path, saved.step if saved else 0)
        return self._fit(self._operator_task(name), path, saved.step if saved else 0)

    def _fit(self, task: Task[M], path: Path, done: int) -> bool:
        with self.reporter.stage(task.name, done, task.schedule.steps) as advance:
            average = train(
                task,
                self.data,
                self.config,
                path,
                log=self.context.stage(task.name).log,
                advance=advance,
                should_stop=lambda: self.context.should_stop,
                group=self.group,
            )
        return average is not None

    # ------------------------------------------------------------------ the tasks

    def _operator_task(self, name: str) -> Task[Operator]:
        """The operator; or the control, which starts from the same weights and differs in how long it trains."""
        operator = self._initial(Operator, "operator")
        operator.scales.measure(self.data.train)
        schedule = self.control_schedule() if name == CONTROL else self.config.stages.operator
        return Task(name, operator, stages.operator_loss, schedule, 1, partial(operator_simulator, name))

    def _diffusion_task(self) -> Task[Refiner]:
        name, operator = "diffusion_residual", self.models.operator()
        refiner = self._initial(Refiner, name)
        refiner.scales.load_state_dict(operator.scales.state_dict())
        refiner.noise.mul_(stages.operator_residual(operator, self._reference()))
        return Task(
            name,
            refiner,
            stages.diffusion_loss,
            self.config.stages.diffusion_residual,
            refiner.levels,
            lambda average: refined_simulator(name, operator, average, average.levels),
        )

    def _consistency_task(self) -> Task[Refiner]:
        name, operator = "consistency_distill", self.models.operator()
        teacher = self.models.refiner("diffusion_residual")
        return Task(
            name,
            copy.deepcopy(teacher).requires_grad_(True),
            stages.consistency_loss(teacher, operator, self._reference()),
            self.config.stages.consistency_distill,
            teacher.levels,
            lambda average: refined_simulator(name, operator, average, 1),
        )

    def control_schedule(self) -> StageConfig:
        """As many operator steps as cost what the three stages cost, counted in evaluations of the network.

        A backward pass counts as two forward passes, so a step costs 3; the consistency loss adds three forward
        passes: of the operator, the teacher and the average.
        """
        plan = self.config.stages
        passes = 3 * (plan.operator.steps + plan.diffusion_residual.steps) + 6 * plan.consistency_distill.steps
        return StageConfig(passes // 3, plan.operator.learning_rate)

    def _initial(self, kind: Callable[..., M], purpose: str) -> M:
        """A model with random weights that depend on the seed and the purpose alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeded(self.config.seed, f"weights/{purpose}").initial_seed())
            return kind(self.config.model).to(self.group.device)

    def _reference(self) -> Batch:
        """The pairs that a stage measures its scales on."""
        generator = seeded(self.config.seed, "residual")
        return draw_batch(self.data.train, _REFERENCE_PAIRS, generator).to(self.group.device)

    # ------------------------------------------------------------------ the evaluation

    def _evaluate(self) -> list[Evaluation]:
        """Score every trained model, and keep the scores in the tracker and beside the checkpoints."""
        sizes = self.config.data
        truth = make_test(self.config, trajectories=sizes.test_trajectories, steps=sizes.test_steps)
        evaluations = evaluate_models(self.models.simulators(), truth, self.config, self.reporter, self.group.device)
        keep(evaluations, truth, self.config, self.run_dir, self.context)
        return evaluations
