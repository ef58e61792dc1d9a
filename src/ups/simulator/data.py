"""Training and test sets, and the batches drawn from them: the same for the same seed."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.simulator.config import Config
from ups.simulator.solver import PROBLEMS

__all__ = ["Batch", "Data", "draw_batch", "make_data", "seeded"]

_TEST_SEED = 0


@dataclass(frozen=True)
class Data:
    """Solutions of one problem.

    Attributes:
        train: float32 ``(trajectories, frames, points)``.
        test: float64 ``(trajectories, steps + 1, points)``, from other initial states; float64, because the
            shortest waves are smaller than what float32 leaves out.
    """

    train: Tensor
    test: Tensor


@dataclass(frozen=True)
class Batch:
    """Pairs of states one interval apart, each float32 ``(batch, points)``."""

    state: Tensor
    following: Tensor


def seeded(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, so that no two purposes of one seed draw the same numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def make_data(config: Config) -> Data:
    """Solve the problem for the training and the test set; takes seconds."""
    problem, sizes = PROBLEMS[config.problem], config.data
    train = problem.trajectories(
        sizes.train_trajectories, sizes.train_frames, sizes.points, seeded(config.seed, "train")
    )
    test = problem.trajectories(sizes.test_trajectories, sizes.test_steps + 1, sizes.points, seeded(_TEST_SEED, "test"))
    return Data(train.float(), test)


def draw_batch(train: Tensor, size: int, generator: torch.Generator) -> Batch:
    """``size`` pairs of neighbouring frames, drawn at random from ``(trajectories, frames, points)``.

    Half of them are reflected, ``u(x) → -u(-x)``, which takes solutions to solutions in both problems.
    """
    trajectories, frames, _ = train.shape
    trajectory = torch.randint(trajectories, (size,), generator=generator)
    frame = torch.randint(frames - 1, (size,), generator=generator)
    reflected = torch.rand(size, 1, generator=generator) < 0.5
    state, following = train[trajectory, frame], train[trajectory, frame + 1]
    return Batch(
        torch.where(reflected, -state.flip(-1), state),
        torch.where(reflected, -following.flip(-1), following),
    )
