"""The optimizers: Muon for the matrices inside a network, AdamW for everything else."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "make_optimizers"]

# The quintic of Jordan's Newton-Schulz iteration: it takes singular values in (0, 1] to about 1 in five rounds.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
_RMS_OF_ADAMW = 0.2
_MOMENTUM = 0.95  # decay a step of the average of the gradients
_WEIGHT_DECAY = 0.01  # as for AdamW


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: every direction of a matrix moves as fast as every other.

    After Jordan et al. (https://kellerjordan.github.io/posts/muon, 2024), with the weight decay and the scale of Liu et
    al. (Muon is scalable for LLM training, 2025), which give an update the size of AdamW's, for the same learning rate.
    The parameters are matrices, or stacks of them: ``(…, rows, columns)``.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(list(parameters), {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape].append(weight)
            for shape, weights in alike.items():
                steps = torch.stack([self._direction(weight) for weight in weights])
                scale = group["lr"] * _RMS_OF_ADAMW * math.sqrt(max(shape[-2:]))
                for weight, step in zip(weights, _orthogonalised(steps), strict=True):
                    weight.mul_(1 - group["lr"] * _WEIGHT_DECAY).add_(step, alpha=-scale)

    def _direction(self, weight: nn.Parameter) -> Tensor:
        assert weight.grad is not None
        state = self.state[weight]
        if "average" not in state:
            state["average"] = torch.zeros_like(weight)
        average: Tensor = state["average"]
        average.lerp_(weight.grad, 1 - _MOMENTUM)
        return weight.grad.lerp(average, _MOMENTUM)  # as Nesterov looks ahead


def make_optimizers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers of ``model.network``, AdamW for all other parameters."""
    layers = model.get_submodule("network.layers")
    matrices = [weight for weight in layers.parameters() if weight.ndim >= 2]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in inside]
    return [Muon(matrices, lr), torch.optim.AdamW(others, lr)]


def _orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest matrices with orthonormal rows or columns, roughly, of ``(…, rows, columns)``."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    found: Tensor = matrices if wide else matrices.mT
    found = found / (found.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    first, third, fifth = _QUINTIC
    for _ in range(_ROUNDS):
        square = found @ found.mT
        found = first * found + (third * square + fifth * square @ square) @ found
    return found if wide else found.mT
