"""Scores of simulators whose scores are known."""

import math

import pytest
import torch
from torch import Tensor

from ups.simulator.evaluate import evaluate, roll_out
from ups.simulator.simulators import Simulator
from ups.simulator.solver import ETDRK4, Problem, kuramoto_sivashinsky_symbol, resample

POINTS = 64
PROBLEM = Problem("test", kuramoto_sivashinsky_symbol, 32.0, 0.5, 2 * POINTS, 5, 20.0, 6)


@pytest.fixture(scope="module")
def truth() -> Tensor:
    """Eight solutions of 31 frames."""
    return PROBLEM.trajectories(8, 31, POINTS, torch.Generator().manual_seed(0))


def solver_step(state: Tensor) -> Tensor:
    """The solver that made the truth; only the waves that the data leaves out are missing."""
    solver = ETDRK4(PROBLEM.symbol, PROBLEM.length, 2 * POINTS, PROBLEM.interval / PROBLEM.solver_steps)
    spectrum = torch.zeros(len(state), POINTS + 1, dtype=torch.complex128)
    spectrum[:, : POINTS // 2 + 1] = 2 * torch.fft.rfft(state)
    return resample(solver.advance(spectrum, PROBLEM.solver_steps), 2 * POINTS, POINTS)


def test_the_solver_itself_has_no_error(truth: Tensor) -> None:
    """A perfect simulator: no error, the whole rollout correlated, the spectrum of the truth."""
    scores = evaluate(Simulator("solver", solver_step, 0), truth, PROBLEM.interval, torch.float64).scores
    assert scores.one_step_l2 < 1e-10
    assert scores.ct == 30 * PROBLEM.interval
    assert scores.logspec < 0.05
    assert scores.nfe == 0


def test_standing_still_is_scored_as_what_it_is(truth: Tensor) -> None:
    """A simulator that does nothing has the error of the change itself and soon loses the truth."""
    scores = evaluate(Simulator("still", lambda state: state, 1), truth, PROBLEM.interval, torch.float64).scores
    change = (truth[:, 1:] - truth[:, :-1]).norm(dim=-1) / truth[:, 1:].norm(dim=-1)
    assert scores.one_step_l2 == pytest.approx(change.mean().item(), rel=0.1)
    correlation = torch.cosine_similarity(truth[:, :1], truth, dim=-1).mean(dim=0)
    assert scores.ct == PROBLEM.interval * next(step for step in range(31) if correlation[step] < 0.8)


@pytest.mark.parametrize(("mode", "third"), [(16, "mid"), (28, "high"), (5, None)])
def test_an_error_in_one_mode_shows_in_its_third_alone(mode: int, third: str | None) -> None:
    """A mode that is half too large is an error of 0.5 in one of the ten modes of its third, and in no other."""
    start = torch.randn(4, 1, POINTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def spoil(state: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(state)
        spectrum[..., mode] *= 1.5
        return resample(spectrum, POINTS, POINTS)

    scores = evaluate(Simulator("spoiled", spoil, 1), start.expand(-1, 6, -1), 1.0, torch.float64).scores
    assert scores.mid == pytest.approx(0.5 / 10 if third == "mid" else 0, abs=1e-9)
    assert scores.high == pytest.approx(0.5 / 10 if third == "high" else 0, abs=1e-9)


def test_a_spectrum_ten_times_too_large_is_one_decade_off() -> None:
    """``logspec`` counts decades of amplitude."""
    start = torch.randn(4, 1, POINTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fallen = torch.cat([start, start.expand(-1, 10, -1) / 10], dim=1)
    still = Simulator("still", lambda state: state, 1)
    assert evaluate(still, fallen, 1.0, torch.float64).scores.logspec == pytest.approx(1)
    assert evaluate(still, start.expand(-1, 11, -1), 1.0, torch.float64).scores.logspec == pytest.approx(0, abs=1e-9)


def test_a_simulator_that_diverges_is_scored_infinite(truth: Tensor) -> None:
    """A rollout that overflows gives an infinite spectral error and a short correlation time, not an exception."""
    scores = evaluate(Simulator("wild", lambda state: state**3 * 10, 1), truth, PROBLEM.interval).scores
    assert math.isinf(scores.logspec)
    assert scores.ct < 5


def test_a_rollout_begins_with_its_start() -> None:
    """The rollout has the start and one state a step."""
    states = roll_out(Simulator("double", lambda state: 2 * state, 1), torch.ones(1, 2), 3)
    assert states[0, :, 0].tolist() == [1, 2, 4, 8]
