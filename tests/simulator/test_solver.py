"""The solver against an exact solution, its order, and the symmetry that training relies on."""

import math

import pytest
import torch
from torch import Tensor

from ups.errors import ConfigError
from ups.simulator.solver import ETDRK4, PROBLEMS, burgers_symbol, kuramoto_sivashinsky_symbol, resample


def cole_hopf(grid: Tensor, time: float, viscosity: float) -> Tensor:
    """Burgers' ``u = -2ν φ_x / φ`` for a ``φ`` that solves the heat equation and is positive everywhere."""
    slow, fast = math.exp(-viscosity * time), math.exp(-4 * viscosity * time)
    heat = 2 + slow * torch.cos(grid) + 0.5 * fast * torch.sin(2 * grid)
    slope = -slow * torch.sin(grid) + fast * torch.cos(2 * grid)
    return -2 * viscosity * slope / heat


def test_burgers_agrees_with_the_exact_solution_of_cole_and_hopf() -> None:
    """Smooth solutions of Burgers come out to nearly all digits."""
    viscosity, points = 0.05, 128
    grid = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
    solver = ETDRK4(burgers_symbol(viscosity), 2 * math.pi, points, 0.01)
    spectrum = solver.advance(torch.fft.rfft(cole_hopf(grid, 0, viscosity)), 200)
    exact = cole_hopf(grid, 2, viscosity)
    moved = (exact - cole_hopf(grid, 0, viscosity)).norm() / exact.norm()
    error = (torch.fft.irfft(spectrum, n=points) - exact).norm() / exact.norm()
    assert moved > 0.1
    assert error < 1e-9


def test_a_shocked_burgers_solution_agrees_with_a_finer_grid() -> None:
    """The grid of the Burgers data resolves its steepest fronts."""
    problem = PROBLEMS["burgers"]
    coarse = torch.fft.rfft(problem.initial_states(4, torch.Generator().manual_seed(1)))
    fine = torch.zeros(4, problem.solver_points + 1, dtype=coarse.dtype)
    fine[:, : coarse.shape[1]] = 2 * coarse
    step = problem.interval / problem.solver_steps
    steps = round(1.0 / step)
    ends = [
        resample(ETDRK4(problem.symbol, problem.length, points, step).advance(start, steps), points, 128)
        for start, points in ((coarse, problem.solver_points), (fine, 2 * problem.solver_points))
    ]
    assert (ends[0] - ends[1]).norm() / ends[1].norm() < 1e-5


def test_kuramoto_sivashinsky_converges_with_the_order_of_the_scheme() -> None:
    """Halving the time step divides the error by between 2³ and 2⁴, or a little more."""
    problem = PROBLEMS["ks"]
    start = torch.fft.rfft(problem.trajectories(4, 1, 128, torch.Generator().manual_seed(0))[:, 0])
    ends = [
        ETDRK4(kuramoto_sivashinsky_symbol, problem.length, 128, 2.0 / steps).advance(start, steps)
        for steps in (20, 40, 80)
    ]
    order = math.log2(((ends[0] - ends[1]).norm() / (ends[1] - ends[2]).norm()).item())
    assert 3 <= order <= 4.3


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_a_reflected_solution_is_a_solution(name: str) -> None:
    """``u(x) → -u(-x)`` commutes with time, so training may reflect its pairs."""
    problem = PROBLEMS[name]
    states = problem.initial_states(3, torch.Generator().manual_seed(0))
    solver = ETDRK4(problem.symbol, problem.length, problem.solver_points, problem.interval / problem.solver_steps)

    def later(field: Tensor) -> Tensor:
        return resample(solver.advance(torch.fft.rfft(field), 20), problem.solver_points, problem.solver_points)

    torch.testing.assert_close(later(-states.flip(-1)), -later(states).flip(-1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_trajectories_are_finite_distinct_and_the_same_for_the_same_generator(name: str) -> None:
    """The same seed gives the same solutions, every one of them finite and different from the others."""
    first, second = (PROBLEMS[name].trajectories(3, 4, 64, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (3, 4, 64)
    assert first.dtype == torch.float64
    assert torch.equal(first, second)
    assert torch.isfinite(first).all()
    assert (first[0] - first[1]).norm() / first[0].norm() > 0.1


def test_resampling_keeps_the_long_waves_and_drops_the_others() -> None:
    """A wave that the coarse grid holds stays as it is; one that it cannot hold leaves no alias."""
    fine, coarse = (2 * math.pi * torch.arange(points, dtype=torch.float64) / points for points in (64, 16))
    kept = resample(torch.fft.rfft(sum(torch.cos(wave * fine) for wave in (3, 7, 8, 13))), 64, 16)
    torch.testing.assert_close(kept, torch.cos(3 * coarse) + torch.cos(7 * coarse))


def test_a_product_leaves_no_alias() -> None:
    """The square of a wave that the grid holds, itself too short for the grid, does not come back as a long one."""
    points = 32
    grid = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
    solver = ETDRK4(burgers_symbol(0.1), 2 * math.pi, points, 0.1)
    assert solver.nonlinear(torch.fft.rfft(torch.cos(4 * grid))).abs().max() > 1
    assert solver.nonlinear(torch.fft.rfft(torch.cos(10 * grid))).abs().max() < 1e-9


@pytest.mark.parametrize("points", [2, 63, 512])
def test_a_grid_that_does_not_fit_the_solver_is_refused(points: int) -> None:
    """Too few points, an odd number or more than the solver has is a ConfigError that says the range."""
    with pytest.raises(ConfigError, match="from 8 to 256"):
        PROBLEMS["ks"].trajectories(1, 1, points, torch.Generator())


def test_kuramoto_sivashinsky_balances_its_energy() -> None:
    """``d/dt <u²>/2 = <u_x²> - <u_xx²>``: transport only moves energy; and the mean of ``u`` stays as it is."""
    problem = PROBLEMS["ks"]
    points, step, steps = problem.solver_points, 0.01, 100
    solver = ETDRK4(problem.symbol, problem.length, points, step)
    start = problem.trajectories(4, 1, points, torch.Generator().manual_seed(0))[:, 0]
    spectra = [torch.fft.rfft(start)]
    for _ in range(steps):
        spectra.append(solver.advance(spectra[-1], 1))
    wavenumbers = 2 * math.pi * torch.arange(points // 2 + 1, dtype=torch.float64) / problem.length
    slope, bend = (
        torch.stack([torch.fft.irfft(factor * spectrum, n=points) for spectrum in spectra]).square().mean(dim=-1)
        for factor in (1j * wavenumbers, -(wavenumbers**2))
    )
    energy = torch.stack([torch.fft.irfft(spectrum, n=points) for spectrum in spectra]).square().mean(dim=-1) / 2
    gained = torch.trapezoid(slope - bend, dx=step, dim=0)
    assert gained.abs().max() > 0.05
    torch.testing.assert_close(energy[-1] - energy[0], gained, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(spectra[-1][:, 0], spectra[0][:, 0], rtol=0, atol=1e-9)
