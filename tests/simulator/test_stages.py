"""The losses, on models whose answers are known."""

import dataclasses

import pytest
import torch

from ups.simulator.config import Config
from ups.simulator.data import Batch, seeded
from ups.simulator.model import Operator, Refiner, high_pass
from ups.simulator.stages import consistency_loss, diffusion_loss, operator_loss, operator_residual


def constant_operator(config: Config, change: float) -> Operator:
    """An operator that predicts the same change everywhere, in units of 0.5."""
    operator = Operator(config.model)
    operator.scales.change.fill_(0.5)
    torch.nn.init.constant_(operator.network.project.bias, change)
    return operator


def pairs(config: Config, change: float) -> Batch:
    """Sixteen random states, each followed by itself with a constant added; levels and noise are drawn."""
    draw = seeded(0, "states")
    state = torch.randn(16, config.data.points, generator=draw)
    level = torch.randint(3, (16,), generator=draw)
    return Batch(state, state + change, level, torch.randn(state.shape, generator=draw))


def test_the_operator_is_scored_by_its_error_in_the_change(tiny: Config) -> None:
    """The loss is the mean square of what the prediction is off by, in units of the change's scale."""
    operator = constant_operator(tiny, 0.4)
    right, off = pairs(tiny, 0.2), pairs(tiny, 0.35)
    assert operator_loss(operator, operator, right).item() == pytest.approx(0, abs=1e-10)
    assert operator_loss(operator, operator, off).item() == pytest.approx(0.09, rel=1e-4)
    assert operator_residual(operator, off).item() == pytest.approx(0.3, rel=1e-4)


def test_a_refiner_that_sees_no_noise_is_off_by_all_of_it(tiny: Config) -> None:
    """The target is noise of unit variance at every level, so an estimate of nothing costs one."""
    refiner = Refiner(tiny.model)
    torch.nn.init.zeros_(refiner.gain)
    batch = pairs(tiny, 0.2)
    loss = diffusion_loss(refiner, refiner, batch).item()
    assert loss == pytest.approx(batch.noise.square().mean().item(), rel=1e-5)
    assert loss == pytest.approx(1, abs=0.2)


def test_denoising_takes_away_the_noise_it_estimates(tiny: Config) -> None:
    """A change is moved by the estimate times the level's noise; short waves are all taken for noise at first."""
    refiner = Refiner(tiny.model)
    points = torch.arange(tiny.data.points)
    shortest = (1.0 - 2.0 * (points % 2)).expand(3, -1)
    constant = torch.full((3, tiny.data.points), 0.7)
    levels = torch.arange(3)
    state = torch.zeros(3, tiny.data.points)
    torch.testing.assert_close(high_pass(shortest), shortest)
    torch.testing.assert_close(refiner.denoise(state, constant + shortest, levels), constant)
    torch.nn.init.constant_(refiner.network.project.bias, 1.0)
    torch.testing.assert_close(refiner.denoise(state, constant, levels), constant - refiner.noise[:, None])


def test_a_student_must_agree_with_itself_and_end_at_the_truth(tiny: Config) -> None:
    """Where denoising changes nothing, the student agrees with itself; at the last level, noise is an error."""
    operator, refiner = constant_operator(tiny, 0.3), Refiner(tiny.model)
    torch.nn.init.zeros_(refiner.gain)
    batch = pairs(tiny, 0.2)
    rough = 0.1 * torch.randn(batch.state.shape, generator=seeded(1, ""))
    batch = dataclasses.replace(batch, following=batch.following + rough)
    loss = consistency_loss(refiner, operator, batch)

    def at(level: int, noise: float) -> float:
        levels = torch.full_like(batch.level, level)
        return loss(refiner, refiner, dataclasses.replace(batch, level=levels, noise=noise * batch.noise)).item()

    assert [at(level, 1.0) for level in (0, 1)] == pytest.approx([0, 0], abs=1e-9)
    assert at(2, 0.0) == pytest.approx(0, abs=1e-9)
    assert at(2, 1.0) > at(2, 0.5) > 0.001
    off_by_a_constant = Refiner(tiny.model)
    torch.nn.init.zeros_(off_by_a_constant.gain)
    torch.nn.init.constant_(off_by_a_constant.network.project.bias, 1.0)
    first = dataclasses.replace(batch, level=torch.zeros_like(batch.level))
    assert loss(off_by_a_constant, refiner, first).item() > 0.01
