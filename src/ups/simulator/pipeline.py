"""The training from end to end: three stages, the control, the evaluation.

A stage gets the models before it from their checkpoints. So a pipeline that goes on, a stage that is trained
alone and a pipeline that runs through are one thing.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from ups.errors import RunDirectoryError
from ups.simulator import stages
from ups.simulator.checkpoint import checkpoint_path, load_checkpoint
from ups.simulator.config import Config, StageConfig
from ups.simulator.data import Data, draw_batch, make_data, seeded
from ups.simulator.evaluate import Evaluation, evaluate
from ups.simulator.model import Operator, Refiner
from ups.simulator.pictures import draw_rollouts, draw_spectra
from ups.simulator.progress import Reporter
from ups.simulator.simulators import Simulator, operator_simulator, refined_simulator
from ups.simulator.solver import PROBLEMS
from ups.simulator.training import Task, train
from ups.tracking.context import WandBContext

__all__ = ["COLUMNS", "CONTROL", "STAGES", "Outcome", "Pipeline", "table_rows"]

STAGES = ("operator", "diffusion_residual", "consistency_distill")
CONTROL = "control"

COLUMNS = ("model", "nfe", "one-step L2", "ct", "mid", "high", "logspec")

_RESIDUAL_PAIRS = 2048

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Outcome:
    """What a pipeline came to: an evaluation a trained model, and whether it was stopped before its end."""

    evaluations: Sequence[Evaluation]
    stopped: bool


class Pipeline:
    """A training run in a directory.

    Args:
        config: all that decides the outcome.
        run_dir: keeps the checkpoints; those already there are gone on from.
        context: the run in the tracker.
        reporter: tells a person how far it is.
    """

    def __init__(self, config: Config, run_dir: Path, context: WandBContext, reporter: Reporter) -> None:
        self.config = config
        self.run_dir = run_dir
        self.context = context
        self.reporter = reporter

    @cached_property
    def data(self) -> Data:
        """Training and test set, made when first asked for."""
        self.reporter.say(f"solving {PROBLEMS[self.config.problem].title} for the training and the test set")
        return make_data(self.config)

    def run(self, only: str | None = None) -> Outcome:
        """Train what is not trained yet, then evaluate every trained model and log the results.

        Sets the number of PyTorch's threads to ``training.threads``.

        Args:
            only: the one stage (or ``control``) to train; by default all stages in order, then the control.

        Raises:
            RunDirectoryError: a stage needs an earlier one whose checkpoint is missing or unfinished.
            KeyboardInterrupt: Ctrl-C was pressed; the checkpoint is written.
        """
        torch.set_num_threads(self.config.training.threads)
        for name in (only,) if only else (*STAGES, CONTROL):
            if not self._train(name):
                return Outcome((), stopped=True)
        return Outcome(self._evaluate(), stopped=False)

    def _train(self, name: str) -> bool:
        """Train one stage to its end; False if it was stopped before."""
        path = checkpoint_path(self.run_dir, name)
        saved = load_checkpoint(path)
        if saved is not None and saved.finished:
            self.reporter.say(f"{name:<20} trained already")
            return True
        if name == "diffusion_residual":
            return self._fit(self._diffusion_task(), path, saved.step if saved else 0)
        if name == "consistency_distill":
            return self._fit(self._consistency_task(), path, saved.step if saved else 0)
        return self._fit(self._operator_task(name), path, saved.step if saved else 0)

    def _fit(self, task: Task[M], path: Path, done: int) -> bool:
        log = self.context.stage(task.name).log
        with self.reporter.stage(task.name, done, task.schedule.steps) as advance:
            average = train(
                task,
                self.data.train,
                self.config,
                path,
                log=log,
                advance=advance,
                should_stop=lambda: self.context.should_stop,
            )
        return average is not None

    # ------------------------------------------------------------------ the tasks

    def _operator_task(self, name: str) -> Task[Operator]:
        """The operator; or the control, which starts from the same weights and differs in how long it trains."""
        operator = self._initial(Operator, "operator")
        operator.scales.measure(self.data.train)
        schedule = self.control_schedule() if name == CONTROL else self.config.stages.operator
        return Task(name, operator, stages.operator_loss, schedule)

    def _diffusion_task(self) -> Task[Refiner]:
        operator = self.operator("operator")
        refiner = self._initial(Refiner, "diffusion_residual")
        refiner.scales.load_state_dict(operator.scales.state_dict())
        pairs = draw_batch(self.data.train, _RESIDUAL_PAIRS, seeded(self.config.seed, "residual"))
        refiner.noise.mul_(stages.operator_residual(operator, pairs))
        return Task("diffusion_residual", refiner, stages.diffusion_loss, self.config.stages.diffusion_residual)

    def _consistency_task(self) -> Task[Refiner]:
        operator, teacher = self.operator("operator"), self.refiner("diffusion_residual")
        student = copy.deepcopy(teacher).requires_grad_(True)
        loss = stages.consistency_loss(teacher, operator)
        return Task("consistency_distill", student, loss, self.config.stages.consistency_distill)

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
            return kind(self.config.model)

    # ------------------------------------------------------------------ the trained models

    def operator(self, name: str) -> Operator:
        """The trained operator, or the control; RunDirectoryError if there is none."""
        return self._trained(Operator(self.config.model), name)

    def refiner(self, name: str) -> Refiner:
        """A trained model of the second or third stage; RunDirectoryError if there is none."""
        return self._trained(Refiner(self.config.model), name)

    def _trained(self, model: M, name: str) -> M:
        path = checkpoint_path(self.run_dir, name)
        saved = load_checkpoint(path)
        if saved is None:
            raise RunDirectoryError(
                f"there is no checkpoint {path}: train {name} first, as in: ups train --stage {name}"
                f" --resume {self.run_dir}"
            )
        if not saved.finished:
            raise RunDirectoryError(
                f"{path} stands at step {saved.step} of {saved.steps}: finish it with: ups train --stage {name}"
                f" --resume {self.run_dir}"
            )
        model.load_state_dict(saved.average)
        return model.requires_grad_(False)

    def simulators(self) -> list[Simulator]:
        """A simulator for each trained model, the control last."""
        found = []
        for name in (*STAGES, CONTROL):
            saved = load_checkpoint(checkpoint_path(self.run_dir, name))
            if saved is None or not saved.finished:
                continue
            if name in ("operator", CONTROL):
                found.append(operator_simulator(name, self.operator(name)))
                continue
            refiner = self.refiner(name)
            levels = refiner.levels if name == "diffusion_residual" else 1
            found.append(refined_simulator(name, self.operator("operator"), refiner, levels))
        return found

    # ------------------------------------------------------------------ the evaluation

    def _evaluate(self) -> list[Evaluation]:
        """Score every trained model, and log the scores, their table and two pictures."""
        problem, truth = PROBLEMS[self.config.problem], self.data.test
        evaluations = []
        for simulator in self.simulators():
            self.reporter.say(f"evaluating {simulator.name}")
            evaluation = evaluate(simulator, truth, problem.interval)
            self.context.log_eval_summary(evaluation.scores.as_dict(), prefix=f"eval/{simulator.name}")
            evaluations.append(evaluation)
        self.context.log_table("eval/models", columns=list(COLUMNS), rows=table_rows(evaluations))
        rollouts = draw_rollouts(truth, evaluations, problem.length, problem.interval)
        self.context.log_image("eval/rollout", rollouts, caption="the first test trajectory")
        spectra = draw_spectra(truth, evaluations, problem.length)
        self.context.log_image("eval/spectra", spectra, caption="amplitude of each mode late in the rollout")
        return evaluations


def table_rows(evaluations: Sequence[Evaluation]) -> list[list[str | float]]:
    """The scores as rows under :data:`COLUMNS`."""
    return [[evaluation.name, *evaluation.scores.as_dict().values()] for evaluation in evaluations]
