"""The scores of a simulator: one step, a long rollout, and the spectrum of both, beside the truth.

Every score is a function of averages over the test trajectories. Its standard error comes from the bootstrap (Efron,
Ann. Stat. 7, 1979): the spread of the same function over sets of trajectories drawn with replacement.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ups.simulator.simulators import Simulator

__all__ = ["HORIZONS", "Evaluation", "Scores", "evaluate", "late_spectrum", "milliseconds", "roll_out"]

HORIZONS = (20, 50, 100)

_ONE_STEP_FRAMES = 12
_CORRELATED = 0.8
_TINY = 1e-30
_RESAMPLES = 200
_TIMINGS = 21


@dataclass(frozen=True)
class Scores:
    """The scores, each averaged over the test set.

    The modes of a state, without the mean and the shortest wave, are divided into thirds by wavenumber: ``low``,
    ``mid`` and ``high``.

    Attributes:
        nfe: Network evaluations in one time step.
        one_step_l2: Error of one step over the truth, both in L2 norm.
        ct: Time at which the mean correlation with the truth falls under 0.8, or the end of the rollout.
        mid: Error over truth of one step, root mean square in each mode, averaged over the middle third.
        high: The same over the top third: the shortest waves.
        logspec: Mean ``|log10|`` of the ratio of the amplitude spectra, over the upper two thirds of the modes and
            the second half of the rollout; infinite if the rollout is.
        low: The same as ``mid``, over the bottom third.
        logspec_low, logspec_mid, logspec_high: The same as ``logspec``, over one third.
        rollout_20, rollout_50, rollout_100: Error after so many steps over the truth, both in L2 norm; NaN where the
            test set is shorter.
    """

    nfe: int
    one_step_l2: float
    ct: float
    mid: float
    high: float
    logspec: float
    low: float
    logspec_low: float
    logspec_mid: float
    logspec_high: float
    rollout_20: float
    rollout_50: float
    rollout_100: float

    def as_dict(self) -> dict[str, float]:
        """The scores by name, in the order above."""
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """A simulator's scores and the data of its pictures.

    Attributes:
        errors: The standard error of each score but ``nfe``, by name; NaN where there is none.
        step_ms: Wall time of one time step of one state, in milliseconds, the median of 21.
        rollout: The first test trajectory as simulated, float64 ``(steps + 1, points)``.
        spectrum: Amplitude of each mode in the second half of the rollout, root mean square over the test set,
            float64 ``(points // 2 + 1,)``.
    """

    name: str
    scores: Scores
    errors: dict[str, float]
    step_ms: float
    rollout: Tensor
    spectrum: Tensor

    def as_json(self) -> dict[str, Any]:
        """``{"name", "nfe", "one_step_l2", …, "step_ms", "se": {…}}``, with None for a number that is not finite."""
        scores = {name: _finite(value) for name, value in self.scores.as_dict().items()}
        errors = {name: _finite(value) for name, value in self.errors.items()}
        return {"name": self.name} | scores | {"step_ms": self.step_ms, "se": errors}


@torch.no_grad()
def evaluate(
    simulator: Simulator,
    truth: Tensor,
    interval: float,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Evaluation:
    """Score a simulator, which works in ``dtype`` on ``device``, by default the CPU, against true solutions.

    These are float64 ``(trajectories, steps + 1, points)``; ``interval`` is the time of one step.
    """
    start = truth[:, 0].to(device or "cpu", dtype)
    rollout = roll_out(simulator, start, truth.shape[1] - 1).double().cpu()
    seen = _Seen.of(rollout, *_one_step(simulator, truth, dtype, device), truth)
    count = len(truth)
    scores = seen.scores(torch.full((1, count), 1 / count, dtype=torch.float64), interval)
    drawn = torch.randint(count, (_RESAMPLES, count), generator=torch.Generator().manual_seed(0))
    weights = torch.nn.functional.one_hot(drawn, count).sum(dim=1) / count
    spread = seen.scores(weights.double(), interval)
    return Evaluation(
        simulator.name,
        Scores(simulator.evaluations, **{name: value.item() for name, value in scores.items()}),
        {name: value.std().item() for name, value in spread.items()},
        milliseconds(lambda: simulator.step(start[:1])),
        rollout[0],
        late_spectrum(rollout),
    )


@torch.no_grad()
def roll_out(simulator: Simulator, start: Tensor, steps: int) -> Tensor:
    """States ``(trajectories, points)`` and the ``steps`` after them: ``(trajectories, steps + 1, points)``."""
    states = [start]
    for _ in range(steps):
        states.append(simulator.step(states[-1]))
    return torch.stack(states, dim=1)


def late_spectrum(states: Tensor) -> Tensor:
    """Amplitude of each mode in the second half of ``(trajectories, steps, points)``, root mean square."""
    return _late_power(states).mean(dim=0).sqrt()


def milliseconds(call: Callable[[], Tensor]) -> float:
    """Wall time of a call that gives a tensor, in milliseconds: the median of 21, after three to warm up."""
    took = []
    for _ in range(3 + _TIMINGS):
        started = time.perf_counter()
        call().cpu()  # waits for a GPU
        took.append(time.perf_counter() - started)
    return 1e3 * statistics.median(took[3:])


@dataclass(frozen=True)
class _Seen:
    """The measurements of a simulator on each of the ``n`` test trajectories, which the scores average.

    Attributes:
        relative: Error of one step over the truth, both in L2 norm, ``(n,)``.
        error, true: Power of each mode, of that error and of the true state, ``(n, modes)``.
        correlation: Correlation of rollout and truth at each step, ``(n, steps + 1)``.
        late, true_late: Power of each mode in the second half of the rollout and of the truth, ``(n, modes)``.
        apart: Error over truth of the rollout at each step, both in L2 norm, ``(n, steps + 1)``.
    """

    relative: Tensor
    error: Tensor
    true: Tensor
    correlation: Tensor
    late: Tensor
    true_late: Tensor
    apart: Tensor

    @classmethod
    def of(cls, rollout: Tensor, stepped: Tensor, after: Tensor, truth: Tensor) -> "_Seen":
        """Measure a rollout beside ``truth``, and single steps ``(n, frames, points)`` beside the state ``after``."""
        error = stepped - after
        return cls(
            _counted((error.norm(dim=-1) / after.norm(dim=-1)).mean(dim=1)),
            _counted(_power(error).mean(dim=1)),
            _power(after).mean(dim=1),
            torch.nn.functional.cosine_similarity(rollout, truth, dim=-1).nan_to_num(0),
            _counted(_late_power(rollout)),
            _late_power(truth),
            _counted((rollout - truth).norm(dim=-1) / truth.norm(dim=-1)),
        )

    def scores(self, weights: Tensor, interval: float) -> dict[str, Tensor]:
        """Each score but ``nfe`` for each row of ``weights`` ``(sets, n)``, which sum to one: ``(sets,)``."""
        thirds = _thirds(2 * (self.true.shape[1] - 1))
        modes = (weights @ self.error).sqrt() / ((weights @ self.true).sqrt() + _TINY)
        ratio = ((weights @ self.late).sqrt() + _TINY) / ((weights @ self.true_late).sqrt() + _TINY)
        decades = ratio.log10().abs().nan_to_num(nan=math.inf, posinf=math.inf)
        lost = weights @ self.correlation < _CORRELATED
        steps = torch.where(lost.any(dim=1), lost.int().argmax(dim=1), lost.shape[1] - 1)
        scores = {"one_step_l2": weights @ self.relative, "ct": steps * interval}
        for third, name in zip(thirds, ("low", "mid", "high"), strict=True):
            scores[name] = modes[:, third].mean(dim=1)
            scores[f"logspec_{name}"] = decades[:, third].mean(dim=1)
        scores["logspec"] = decades[:, torch.cat(thirds[1:])].mean(dim=1)
        for horizon in HORIZONS:
            reached = horizon < self.apart.shape[1]
            missing = torch.full((len(weights),), math.nan, dtype=torch.float64)
            scores[f"rollout_{horizon}"] = weights @ self.apart[:, horizon] if reached else missing
        return scores


def _one_step(
    simulator: Simulator, truth: Tensor, dtype: torch.dtype, device: torch.device | None
) -> tuple[Tensor, Tensor]:
    """Single steps from true states, and the true states after them, float64 ``(n, frames, points)``."""
    frames = torch.linspace(0, truth.shape[1] - 2, min(_ONE_STEP_FRAMES, truth.shape[1] - 1)).long()
    before, after = truth[:, frames], truth[:, frames + 1]
    stepped = simulator.step(before.flatten(0, 1).to(device or "cpu", dtype)).double().cpu()
    return stepped.view_as(after), after


def _power(states: Tensor) -> Tensor:
    """Power of each mode of ``(..., points)``, ``(..., points // 2 + 1)``."""
    power: Tensor = torch.fft.rfft(states, norm="forward").abs().square()
    return power


def _late_power(states: Tensor) -> Tensor:
    """Mean power of each mode in the second half of ``(n, steps, points)``: ``(n, points // 2 + 1)``."""
    return _power(states[:, states.shape[1] // 2 :]).mean(dim=1)


def _counted(values: Tensor) -> Tensor:
    """The values, with infinity for each that is not a number, as after an overflow."""
    return values.nan_to_num(nan=math.inf, posinf=math.inf)


def _thirds(points: int) -> tuple[Tensor, ...]:
    """The modes between the mean and the shortest wave of a grid, as three runs of indices."""
    return torch.tensor_split(torch.arange(1, points // 2), 3)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
