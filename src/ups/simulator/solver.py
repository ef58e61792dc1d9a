"""Pseudo-spectral solutions of two periodic equations: the data that the simulator learns from.

With ``û_k`` the Fourier coefficients of ``u`` on ``[0, L)`` and ``q = 2πk/L``, both equations read
``dû/dt = λ(q) û - (i q / 2) FFT(u²)``, a stiff linear part and the transport ``-u u_x``:

* Kuramoto-Sivashinsky, ``u_t = -u u_x - u_xx - u_xxxx``: ``λ = q² - q⁴``;
* Burgers, ``u_t = -u u_x + ν u_xx``: ``λ = -ν q²``.

Time is stepped with the fourth-order exponential Runge-Kutta scheme ETDRK4 of Cox and Matthews (J. Comput.
Phys. 176, 2002), its coefficients evaluated by contour integrals as Kassam and Trefethen proposed (SIAM J.
Sci. Comput. 26, 2005). Products are dealiased by the 2/3 rule. Everything is in float64; lengths and times
are in the equations' own dimensionless units.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ups.errors import ConfigError

__all__ = ["ETDRK4", "PROBLEMS", "Problem", "burgers_symbol", "kuramoto_sivashinsky_symbol", "resample"]

_CONTOUR_POINTS = 32


def kuramoto_sivashinsky_symbol(wavenumbers: Tensor) -> Tensor:
    """The linear part of Kuramoto-Sivashinsky per wavenumber ``q``: ``q² - q⁴``."""
    return wavenumbers**2 - wavenumbers**4


def burgers_symbol(viscosity: float) -> Callable[[Tensor], Tensor]:
    """The linear part of Burgers per wavenumber ``q``: ``-ν q²``."""
    return lambda wavenumbers: -viscosity * wavenumbers**2


@dataclass(frozen=True)
class Problem:
    """An equation on a periodic interval, and how its solutions are sampled.

    Attributes:
        symbol: The linear part per wavenumber, real.
        length: The length ``L`` of the interval.
        interval: The time between two frames of the data, Δt.
        solver_points: Grid points of the solver, more than the data keeps.
        solver_steps: Solver steps in one interval.
        burn_in: Time that passes before the first frame, so that data starts on the attractor.
        modes: The number of longest waves that make up a random initial state.
    """

    title: str
    symbol: Callable[[Tensor], Tensor]
    length: float
    interval: float
    solver_points: int
    solver_steps: int
    burn_in: float
    modes: int

    def check_points(self, points: int) -> None:
        """Raise ConfigError if data cannot have this many points: an odd number, too few, or more than the solver."""
        if not 8 <= points <= self.solver_points or points % 2:
            raise ConfigError(f"data.points = {points}: use an even number from 8 to {self.solver_points}")

    def initial_states(self, count: int, generator: torch.Generator) -> Tensor:
        """Smooth random states with zero mean and unit variance, float64 ``(count, solver_points)``."""
        shape = (count, self.modes)
        amplitudes = torch.randn(shape, generator=generator, dtype=torch.float64)
        phases = 2 * math.pi * torch.rand(shape, generator=generator, dtype=torch.float64)
        grid = 2 * math.pi * torch.arange(self.solver_points, dtype=torch.float64) / self.solver_points
        waves = torch.arange(1, self.modes + 1, dtype=torch.float64)
        states = (amplitudes[..., None] * torch.cos(waves[:, None] * grid + phases[..., None])).sum(dim=1)
        return states / states.std(dim=1, correction=0, keepdim=True)

    def trajectories(self, count: int, frames: int, points: int, generator: torch.Generator) -> Tensor:
        """Solutions from random initial states, sampled every ``interval`` after the burn-in.

        Returns float64 ``(count, frames, points)``. The same generator state gives the same numbers.

        Raises:
            ConfigError: Data cannot have this many points.
        """
        self.check_points(points)
        solver = ETDRK4(self.symbol, self.length, self.solver_points, self.interval / self.solver_steps)
        spectrum = torch.fft.rfft(self.initial_states(count, generator))
        spectrum = solver.advance(spectrum, round(self.burn_in / self.interval) * self.solver_steps)
        sampled = []
        for frame in range(frames):
            if frame:
                spectrum = solver.advance(spectrum, self.solver_steps)
            sampled.append(resample(spectrum, self.solver_points, points))
        return torch.stack(sampled, dim=1)


PROBLEMS = {
    "ks": Problem("Kuramoto-Sivashinsky", kuramoto_sivashinsky_symbol, 64.0, 1.0, 256, 10, 60.0, 12),
    "burgers": Problem("Burgers", burgers_symbol(0.02), 2 * math.pi, 0.05, 512, 10, 0.5, 4),
}


class ETDRK4:
    """Fixed-step ETDRK4 for ``dû/dt = λ û - (i q / 2) FFT(u²)`` on ``points`` grid points of ``[0, length)``.

    ``symbol`` gives the real ``λ`` for a tensor of wavenumbers ``q``; ``points`` is even.
    """

    def __init__(self, symbol: Callable[[Tensor], Tensor], length: float, points: int, step: float) -> None:
        self.points = points
        modes = torch.arange(points // 2 + 1, dtype=torch.float64)
        wavenumbers = 2 * math.pi * modes / length
        kept = modes < points / 3
        self._transport = -0.5j * wavenumbers * kept
        exponent = symbol(wavenumbers) * step
        self._full = torch.exp(exponent)
        self._half = torch.exp(exponent / 2)

        # The φ functions cancel badly near 0; their mean over a unit circle around each exponent does not.
        angles = math.pi * (torch.arange(_CONTOUR_POINTS, dtype=torch.float64) + 0.5) / _CONTOUR_POINTS
        z = exponent[:, None] + torch.polar(torch.ones_like(angles), angles)
        e = torch.exp(z)
        self._stage = step * ((torch.exp(z / 2) - 1) / z).mean(dim=1).real
        self._first = step * ((-4 - z + e * (4 - 3 * z + z**2)) / z**3).mean(dim=1).real
        self._middle = step * ((2 + z + e * (z - 2)) / z**3).mean(dim=1).real
        self._last = step * ((-4 - 3 * z - z**2 + e * (4 - z)) / z**3).mean(dim=1).real

    def nonlinear(self, spectrum: Tensor) -> Tensor:
        """``-u u_x`` in Fourier space, complex128 ``(..., points // 2 + 1)``."""
        field = torch.fft.irfft(spectrum, n=self.points)
        product: Tensor = self._transport * torch.fft.rfft(field**2)
        return product

    def advance(self, spectrum: Tensor, steps: int) -> Tensor:
        """The coefficients after ``steps`` time steps, complex128 ``(..., points // 2 + 1)``."""
        for _ in range(steps):
            at_start = self.nonlinear(spectrum)
            first = self._half * spectrum + self._stage * at_start
            at_first = self.nonlinear(first)
            second = self._half * spectrum + self._stage * at_first
            at_second = self.nonlinear(second)
            third = self._half * first + self._stage * (2 * at_second - at_start)
            at_third = self.nonlinear(third)
            spectrum = (
                self._full * spectrum
                + self._first * at_start
                + 2 * self._middle * (at_first + at_second)
                + self._last * at_third
            )
        return spectrum


def resample(spectrum: Tensor, points_from: int, points_to: int) -> Tensor:
    """The field with these coefficients on a coarser grid, by leaving out the waves it cannot hold.

    ``spectrum`` is complex ``(..., points_from // 2 + 1)`` as ``torch.fft.rfft`` gives it; the result is real
    ``(..., points_to)``.
    """
    kept = spectrum[..., : points_to // 2 + 1] * (points_to / points_from)
    if points_to < points_from:
        kept = torch.cat([kept[..., :-1], torch.zeros_like(kept[..., -1:])], dim=-1)
    field: Tensor = torch.fft.irfft(kept, n=points_to)
    return field
