"""What each stage learns: one loss function a stage, for the one training loop.

A loss gets the model, the moving average of its weights, a batch and a random generator, and returns a scalar.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ups.simulator.data import Batch
from ups.simulator.model import Operator, Refiner

__all__ = ["consistency_loss", "diffusion_loss", "operator_loss", "operator_residual"]


def true_change(model: Operator | Refiner, batch: Batch) -> Tensor:
    """What the models are to predict: the change between the states of each pair, ``(batch, points)``."""
    change: Tensor = (batch.following - batch.state) / model.scales.change
    return change


def operator_loss(model: Operator, average: Operator, batch: Batch, generator: torch.Generator) -> Tensor:
    """Mean squared error of the predicted change."""
    return _mean_square(model(batch.state) - true_change(model, batch))


@torch.no_grad()
def operator_residual(operator: Operator, batch: Batch) -> Tensor:
    """Root mean square of the operator's error in the change: the unit of the noise levels."""
    return _mean_square(operator(batch.state) - true_change(operator, batch)).sqrt()


def diffusion_loss(model: Refiner, average: Refiner, batch: Batch, generator: torch.Generator) -> Tensor:
    """Mean squared error of the noise seen in a true change with noise, its level drawn at random."""
    change = true_change(model, batch)
    level = torch.randint(model.levels, (len(change),), generator=generator)
    noise = torch.randn(change.shape, generator=generator)
    noisy = change + model.noise[level][:, None] * noise
    return _mean_square(model(batch.state, noisy, level) - noise)


def consistency_loss(
    teacher: Refiner, operator: Operator
) -> Callable[[Refiner, Refiner, Batch, torch.Generator], Tensor]:
    """The loss that makes one evaluation do what the teacher does in all of its levels.

    A noisy change, its level drawn at random, is taken one level on by the teacher. The student at the first of
    the two must agree with the moving average of itself at the second; after the last level there is nothing left
    to match but the teacher. At the first level, where inference starts, the operator's prediction takes the place
    of the noisy change. The squared error of each Fourier mode is divided by the mode's own power, so that the
    short waves count, and its logarithm taken, so that a mode that is far off does not drown the others.
    """

    def loss(model: Refiner, average: Refiner, batch: Batch, generator: torch.Generator) -> Tensor:
        change = true_change(model, batch)
        level = torch.randint(model.levels, (len(change),), generator=generator)
        noise = torch.randn(change.shape, generator=generator)
        with torch.no_grad():
            noisy = change + model.noise[level][:, None] * noise
            noisy = torch.where((level == 0)[:, None], operator(batch.state), noisy)
            cleaner = teacher.denoise(batch.state, noisy, level)
            following = (level + 1).clamp(max=model.levels - 1)
            agreed = average.denoise(batch.state, cleaner, following)
            target = torch.where((level + 1 < model.levels)[:, None], agreed, cleaner)
        error = _power(model.denoise(batch.state, noisy, level) - target)
        return torch.log1p(error / _power(target)).mean()

    return loss


def _mean_square(error: Tensor) -> Tensor:
    return error.square().mean()


def _power(field: Tensor) -> Tensor:
    """Mean power over the batch of each mode but the mean and the shortest wave, ``(points // 2 - 1,)``."""
    power: Tensor = torch.fft.rfft(field)[:, 1:-1].abs().square().mean(dim=0)
    return power
