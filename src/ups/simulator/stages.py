"""The loss of each stage, for the one training loop.

A loss gets the model, the moving average of its weights and a batch, and returns a scalar. Every loss is a mean over
the batch, so that parts of a batch, in other processes or one after the other, add up to it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ups.simulator.data import Batch
from ups.simulator.model import Operator, Refiner

__all__ = ["consistency_loss", "diffusion_loss", "operator_loss", "operator_residual", "true_change"]


def true_change(model: Operator | Refiner, batch: Batch) -> Tensor:
    """The change that the models are to predict: that between the states of each pair, ``(batch, points)``."""
    change: Tensor = (batch.following - batch.state) / model.scales.change
    return change


def operator_loss(model: Operator, average: Operator, batch: Batch) -> Tensor:
    """Mean squared error of the predicted change."""
    return _mean_square(model(batch.state) - true_change(model, batch))


@torch.no_grad()
def operator_residual(operator: Operator, batch: Batch) -> Tensor:
    """Root mean square of the operator's error in the change: the unit of the noise levels."""
    return _mean_square(operator(batch.state) - true_change(operator, batch)).sqrt()


def diffusion_loss(model: Refiner, average: Refiner, batch: Batch) -> Tensor:
    """Mean squared error of the noise seen in a true change with noise, its level drawn at random."""
    noisy = true_change(model, batch) + model.noise[batch.level][:, None] * batch.noise
    return _mean_square(model(batch.state, noisy, batch.level) - batch.noise)


def consistency_loss(
    teacher: Refiner, operator: Operator, reference: Batch
) -> Callable[[Refiner, Refiner, Batch], Tensor]:
    """The loss that makes one evaluation do what the teacher does in all of its levels.

    A noisy change, its level drawn at random, is taken one level on by the teacher. The student at the first of
    the two must agree with the moving average of itself at the second; at the last level, with the true change, which
    is the boundary condition of a consistency model (Song et al., ICML 2023). At the first level, where inference
    starts, the operator's prediction takes the place of the noisy change.

    The squared error of each Fourier mode counts twice. Over the power of the operator's own error in that mode, it
    keeps the mean and the long waves as right as the operator has them, so that a simulation stays on its way. Over the
    mode's own power it makes the short waves count; its logarithm is taken, so that a mode far off does not drown the
    others. That leaves out the mean, which an equation may conserve, and the shortest wave. Both powers are measured on
    the ``reference`` pairs.
    """
    with torch.no_grad():
        change = true_change(operator, reference)
        power = _modes(change).mean(dim=0)[1:-1]
        missed = _modes(operator(reference.state) - change).mean(dim=0)

    def loss(model: Refiner, average: Refiner, batch: Batch) -> Tensor:
        level, last = batch.level, model.levels - 1
        with torch.no_grad():
            true = true_change(model, batch)
            noisy = true + model.noise[level][:, None] * batch.noise
            noisy = torch.where((level == 0)[:, None], operator(batch.state), noisy)
            cleaner = teacher.denoise(batch.state, noisy, level)
            agreed = average.denoise(batch.state, cleaner, (level + 1).clamp(max=last))
            target = torch.where((level < last)[:, None], agreed, true)
        error = _modes(model.denoise(batch.state, noisy, level) - target)
        return torch.log1p(error[:, 1:-1] / power).mean() + (error / missed).mean()

    return loss


def _mean_square(error: Tensor) -> Tensor:
    return error.square().mean()


def _modes(field: Tensor) -> Tensor:
    """Power of each Fourier mode from the mean to the shortest wave, ``(batch, points // 2 + 1)``."""
    modes: Tensor = torch.fft.rfft(field.float())
    return modes.real.square() + modes.imag.square()
