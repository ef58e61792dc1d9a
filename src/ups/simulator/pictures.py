"""The two pictures of an evaluation, as matplotlib figures that need no display."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from ups.simulator.evaluate import Evaluation, late_spectrum

__all__ = ["draw_rollouts", "draw_spectra"]


def draw_rollouts(truth: Tensor, evaluations: Sequence[Evaluation], length: float, interval: float) -> Figure:
    """The first test trajectory beside its simulations, space across and time upwards.

    ``truth`` is float64 ``(trajectories, steps + 1, points)`` on a periodic interval of that length; ``interval`` is
    the time between two states.
    """
    panels = [("truth", truth[0]), *((evaluation.name, evaluation.rollout) for evaluation in evaluations)]
    limit = truth[0].abs().max().item()
    figure = Figure(figsize=(2.4 * len(panels), 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (name, states) in zip(axes, panels, strict=True):
        image = axis.imshow(
            states.numpy(),
            origin="lower",
            aspect="auto",
            extent=(0, length, 0, (len(states) - 1) * interval),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
        )
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("x")
    axes[0].set_ylabel("t")
    figure.colorbar(image, ax=list(axes), label="u", shrink=0.8)
    return figure


def draw_spectra(truth: Tensor, evaluations: Sequence[Evaluation], length: float) -> Figure:
    """The amplitude of each mode late in the rollout, of the truth and of each simulator."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    spectra = [("truth", late_spectrum(truth)), *((e.name, e.spectrum) for e in evaluations)]
    for name, spectrum in spectra:
        modes = range(1, len(spectrum) - 1)
        style = {"color": "black", "linewidth": 2.5} if name == "truth" else {"linewidth": 1.3}
        axis.semilogy(modes, spectrum[1:-1].numpy(), label=name, **style)
    axis.set_xlabel(f"mode (waves in {length:.3g})")
    axis.set_ylabel("amplitude, second half of the rollout")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    return figure
