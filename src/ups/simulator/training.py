"""The one training loop, used by every stage."""

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ups.errors import UPSError, UsageError
from ups.simulator.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ups.simulator.config import Config, StageConfig
from ups.simulator.data import Batch, Data, draw_batch, pairs_of, seeded
from ups.simulator.group import ALONE, Group
from ups.simulator.optimizer import make_optimizers
from ups.simulator.simulators import Simulator

__all__ = ["Task", "learning_rate", "train"]

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Task(Generic[M]):
    """A stage to train.

    Attributes:
        model: The model, trained in place.
        loss: Takes the model, the moving average of its weights and a batch; gives a scalar, the mean over the batch.
        schedule: The number of steps, and the learning rate.
        levels: Noise levels that a batch is drawn for.
        simulator: Makes a simulator of the model.
    """

    name: str
    model: M
    loss: Callable[[M, M, Batch], Tensor]
    schedule: StageConfig
    levels: int
    simulator: Callable[[M], Simulator]


class Log(Protocol):
    """Takes the metrics of a step, as the ``log`` of a tracker's stage does."""

    def __call__(self, step: int, /, **metrics: float) -> object: ...


def train(
    task: Task[M],
    data: Data,
    config: Config,
    checkpoint: Path,
    *,
    log: Log,
    advance: Callable[[int, float], object],
    should_stop: Callable[[], bool],
    group: Group = ALONE,
) -> M | None:
    """Train one stage to its end, from its checkpoint if it has one.

    A resumed stage has the same weights, bit for bit on a CPU, as one that never stopped. Ctrl-C is held back until the
    step in progress is done; then the checkpoint is written, and KeyboardInterrupt raised. A second one does not wait.

    All processes of a group draw the same batch, as many times ``training.batch`` pairs as there are processes, and
    each takes its own part of it: two processes train as one does with twice the batch.

    The data is on the group's device. The checkpoint is written every ``training.save_every`` steps, at the end and
    when stopped. ``log`` is called after each step, steps counted from 1, with ``loss``, ``lr`` and ``grad_norm``; and
    every ``training.health_every`` steps and at the end with :class:`_Health` too. In a process that is not the first
    of the group it gets ``step_ms`` alone. ``advance`` is called after each step, with its loss.

    Returns the moving average of the model; None if ``should_stop``, which is asked before each step, ended the stage
    early.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        UPSError: The loss is not finite.
        UsageError: The checkpoint is of another number of processes.
        RunDirectoryError: The checkpoint cannot be read or written.
    """
    settings, model, steps = config.training, task.model, task.schedule.steps
    average = copy.deepcopy(model).requires_grad_(False)
    optimizers = make_optimizers(model, task.schedule.learning_rate)
    generator = seeded(config.seed, f"stage/{task.name}")
    done = 0
    saved = load_checkpoint(checkpoint)
    if saved is not None:
        if saved.processes != group.size:
            raise UsageError(
                f"{checkpoint} was trained by {saved.processes} process(es), and these are {group.size}, which would"
                f" give each step another batch; resume with {saved.processes}"
            )
        model.load_state_dict(saved.model)
        average.load_state_dict(saved.average)
        for optimizer, state in zip(optimizers, saved.optimizers, strict=True):
            optimizer.load_state_dict(state)
        generator.set_state(saved.generator)
        done = saved.step

    def save(step: int) -> None:
        if group.first:
            content = Checkpoint(
                task.name,
                step,
                steps,
                config,
                model.state_dict(),
                average.state_dict(),
                [optimizer.state_dict() for optimizer in optimizers],
                generator.get_state(),
                group.size,
            )
            save_checkpoint(checkpoint, content)
        group.wait()

    objective: nn.Module = _Objective(model, lambda batch: task.loss(model, average, batch))
    if settings.compile:
        objective.compile()
    objective = group.parallel(objective)
    health = _Health(task, data, settings.batch * group.size)
    look_every = min(settings.health_every, max(1, steps // 2))

    with _interrupts_held_back() as interrupted:
        for step in range(done + 1, steps + 1):
            interrupt, stop = group.any(interrupted(), should_stop())
            if interrupt or stop:
                save(step - 1)
                if interrupt:
                    raise KeyboardInterrupt
                return None
            started = time.perf_counter()
            rate = learning_rate(step, task.schedule, settings.warmup)
            for optimizer in optimizers:
                optimizer.zero_grad()
                for parameters in optimizer.param_groups:
                    parameters["lr"] = rate
            batch = draw_batch(data.train, settings.batch * group.size, generator, task.levels)
            mine = batch.part(group.index, group.size).to(group.device)
            value = group.mean(_accumulate(objective, mine, settings.accumulate, settings.precision))
            if not math.isfinite(value):
                raise UPSError(
                    f"{task.name}: the loss is {value} at step {step}; lower stages.{task.name}.learning_rate"
                )
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip).item()
            for optimizer in optimizers:
                optimizer.step()
            _move_average(average, model, min(settings.average, (1 + step) / (10 + step)))
            health.count(time.perf_counter() - started)

            metrics = {"loss": value, "lr": rate, "grad_norm": grad_norm} if group.first else {}
            if step % look_every == 0 or step == steps:
                metrics |= health.look(average, everything=group.first)
            if metrics:
                log(step, **metrics)
            advance(step, value)
            if step % settings.save_every == 0 or step == steps:
                save(step)
        if group.any(interrupted())[0]:
            raise KeyboardInterrupt
    return average


def learning_rate(step: int, schedule: StageConfig, warmup: int) -> float:
    """The learning rate of a step, counted from 1: a linear rise, then half a cosine that ends above 0."""
    if step <= warmup:
        return schedule.learning_rate * step / warmup
    progress = (step - 1 - warmup) / max(1, schedule.steps - warmup)
    return schedule.learning_rate * (1 + math.cos(math.pi * progress)) / 2


class _Objective(nn.Module):
    """A loss as a module, which is what ``torch.compile`` and DDP take. Its parameters are the model's."""

    _of: Callable[[Batch], Tensor]

    def __init__(self, model: nn.Module, loss: Callable[[Batch], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._of = loss

    def forward(self, batch: Batch) -> Tensor:
        return self._of(batch)


def _accumulate(objective: nn.Module, batch: Batch, parts: int, precision: str) -> float:
    """Add up the gradients of a batch's parts, and give the mean loss; between processes only the last part's talk."""
    total = 0.0
    for part in range(parts):
        device = batch.state.device.type
        last = part + 1 == parts
        with objective.no_sync() if isinstance(objective, DistributedDataParallel) and not last else nullcontext():
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = objective(batch.part(part, parts)) / parts
            loss.backward()
        total += loss.item()
    return total


class _Health(Generic[M]):
    """The health of a stage, beyond its loss.

    * ``validation_error``: error of one simulated step over the truth, both in L2 norm, averaged over the validation
      set, of the moving average of the weights;
    * ``ema_drift``: distance between these weights and the latest, over the norm of the latest;
    * ``samples_per_s``: pairs that all processes worked through in a second of training since the last look;
    * ``step_ms``: milliseconds per training step since the last look.
    """

    def __init__(self, task: Task[M], data: Data, batch: int) -> None:
        self._task = task
        self._pairs = pairs_of(data.validation)
        self._batch = batch
        self._steps = 0
        self._seconds = 0.0

    def count(self, seconds: float) -> None:
        """Add the time of a step."""
        self._steps += 1
        self._seconds += seconds

    @torch.no_grad()
    def look(self, average: M, *, everything: bool) -> dict[str, float]:
        """The metrics; ``step_ms`` alone unless ``everything``. The clock starts again."""
        per_step = self._seconds / self._steps
        self._steps, self._seconds = 0, 0.0
        metrics = {"step_ms": 1e3 * per_step}
        if everything:
            before, after = self._pairs
            error = self._task.simulator(average).step(before) - after
            metrics["validation_error"] = (error.norm(dim=1) / after.norm(dim=1)).mean().item()
            metrics["ema_drift"] = _drift(average, self._task.model)
            metrics["samples_per_s"] = self._batch / per_step
        return metrics


def _drift(average: nn.Module, model: nn.Module) -> float:
    pairs = list(zip(average.parameters(), model.parameters(), strict=True))
    apart = sum((mean - weight).square().sum().item() for mean, weight in pairs)
    return math.sqrt(apart / sum(weight.square().sum().item() for _, weight in pairs))


@torch.no_grad()
def _move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move each averaged weight towards the model's: ``decay`` of the old, the rest of the new."""
    for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


@contextmanager
def _interrupts_held_back() -> Iterator[Callable[[], bool]]:
    """Note the first Ctrl-C instead of raising it: an optimizer interrupted half-way cannot be resumed.

    Gives a function that returns True once Ctrl-C was pressed. SIGTERM, which ``torchrun`` and job schedulers send,
    counts as Ctrl-C. Outside the main thread, where Python allows no signal handlers and raises no
    KeyboardInterrupt either, it does nothing.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(signum: int, frame: object) -> None:
        pressed.set()
        signal.signal(signum, before[signal.Signals(signum)])

    for number in before:
        signal.signal(number, note)
    try:
        yield pressed.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
