"""The two networks that models are built on, behind one interface.

Both map fields on a circle to one field, at a noise level per sample. Each level has its own
scale and shift of every layer (FiLM: Perez et al., AAAI 2018). Inside, the points come first, as in ``(points, batch,
width)``: a shift along the circle is then a run of whole rows.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ups.simulator.config import DilatedConfig, FourierConfig, ModelConfig

__all__ = ["Backbone", "DilatedNetwork", "FourierNetwork", "make_backbone"]


class Backbone(nn.Module):
    """The shared part of the networks: channels in, residual layers, one channel out.

    A subclass defines the layers, each from and to ``(points, batch, width)``.
    """

    def __init__(self, inputs: int, levels: int, width: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.lift = nn.Linear(inputs, width)
        self.layers = nn.ModuleList(layers)
        self.modulation = nn.Parameter(torch.zeros(levels, len(layers), 2, width))
        self.project = nn.Linear(width, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, channels: Tensor, level: Tensor) -> Tensor:
        """``(batch, points, inputs)`` and integer levels ``(batch,)`` to ``(batch, points)``."""
        hidden = self.lift(channels.transpose(0, 1))
        modulation = self.modulation[level]
        for index, layer in enumerate(self.layers):
            scale, shift = modulation[:, index].unbind(dim=1)
            hidden = hidden + F.gelu(torch.addcmul(shift, layer(hidden), 1 + scale))
        result: Tensor = self.project(hidden).squeeze(-1).transpose(0, 1)
        return result


class DilatedNetwork(Backbone):
    """A residual network of dilated convolutions on a circle. A layer sees ``kernel`` points."""

    def __init__(self, inputs: int, levels: int, config: DilatedConfig) -> None:
        layers: list[nn.Module] = [_Circular(config.width, config.kernel, dilation) for dilation in config.dilations]
        super().__init__(inputs, levels, config.width, layers)


class FourierNetwork(Backbone):
    """A Fourier neural operator (Li et al., ICLR 2021): each layer mixes channels mode by mode, and point by point."""

    def __init__(self, inputs: int, levels: int, config: FourierConfig) -> None:
        layers: list[nn.Module] = [_Spectral(config.width, config.modes) for _ in range(config.layers)]
        super().__init__(inputs, levels, config.width, layers)


def make_backbone(config: ModelConfig, inputs: int, levels: int) -> Backbone:
    """The network that a configuration names, with random weights and an output of zero."""
    if config.backbone == "fno":
        return FourierNetwork(inputs, levels, config.fno)
    return DilatedNetwork(inputs, levels, config.dilated)


class _Circular(nn.Module):
    """A dilated convolution on a circle, from and to ``(points, batch, width)``."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        bound = (kernel * width) ** -0.5  # as nn.Linear and nn.Conv1d begin
        self.weight = nn.Parameter(torch.empty(kernel * width, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))

    def forward(self, hidden: Tensor) -> Tensor:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        weight = self.weight.to(dtype).view(self.kernel, -1, len(self.bias))
        result: Tensor = _CircularConvolution.apply(  # type: ignore[no-untyped-call]
            hidden.to(dtype), weight, self.bias.to(dtype), self.dilation
        )
        return result


class _CircularConvolution(torch.autograd.Function):
    """``out[n] = bias + Σ_k hidden[n + (k - K // 2)·dilation] @ weight[k]``, indices modulo the number of points.

    One matrix product per tap on runs of rows, without copies of the taps: faster on a CPU than copies and one product,
    and than a dilated ``Conv1d``.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        points, batch, width = hidden.shape
        kernel = len(weight)
        around = kernel // 2 * dilation
        rows = torch.cat([hidden[points - around :], hidden, hidden[:around]]).view(-1, width)
        out = torch.addmm(bias, rows[: points * batch], weight[0])
        for tap in range(1, kernel):
            start = tap * dilation * batch
            out.addmm_(rows[start : start + points * batch], weight[tap])
        ctx.save_for_backward(rows, weight)
        ctx.shape = (points, batch, width, dilation)
        return out.view(points, batch, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight = ctx.saved_tensors
        points, batch, width, dilation = ctx.shape
        gradient = gradients[0].reshape(points * batch, -1)
        of_rows, of_weight = torch.zeros_like(rows), torch.empty_like(weight)
        for tap in range(len(weight)):
            start = tap * dilation * batch
            torch.mm(rows[start : start + points * batch].T, gradient, out=of_weight[tap])
            of_rows[start : start + points * batch].addmm_(gradient, weight[tap].T)
        around = len(weight) // 2 * dilation
        of_rows = of_rows.view(-1, batch, width)
        of_hidden = of_rows[around : around + points]
        of_hidden[points - around :] += of_rows[:around]
        of_hidden[:around] += of_rows[around + points :]
        return of_hidden, of_weight, gradient.sum(dim=0), None


class _Spectral(nn.Module):
    """A layer of a Fourier neural operator, from and to ``(points, batch, width)``: it mixes the longest waves."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.point = nn.Linear(width, width)
        # Real parts, then imaginary parts: optimizers and DDP take real parameters.
        self.weight = nn.Parameter(torch.randn(modes, width, 2 * width) / width)

    def forward(self, hidden: Tensor) -> Tensor:
        points = len(hidden)
        with torch.autocast(hidden.device.type, enabled=False):  # there is no Fourier transform in bfloat16
            spectrum = torch.fft.rfft(hidden.float(), dim=0)[: len(self.weight)]
            mixed = torch.bmm(spectrum, torch.complex(*self.weight[: len(spectrum)].chunk(2, dim=-1)))
            result: Tensor = torch.fft.irfft(mixed, n=points, dim=0)
            result = result.to(hidden.dtype)
        mixed_points: Tensor = self.point(hidden)
        return result + mixed_points
