"""The models: an operator and a refiner, each on a backbone of its own.

Both work with the *change* of a state over one interval, ``d = (u(t + Δt) - u(t)) / scale``, where ``scale`` is
the standard deviation of that change over the training set.
"""

import torch
from torch import Tensor, nn

from ups.simulator.backbones import make_backbone
from ups.simulator.config import ModelConfig

__all__ = ["Operator", "Refiner", "Scales"]


class Scales(nn.Module):
    """Standard deviations over the training set: of a state, and of its change over one interval."""

    state: Tensor
    change: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.ones(()))
        self.register_buffer("change", torch.ones(()))

    def measure(self, train: Tensor) -> None:
        """Take both from solutions ``(trajectories, frames, points)``."""
        self.state.copy_(train.std())
        self.change.copy_((train[:, 1:] - train[:, :-1]).std())


class Operator(nn.Module):
    """Predicts the change of a state over one interval, in one evaluation of the network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scales = Scales()
        self.network = make_backbone(config, inputs=1, levels=1)

    def forward(self, state: Tensor) -> Tensor:
        """States ``(batch, points)`` to their changes, in units of ``scales.change``."""
        level = torch.zeros(len(state), dtype=torch.long, device=state.device)
        result: Tensor = self.network((state / self.scales.state)[..., None], level)
        return result


class Refiner(nn.Module):
    """Estimates the noise in a noisy change, given the state that it belongs to.

    After PDE-Refiner (Lippe et al., NeurIPS 2023): noise far below the operator's own error makes a network
    learn the short waves that a squared error never asks for. The shortest waves of a noisy change are all noise;
    they are taken out by a linear filter with one learned gain per level, and the network sees what it passes.
    """

    noise: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.scales = Scales()
        self.register_buffer("noise", torch.tensor(config.noise_levels))
        self.gain = nn.Parameter(torch.ones(len(config.noise_levels)))
        self.network = make_backbone(config, inputs=3, levels=len(config.noise_levels))

    @property
    def levels(self) -> int:
        """The number of noise levels; level 0 is the noisiest."""
        return len(self.noise)

    def forward(self, state: Tensor, change: Tensor, level: Tensor) -> Tensor:
        """The noise in ``change`` at each ``level``, in units of its standard deviation, ``(batch, points)``.

        ``state`` and ``change`` are ``(batch, points)``, ``change`` in units of ``scales.change``; ``level`` holds
        integers ``(batch,)``.
        """
        short = high_pass(change) / self.noise[level][:, None]
        channels = torch.stack([state / self.scales.state, change, short], dim=-1)
        result: Tensor = self.gain[level][:, None] * short + self.network(channels, level)
        return result

    def denoise(self, state: Tensor, change: Tensor, level: Tensor) -> Tensor:
        """``change`` without the noise that :meth:`forward` sees in it."""
        noise: Tensor = self(state, change, level)
        return change - self.noise[level][:, None] * noise


def high_pass(field: Tensor) -> Tensor:
    """The eighth difference along the last dimension: ``sin⁸(πk/n)`` of mode ``k`` of ``n`` points.

    The shortest wave passes as it is, long ones hardly at all.
    """
    for _ in range(4):
        field = (2 * field - torch.roll(field, 1, dims=-1) - torch.roll(field, -1, dims=-1)) / 4
    return field
