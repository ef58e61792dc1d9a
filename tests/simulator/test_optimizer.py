"""The optimizers."""

import pytest
import torch
from torch import nn

from ups.simulator.config import load
from ups.simulator.data import seeded
from ups.simulator.model import Refiner
from ups.simulator.optimizer import Muon, make_optimizers


@pytest.mark.parametrize("shape", [(12, 5), (5, 12), (3, 6, 6)])
def test_a_step_moves_every_direction_alike(shape: tuple[int, ...]) -> None:
    """However unlike the singular values of the gradient are, those of the step are all about one."""
    weight = nn.Parameter(torch.zeros(shape))
    optimizer = Muon([weight], lr=0.1)
    weight.grad = torch.randn(shape, generator=seeded(0, "gradient")) * torch.logspace(0, 1, shape[-1])
    optimizer.step()
    values = torch.linalg.svdvals(weight.detach()) / (0.1 * 0.2 * max(shape[-2:]) ** 0.5)
    assert values.min() > 0.5
    assert values.max() < 1.5
    assert (weight.detach() * weight.grad).sum() < 0


def test_a_direction_is_kept_for_a_while() -> None:
    """After a step with a gradient, one without goes on the same way; weight decay alone would not."""
    weight = nn.Parameter(torch.zeros(4, 4))
    optimizer = Muon([weight], lr=0.1)
    weight.grad = torch.eye(4)
    optimizer.step()
    after_one = weight.detach().clone()
    weight.grad = torch.zeros(4, 4)
    optimizer.step()
    assert (weight.detach().diagonal() < 1.5 * after_one.diagonal()).all()


def test_every_weight_has_one_optimizer() -> None:
    """Muon has the matrices inside the network; the lift, the projection and the gains are AdamW's."""
    refiner = Refiner(load("smoke").model)
    muon, adam = make_optimizers(refiner, 1e-3)
    moved = [
        [id(weight) for group in optimizer.param_groups for weight in group["params"]] for optimizer in (muon, adam)
    ]
    assert sorted(moved[0] + moved[1]) == sorted(id(weight) for weight in refiner.parameters())
    assert set(moved[0]) == {id(layer.weight) for layer in refiner.network.layers}


def test_it_goes_on_from_its_state() -> None:
    """Three steps, and one step and then two more from the saved state, end at the same weights."""
    gradients = torch.randn(3, 4, 4, generator=seeded(0, "gradients"))

    def run(weight: nn.Parameter, optimizer: Muon, steps: torch.Tensor) -> None:
        for gradient in steps:
            weight.grad = gradient.clone()
            optimizer.step()

    through = nn.Parameter(torch.eye(4))
    run(through, Muon([through], lr=0.1), gradients)
    first = nn.Parameter(torch.eye(4))
    before = Muon([first], lr=0.1)
    run(first, before, gradients[:1])
    second = nn.Parameter(first.detach().clone())
    after = Muon([second], lr=0.1)
    after.load_state_dict(before.state_dict())
    run(second, after, gradients[1:])
    assert torch.equal(second, through)
