"""How good a simulator is: one step, a long rollout, and the spectrum of both, beside the truth."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ups.simulator.simulators import Simulator

__all__ = ["Evaluation", "Scores", "evaluate", "late_spectrum", "roll_out"]

_ONE_STEP_FRAMES = 12
_CORRELATED = 0.8
_TINY = 1e-30


@dataclass(frozen=True)
class Scores:
    """One number a question, averaged over the test set.

    The modes of a state, without the mean and the shortest wave, are parted into three thirds by wavenumber.

    Attributes:
        nfe: network evaluations in one time step.
        one_step_l2: error of one step over the truth, both in L2 norm.
        ct: time at which the mean correlation with the truth falls under 0.8, or the end of the rollout.
        mid: error over truth of one step, root mean square in each mode, averaged over the middle third.
        high: the same over the top third: the shortest waves.
        logspec: mean ``|log10|`` of the ratio of the amplitude spectra, over the upper two thirds of the modes and
            the second half of the rollout; infinite if the rollout is.
    """

    nfe: int
    one_step_l2: float
    ct: float
    mid: float
    high: float
    logspec: float

    def as_dict(self) -> dict[str, float]:
        """The scores by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Evaluation:
    """A simulator's scores and what its pictures are drawn from.

    Attributes:
        name: of the simulator.
        scores: see :class:`Scores`.
        rollout: the first test trajectory as simulated, float64 ``(steps + 1, points)``.
        spectrum: amplitude of each mode in the second half of the rollout, root mean square over the test set,
            float64 ``(points // 2 + 1,)``.
    """

    name: str
    scores: Scores
    rollout: Tensor
    spectrum: Tensor


@torch.no_grad()
def evaluate(simulator: Simulator, truth: Tensor, interval: float, dtype: torch.dtype = torch.float32) -> Evaluation:
    """Score a simulator against true solutions.

    Args:
        simulator: what is scored.
        truth: float64 ``(trajectories, steps + 1, points)``.
        interval: the time of one step.
        dtype: the number type that the simulator works in.
    """
    rollout = roll_out(simulator, truth[:, 0].to(dtype), truth.shape[1] - 1).double()
    one_step_l2, mode_errors = _one_step(simulator, truth, dtype)
    thirds = _thirds(truth.shape[-1])
    spectrum, true_spectrum = late_spectrum(rollout), late_spectrum(truth)
    upper = torch.cat(thirds[1:])
    ratio = (spectrum[upper] + _TINY) / (true_spectrum[upper] + _TINY)
    scores = Scores(
        nfe=simulator.evaluations,
        one_step_l2=one_step_l2,
        ct=_correlation_time(rollout, truth) * interval,
        mid=mode_errors[thirds[1]].mean().item(),
        high=mode_errors[thirds[2]].mean().item(),
        logspec=ratio.log10().abs().nan_to_num(nan=float("inf")).mean().item(),
    )
    return Evaluation(simulator.name, scores, rollout[0], spectrum)


@torch.no_grad()
def roll_out(simulator: Simulator, start: Tensor, steps: int) -> Tensor:
    """States ``(trajectories, points)`` and the ``steps`` after them: ``(trajectories, steps + 1, points)``."""
    states = [start]
    for _ in range(steps):
        states.append(simulator.step(states[-1]))
    return torch.stack(states, dim=1)


def late_spectrum(states: Tensor) -> Tensor:
    """Amplitude of each mode in the second half of ``(trajectories, steps, points)``, root mean square."""
    late = states[:, states.shape[1] // 2 :]
    spectrum: Tensor = torch.fft.rfft(late, norm="forward").abs().square().mean(dim=(0, 1)).sqrt()
    return spectrum


def _one_step(simulator: Simulator, truth: Tensor, dtype: torch.dtype) -> tuple[float, Tensor]:
    """Relative L2 error of one step from true states, and error over truth in each mode."""
    frames = torch.linspace(0, truth.shape[1] - 2, min(_ONE_STEP_FRAMES, truth.shape[1] - 1)).long()
    before, after = truth[:, frames].flatten(0, 1), truth[:, frames + 1].flatten(0, 1)
    error = simulator.step(before.to(dtype)).double() - after
    relative = (error.norm(dim=1) / after.norm(dim=1)).mean().item()
    amplitudes = [torch.fft.rfft(field).abs().square().mean(dim=0).sqrt() for field in (error, after)]
    return relative, amplitudes[0] / (amplitudes[1] + _TINY)


def _correlation_time(rollout: Tensor, truth: Tensor) -> int:
    """Steps until the correlation, averaged over trajectories, is under 0.8; all of them if it never is."""
    correlation = torch.nn.functional.cosine_similarity(rollout, truth, dim=-1).mean(dim=0)
    lost = (~(correlation >= _CORRELATED)).nonzero()
    return int(lost[0]) if len(lost) else truth.shape[1] - 1


def _thirds(points: int) -> tuple[Tensor, ...]:
    """The modes between the mean and the shortest wave of a grid, as three runs of indices."""
    return torch.tensor_split(torch.arange(1, points // 2), 3)
