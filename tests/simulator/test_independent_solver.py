"""The solver beside exponax (Koehler et al., NeurIPS 2024), which shares nothing with it but the equations."""

import dataclasses
import importlib.util
import json
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
import json, sys, exponax, jax, numpy as np
for name, (stepper, length, points, step, steps) in json.load(open("problems.json")).items():
    stepper = eval(stepper, {"exponax": exponax, "length": length, "points": points, "step": step})
    advance = jax.jit(exponax.repeat(stepper, steps))
    states = np.load(f"{name}.npy")
    np.save(f"{name}-end.npy", np.stack([advance(state[None])[0] for state in states]))
"""
"""Advances the states of all problems: to import exponax takes longer than that."""


def test_it_agrees_with_exponax(tmp_path: Path) -> None:
    """From the same states both are at the same states ten intervals later, to seven digits.

    The grid is twice as fine as that of the data, because the two leave out products from different modes on.
    """
    ours, sizes = {}, {}
    for name in PROBLEMS:
        problem = dataclasses.replace(PROBLEMS[name], solver_points=2 * PROBLEMS[name].solver_points)
        start = problem.trajectories(3, 1, problem.solver_points, torch.Generator().manual_seed(0))[:, 0]
        step, steps = problem.interval / problem.solver_steps, 10 * problem.solver_steps
        solver = ETDRK4(problem.symbol, problem.length, problem.solver_points, step)
        end = torch.fft.irfft(solver.advance(torch.fft.rfft(start), steps), n=problem.solver_points)
        ours[name] = start, end
        sizes[name] = STEPPERS[name], problem.length, problem.solver_points, step, steps
        np.save(tmp_path / f"{name}.npy", start.numpy())

    (tmp_path / "problems.json").write_text(json.dumps(sizes))
    environment = os.environ | {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, env=environment, check=True)
    for name, (start, end) in ours.items():
        other = torch.from_numpy(np.load(tmp_path / f"{name}-end.npy"))
        assert (end - start).norm() > 0.1 * start.norm(), name
        assert (end - other).norm() / other.norm() < 1e-7, name
