"""The one training loop, used by every stage."""

import copy
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ups.errors import UPSError
from ups.simulator.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ups.simulator.config import Config, StageConfig
from ups.simulator.data import Batch, draw_batch, seeded

__all__ = ["Task", "learning_rate", "train"]

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Task(Generic[M]):
    """A stage to train.

    Attributes:
        name: of the stage.
        model: what is trained, in place.
        loss: of the model, the moving average of its weights, a batch and a generator; a scalar.
        schedule: how many steps, and how fast.
    """

    name: str
    model: M
    loss: Callable[[M, M, Batch, torch.Generator], Tensor]
    schedule: StageConfig


class Log(Protocol):
    """Takes the metrics of a step, as the ``log`` of a tracker's stage does."""

    def __call__(self, step: int, /, *, loss: float, lr: float, grad_norm: float) -> object: ...


class Advance(Protocol):
    """Is told after each step how far a stage is: a progress bar."""

    def __call__(self, step: int, loss: float, /) -> object: ...


def train(
    task: Task[M],
    states: Tensor,
    config: Config,
    checkpoint: Path,
    *,
    log: Log,
    advance: Advance,
    should_stop: Callable[[], bool],
) -> M | None:
    """Train one stage to its end, going on from its checkpoint if there is one.

    Going on gives the same weights, bit for bit, as never having stopped. Ctrl-C is held back until the step in
    progress is done; then the checkpoint is written and KeyboardInterrupt raised. A second Ctrl-C does not wait.

    Args:
        task: the stage.
        states: training solutions, float32 ``(trajectories, frames, points)``.
        config: of the whole run.
        checkpoint: the stage's file, written every ``training.save_every`` steps, at the end and when stopped.
        log: called after each step, steps counted from 1.
        advance: called after each step.
        should_stop: asked before each step; true ends the stage early, its checkpoint written.

    Returns:
        The moving average of the model; None if ``should_stop`` ended the stage early.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        UPSError: the loss is not finite.
        RunDirectoryError: the checkpoint cannot be read or written.
    """
    settings, model = config.training, task.model
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.schedule.learning_rate)
    generator = seeded(config.seed, f"stage/{task.name}")
    done = 0
    saved = load_checkpoint(checkpoint)
    if saved is not None:
        model.load_state_dict(saved.model)
        average.load_state_dict(saved.average)
        optimizer.load_state_dict(saved.optimizer)
        generator.set_state(saved.generator)
        done = saved.step

    def save(step: int) -> None:
        state = Checkpoint(
            task.name,
            step,
            task.schedule.steps,
            config,
            model.state_dict(),
            average.state_dict(),
            optimizer.state_dict(),
            generator.get_state(),
        )
        save_checkpoint(checkpoint, state)

    with _interrupts_held_back() as interrupted:
        for step in range(done + 1, task.schedule.steps + 1):
            if interrupted() or should_stop():
                save(step - 1)
                if interrupted():
                    raise KeyboardInterrupt
                return None
            rate = learning_rate(step, task.schedule, settings.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = task.loss(model, average, draw_batch(states, settings.batch, generator), generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            _move_average(average, model, min(settings.average, (1 + step) / (10 + step)))

            value = loss.item()
            if not math.isfinite(value):
                raise UPSError(
                    f"{task.name}: the loss is {value} at step {step}; lower stages.{task.name}.learning_rate"
                )
            log(step, loss=value, lr=rate, grad_norm=grad_norm.item())
            advance(step, value)
            if step % settings.save_every == 0 or step == task.schedule.steps:
                save(step)
        if interrupted():
            raise KeyboardInterrupt
    return average


def learning_rate(step: int, schedule: StageConfig, warmup: int) -> float:
    """The learning rate of a step, counted from 1: a linear rise, then half a cosine that ends above 0."""
    if step <= warmup:
        return schedule.learning_rate * step / warmup
    progress = (step - 1 - warmup) / max(1, schedule.steps - warmup)
    return schedule.learning_rate * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def _move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move each averaged weight towards the model's: ``decay`` of the old, the rest of the new."""
    for mean, weight in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)


@contextmanager
def _interrupts_held_back() -> Iterator[Callable[[], bool]]:
    """Note the first Ctrl-C instead of raising it: an optimizer interrupted half-way cannot be resumed.

    Gives a function that says whether Ctrl-C was pressed. Outside the main thread, where Python allows no signal
    handlers and raises no KeyboardInterrupt either, it does nothing.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def note(signum: int, frame: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
