"""The results of a run: its models scored, kept in the tracker and beside the checkpoints, and as tables for people."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ups.errors import RunDirectoryError
from ups.simulator.config import Config
from ups.simulator.evaluate import HORIZONS, Evaluation, evaluate, milliseconds
from ups.simulator.pictures import draw_rollouts, draw_spectra
from ups.simulator.progress import Reporter
from ups.simulator.simulators import Simulator
from ups.simulator.solver import ETDRK4, PROBLEMS
from ups.tracking.context import WandBContext

__all__ = ["COLUMNS", "evaluate_models", "keep", "show", "table_rows"]

COLUMNS = ("model", "nfe", "one-step L2", "ct", "mid", "high", "logspec")

_SHOWN = ("one_step_l2", "ct", "mid", "high", "logspec")
_TITLES = {"one_step_l2": "one-step L2"} | {f"rollout_{horizon}": f"L2 at {horizon}" for horizon in HORIZONS}


def evaluate_models(
    simulators: Sequence[Simulator], truth: Tensor, config: Config, reporter: Reporter, device: torch.device
) -> list[Evaluation]:
    """Score each simulator against ``truth``, float64 ``(trajectories, steps + 1, points)``."""
    evaluations = []
    for simulator in simulators:
        reporter.line(f"evaluating {simulator.name}")
        evaluations.append(evaluate(simulator, truth, PROBLEMS[config.problem].interval, device=device))
    return evaluations


def keep(
    evaluations: Sequence[Evaluation], truth: Tensor, config: Config, run_dir: Path, context: WandBContext
) -> dict[str, Any]:
    """Keep results in ``evaluation.json`` beside the checkpoints, and in the tracker.

    The tracker gets every score and its standard error in the summary, as ``eval/<model>/<score>`` and
    ``eval/<model>/<score>_se``; the table ``eval/models``; and the pictures ``eval/rollout`` and ``eval/spectra``.

    Returns:
        The content of the file: ``{"models": […], "trajectories", "steps", "solver_step_ms"}``, each model as
        :meth:`Evaluation.as_json` gives it. ``solver_step_ms`` is the wall time in milliseconds that the solver of the
        data takes for one time step of one state.

    Raises:
        RunDirectoryError: The file cannot be written.
    """
    problem = PROBLEMS[config.problem]
    content = {
        "models": [evaluation.as_json() for evaluation in evaluations],
        "trajectories": len(truth),
        "steps": truth.shape[1] - 1,
        "solver_step_ms": _solver_milliseconds(config),
    }
    path = run_dir / "checkpoints" / "evaluation.json"
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error}") from error
    for evaluation in evaluations:
        values = evaluation.scores.as_dict() | {"step_ms": evaluation.step_ms}
        values |= {f"{name}_se": value for name, value in evaluation.errors.items()}
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        context.log_eval_summary(known, prefix=f"eval/{evaluation.name}")
    context.log_table("eval/models", columns=list(COLUMNS), rows=table_rows(evaluations))
    rollouts = draw_rollouts(truth, evaluations, problem.length, problem.interval)
    context.log_image("eval/rollout", rollouts, caption="the first test trajectory")
    spectra = draw_spectra(truth, evaluations, problem.length)
    context.log_image("eval/spectra", spectra, caption="amplitude of each mode late in the rollout")
    return content


def show(evaluations: Sequence[Evaluation], reporter: Reporter) -> None:
    """Print the scores with their standard errors, one column per model."""
    rows = [
        [_TITLES.get(name, name.replace("_", " ")), *(_cell(evaluation, name) for evaluation in evaluations)]
        for name, value in evaluations[0].scores.as_dict().items()
        if not math.isnan(value)
    ]
    rows.append(["ms per step", *(f"{evaluation.step_ms:.3g}" for evaluation in evaluations)])
    reporter.table(["", *(evaluation.name.replace("_", " ") for evaluation in evaluations)], rows)


def table_rows(evaluations: Sequence[Evaluation]) -> list[list[str | float]]:
    """The scores as rows under :data:`COLUMNS`."""
    return [
        [evaluation.name, evaluation.scores.nfe, *(evaluation.scores.as_dict()[name] for name in _SHOWN)]
        for evaluation in evaluations
    ]


def _cell(evaluation: Evaluation, name: str) -> str:
    value, error = evaluation.scores.as_dict()[name], evaluation.errors.get(name, math.nan)
    return f"{value:.3g}" if math.isnan(error) else f"{value:.3g}±{error:.1g}"


def _solver_milliseconds(config: Config) -> float:
    problem = PROBLEMS[config.problem]
    solver = ETDRK4(problem.symbol, problem.length, problem.solver_points, problem.interval / problem.solver_steps)
    start = torch.fft.rfft(problem.initial_states(1, torch.Generator().manual_seed(0)))
    return milliseconds(lambda: solver.advance(start, problem.solver_steps))
