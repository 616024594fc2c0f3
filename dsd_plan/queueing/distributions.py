"""The normal law, the three-parameter gamma (Pearson III), and mixtures of it, fast on small arrays.

Sources: Abramowitz & Stegun 7.1.26 for the normal (absolute error 1.5e-7); Wilson & Hilferty (1931) for the gamma.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

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


class Part(NamedTuple):
    """A share `weight` of a population, by its first three moments."""

    weight: float
    mean: float
    variance: float
    skew: float = 0.0


def normal(z: Array) -> tuple[Array, Array]:
    """Φ(z) and φ(z)."""
    tail = np.exp(-0.5 * z * z)
    t = 1.0 / (1.0 + 0.3275911 / sqrt(2.0) * np.abs(z))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    upper = 0.5 * poly * tail
    return np.where(z > 0.0, 1.0 - upper, upper), tail / sqrt(2.0 * np.pi)


def skew_of(variance: float, third: float) -> float:
    """Skewness from the second and third central moments, within what a Pearson III law is used for here."""
    if variance <= 0.0:
        return 0.0
    return float(min(max(third / variance**1.5, 0.0), STEEPEST))


def pearson_quantile(part: Part, probability: float) -> float:
    """Quantile of a shifted gamma with these moments, by the Wilson–Hilferty cube."""
    z, deviation = Z[probability], sqrt(max(part.variance, 0.0))
    if part.skew < STRAIGHT:
        return part.mean + deviation * z
    c = part.skew / 6.0
    return part.mean + deviation * (max(1.0 + c * z - c * c, 0.0) ** 3 - 1.0) / (3.0 * c)


def mixture_mean(parts: tuple[Part, ...]) -> float:
    """Mean of the whole population."""
    total = sum(part.weight for part in parts)
    return sum(part.weight * part.mean for part in parts) / total


def mixture_cdf(parts: tuple[Part, ...], x: float) -> float:
    """P(X ≤ x) over the whole population."""
    return float(_Mixture(parts).cdf(np.array([x]))[0])


def mixture_quantiles(parts: tuple[Part, ...], probabilities: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles over the whole population; of one part in closed form, of several on a grid refined around each."""
    kept = tuple(part for part in parts if part.weight > 0.0)
    if len(kept) == 1:
        return tuple(pearson_quantile(kept[0], probability) for probability in probabilities)
    mixture = _Mixture(kept)
    coarse = mixture.support(COARSE)
    known = np.maximum.accumulate(mixture.cdf(coarse))
    at = np.minimum(np.maximum(np.searchsorted(known, probabilities), 1), COARSE - 1)
    low, high = coarse[at - 1], coarse[at]
    fine = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, FINE)
    inside = mixture.cdf(fine.ravel()).reshape(fine.shape)
    return tuple(
        float(np.interp(probability, np.maximum.accumulate(chance), x))
        for probability, chance, x in zip(probabilities, inside, fine, strict=True)
    )


class _Mixture:
    """The parts as columns, so that one pass over a grid serves all of them."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        weight, self.mean, variance, skew = np.array(parts, dtype=np.float64).T[:, :, None]
        self.weight = weight / weight.sum()
        self.deviation = np.maximum(np.sqrt(np.maximum(variance, 0.0)), 1e-9)
        self.bent = skew >= STRAIGHT
        self.c = np.where(self.bent, skew, 1.0) / 6.0

    def cdf(self, x: Array) -> Array:
        """P(X ≤ x), by Wilson and Hilferty's cube root of each part's gamma."""
        z = (x - self.mean) / self.deviation
        cube = 1.0 + 3.0 * self.c * z
        root = np.where(cube > 0.0, (np.cbrt(cube) - 1.0 + self.c**2) / self.c, -40.0)
        whole: Array = (self.weight * normal(np.where(self.bent, root, z))[0]).sum(axis=0)
        return whole

    def support(self, points: int) -> Array:
        """A grid over all parts."""
        skew = np.where(self.bent, 6.0 * self.c, 0.0)
        low, high = self.mean - 5.0 * self.deviation, self.mean + (5.0 + 2.0 * skew) * self.deviation
        return np.linspace(float(low.min()), float(high.max()), points)
