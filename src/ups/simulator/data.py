"""Training, validation and test sets, and the batches drawn from them: the same for the same seed."""

import hashlib
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ups.simulator.config import Config
from ups.simulator.solver import PROBLEMS

__all__ = ["Batch", "Data", "draw_batch", "make_data", "make_test", "pairs_of", "seeded"]

_TEST_SEED = 0
_VALIDATION_FRAMES = 5


@dataclass(frozen=True)
class Data:
    """Solutions of one problem to learn from.

    Attributes:
        train: float32 ``(trajectories, frames, points)``.
        validation: float32 ``(trajectories, 5, points)``, from other initial states.
    """

    train: Tensor
    validation: Tensor


@dataclass(frozen=True)
class Batch:
    """Pairs of states one interval apart, and the random numbers that a loss needs.

    Attributes:
        state, following: float32 ``(batch, points)``.
        level: A noise level for each pair, int64 ``(batch,)``.
        noise: White noise of unit variance, float32 ``(batch, points)``.
    """

    state: Tensor
    following: Tensor
    level: Tensor
    noise: Tensor

    def part(self, index: int, parts: int) -> Self:
        """One of ``parts`` equal parts."""
        size = len(self.state) // parts
        chosen = slice(index * size, (index + 1) * size)
        return type(self)(self.state[chosen], self.following[chosen], self.level[chosen], self.noise[chosen])

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return type(self)(*(field.to(device) for field in (self.state, self.following, self.level, self.noise)))


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, so that no two purposes of one seed draw the same numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def make_data(config: Config) -> Data:
    """Solve the problem for the training and the validation set; takes seconds."""
    problem, sizes = PROBLEMS[config.problem], config.data
    train = problem.trajectories(
        sizes.train_trajectories, sizes.train_frames, sizes.points, seeded(config.seed, "train")
    )
    validation = problem.trajectories(
        sizes.validation_trajectories, _VALIDATION_FRAMES, sizes.points, seeded(config.seed, "validation")
    )
    return Data(train.float(), validation.float())


def make_test(config: Config, *, trajectories: int, steps: int) -> Tensor:
    """Solve the problem for the test set, the same for every seed.

    Returns float64 ``(trajectories, steps + 1, points)``; float64, because the shortest waves are smaller than what
    float32 leaves out.
    """
    problem = PROBLEMS[config.problem]
    return problem.trajectories(trajectories, steps + 1, config.data.points, seeded(_TEST_SEED, "test"))


def pairs_of(states: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs of neighbouring frames of ``(trajectories, frames, points)``, each ``(pairs, points)``."""
    return states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1)


def draw_batch(train: Tensor, size: int, generator: torch.Generator, levels: int = 1) -> Batch:
    """``size`` pairs of neighbouring frames, drawn at random from ``(trajectories, frames, points)``.

    Half of them are reflected, ``u(x) → -u(-x)``, which takes solutions to solutions in both problems. Chance is drawn
    on the CPU, so that it is the same whatever device ``train`` is on.
    """
    trajectories, frames, points = train.shape
    trajectory = torch.randint(trajectories, (size,), generator=generator)
    frame = torch.randint(frames - 1, (size,), generator=generator)
    reflected = (torch.rand(size, 1, generator=generator) < 0.5).to(train.device)
    level = torch.randint(levels, (size,), generator=generator)
    noise = torch.randn(size, points, generator=generator)
    state, following = train[trajectory, frame], train[trajectory, frame + 1]
    return Batch(
        torch.where(reflected, -state.flip(-1), state),
        torch.where(reflected, -following.flip(-1), following),
        level,
        noise,
    )
