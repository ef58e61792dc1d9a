"""The solver beside exponax (Koehler et al., NeurIPS 2024), which shares nothing with it but the equations."""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ups.simulator.solver import ETDRK4, PROBLEMS

pytestmark = pytest.mark.skipif(importlib.util.find_spec("exponax") is None, reason="exponax is not installed")

STEPPERS = {
    "ks": "exponax.stepper.KuramotoSivashinskyConservative(1, length, points, step, order=4)",
    "burgers": "exponax.stepper.Burgers(1, length, points, step, diffusivity=0.02, conservative=True, order=4)",
}

CODE = """
import sys, exponax, jax, numpy as np
folder, length, points, step, steps = sys.argv[1], *map(float, sys.argv[2:])
points = int(points)
advance = jax.jit(exponax.repeat({stepper}, int(steps)))
states = np.load(folder + "/start.npy")
np.save(folder + "/end.npy", np.stack([advance(state[None])[0] for state in states]))
"""


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_it_agrees_with_exponax(name: str, tmp_path: Path) -> None:
    """From the same states both are at the same states ten intervals later, to seven digits.

    The grid is twice as fine as that of the data, because the two leave out products from different modes on.
    """
    problem = dataclasses.replace(PROBLEMS[name], solver_points=2 * PROBLEMS[name].solver_points)
    start = problem.trajectories(3, 1, problem.solver_points, torch.Generator().manual_seed(0))[:, 0]
    step, steps = problem.interval / problem.solver_steps, 10 * problem.solver_steps
    solver = ETDRK4(problem.symbol, problem.length, problem.solver_points, step)
    end = torch.fft.irfft(solver.advance(torch.fft.rfft(start), steps), n=problem.solver_points)

    np.save(tmp_path / "start.npy", start.numpy())
    sizes = [str(problem.length), str(problem.solver_points), str(step), str(steps)]
    subprocess.run(
        [sys.executable, "-c", CODE.format(stepper=STEPPERS[name]), str(tmp_path), *sizes],
        env=os.environ | {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"},
        check=True,
    )
    other = torch.from_numpy(np.load(tmp_path / "end.npy"))
    assert (end - start).norm() > 0.1 * start.norm()
    assert (end - other).norm() / other.norm() < 1e-7
