"""Trained models as simulators: functions that take a state one interval on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.simulator.model import Operator, Refiner

__all__ = ["Simulator", "operator_simulator", "refined_simulator"]


@dataclass(frozen=True)
class Simulator:
    """Something that takes states one interval on.

    Attributes:
        step: States ``(batch, points)`` to the states one interval later, same shape and type.
        evaluations: The network evaluations of one ``step`` (nfe).
    """

    name: str
    step: Callable[[Tensor], Tensor]
    evaluations: int


def operator_simulator(name: str, operator: Operator) -> Simulator:
    """A state plus the change that the operator predicts: one evaluation."""

    def step(state: Tensor) -> Tensor:
        result: Tensor = state + operator.scales.change * operator(state)
        return result

    return Simulator(name, step, 1)


def refined_simulator(name: str, operator: Operator, refiner: Refiner, levels: int) -> Simulator:
    """The operator's change, refined at the first ``levels`` noise levels in turn: one more evaluation for each.

    No noise is added on the way, so a state has one future.
    """

    def step(state: Tensor) -> Tensor:
        change = operator(state)
        for level in range(levels):
            change = refiner.denoise(state, change, torch.full((len(state),), level, device=state.device))
        result: Tensor = state + refiner.scales.change * change
        return result

    return Simulator(name, step, 1 + levels)
