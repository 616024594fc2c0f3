"""The normal law, the three-parameter gamma (Pearson III), and mixtures of it, fast on small arrays.

Sources: Abramowitz & Stegun 7.1.26 for the normal (absolute error 1.5e-7); Wilson & Hilferty (1931) for the gamma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Z = {0.50: 0.0, 0.95: 1.6448536269514722, 0.99: 2.3263478740408408}
"""Normal quantiles."""
COARSE, FINE = 96, 12
"""Grid points over a whole mixture, and between two of them."""
STRAIGHT = 1e-3
"""Skew below which a Pearson III law is taken to be normal."""
STEEPEST = 3.5
"""Skew beyond which Wilson and Hilferty's cube root no longer holds; larger ones are cut to it."""
FAR_BELOW = -40.0
SLOPE = 0.3275911 / sqrt(2.0)
POLYNOMIAL = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
"""Of 7.1.26, the highest power first."""
_COARSELY, _FINELY = np.arange(COARSE) / (COARSE - 1), np.arange(FINE) / (FINE - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Parts of a population, each a Pearson III law by its first three moments; all arrays have shape (parts,)."""

    weight: Array
    mean: Array
    variance: Array
    skew: Array

    def scaled(self, weight: float) -> Mixture:
        """The same law with all weights multiplied."""
        return Mixture(self.weight * weight, self.mean, self.variance, self.skew)


def single(mean: float, variance: float, skew: float = 0.0) -> Mixture:
    """One Pearson III law."""
    return Mixture(np.ones(1), np.array([mean]), np.array([variance]), np.array([skew]))


def together(mixtures: Sequence[Mixture]) -> Mixture:
    """Several populations as one."""
    return Mixture(
        np.concatenate([m.weight for m in mixtures]),
        np.concatenate([m.mean for m in mixtures]),
        np.concatenate([m.variance for m in mixtures]),
        np.concatenate([m.skew for m in mixtures]),
    )


def normal(z: Array) -> tuple[Array, Array]:
    """Φ(z) and φ(z)."""
    tail = np.exp(-0.5 * z * z)
    t = 1.0 / (1.0 + SLOPE * np.abs(z))
    upper = t * POLYNOMIAL[0]
    for coefficient in POLYNOMIAL[1:]:
        upper += coefficient
        upper *= t
    upper *= 0.5
    upper *= tail
    return np.where(z > 0.0, 1.0 - upper, upper), tail / sqrt(2.0 * pi)


def normal_at(z: float) -> tuple[float, float]:
    """Φ(z) and φ(z) at one point, without arrays."""
    tail = exp(-0.5 * z * z)
    t = 1.0 / (1.0 + SLOPE * abs(z))
    upper = t * POLYNOMIAL[0]
    for coefficient in POLYNOMIAL[1:]:
        upper = (upper + coefficient) * t
    upper *= 0.5 * tail
    return 1.0 - upper if z > 0.0 else upper, tail / sqrt(2.0 * pi)


def skewness(variance: Array, third: Array) -> Array:
    """From the second and third central moments, within what a Pearson III law is used for here."""
    safe = np.maximum(variance, 1e-12)
    return np.minimum(np.maximum(third / safe**1.5, 0.0), STEEPEST)


def mean_of(mixture: Mixture) -> float:
    """Mean of the whole population."""
    return float(mixture.weight @ mixture.mean / mixture.weight.sum())


def moments_of(mixture: Mixture) -> tuple[float, float, float]:
    """Mean, variance and third central moment of the whole population."""
    share = mixture.weight / mixture.weight.sum()
    mean = float(share @ mixture.mean)
    off, variance = mixture.mean - mean, mixture.variance
    third = mixture.skew * variance**1.5 + 3.0 * off * variance + off**3
    return mean, float(share @ (variance + off**2)), float(share @ third)


def pearson_quantile(mean: float, variance: float, skew: float, probability: float) -> float:
    """Quantile of a shifted gamma with these moments, by the Wilson–Hilferty cube."""
    z, deviation = Z[probability], sqrt(max(variance, 0.0))
    if skew < STRAIGHT:
        return mean + deviation * z
    c = skew / 6.0
    return mean + deviation * (max(1.0 + c * z - c * c, 0.0) ** 3 - 1.0) / (3.0 * c)


def cdf(mixture: Mixture, x: Array) -> Array:
    """P(X ≤ x), by Wilson and Hilferty's cube root of each part's gamma; shape of `x`, one axis."""
    deviation = np.maximum(np.sqrt(np.maximum(mixture.variance, 0.0)), 1e-9)[:, None]
    z = (x - mixture.mean[:, None]) / deviation
    bent = np.flatnonzero(mixture.skew >= STRAIGHT)
    if bent.size:
        c = mixture.skew[bent, None] / 6.0
        cube = 1.0 + 3.0 * c * z[bent]
        z[bent] = np.where(cube > 0.0, (np.cbrt(cube) - 1.0 + c**2) / c, FAR_BELOW)
    whole: Array = mixture.weight @ normal(z)[0] / mixture.weight.sum()
    return whole


def quantiles(mixture: Mixture, probabilities: Sequence[float]) -> tuple[float, ...]:
    """Quantiles over the whole population; of one part in closed form, of several on a grid refined around each."""
    if mixture.weight.size == 1:
        part = float(mixture.mean[0]), float(mixture.variance[0]), float(mixture.skew[0])
        return tuple(pearson_quantile(*part, probability) for probability in probabilities)
    deviation = np.sqrt(np.maximum(mixture.variance, 0.0))
    low = float((mixture.mean - 5.0 * deviation).min())
    high = float((mixture.mean + (5.0 + 2.0 * mixture.skew) * deviation).max())
    coarse = low + (high - low) * _COARSELY
    known = np.maximum.accumulate(cdf(mixture, coarse))
    at = np.minimum(np.maximum(np.searchsorted(known, probabilities), 1), COARSE - 1)
    fine = coarse[at - 1][:, None] + (high - low) / (COARSE - 1) * _FINELY
    inside = cdf(mixture, fine.ravel()).reshape(fine.shape)
    return tuple(
        float(np.interp(probability, np.maximum.accumulate(chance), x))
        for probability, chance, x in zip(probabilities, inside, fine, strict=True)
    )
