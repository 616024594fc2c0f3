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


def pearson_cdf(part: Part, x: Array) -> Array:
    """P(X ≤ x) of a shifted gamma with these moments."""
    z = (x - part.mean) / max(sqrt(max(part.variance, 0.0)), 1e-9)
    if part.skew >= STRAIGHT:
        c = part.skew / 6.0
        z = (np.cbrt(np.maximum(1.0 + 3.0 * c * z, 0.0)) - 1.0 + c * c) / c
        z = np.where(x <= part.mean - sqrt(max(part.variance, 0.0)) / (3.0 * c), -np.inf, z)
    return normal(z)[0]


def mixture_mean(parts: tuple[Part, ...]) -> float:
    """Mean of the whole population."""
    total = sum(part.weight for part in parts)
    return sum(part.weight * part.mean for part in parts) / total


def mixture_cdf(parts: tuple[Part, ...], x: float) -> float:
    """P(X ≤ x) over the whole population."""
    total = sum(part.weight for part in parts)
    at = np.array([x])
    return float(sum(part.weight * pearson_cdf(part, at)[0] for part in parts) / total)


def mixture_quantiles(parts: tuple[Part, ...], probabilities: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles over the whole population; of one part in closed form, of several by a refined grid."""
    kept = tuple(part for part in parts if part.weight > 0.0)
    if len(kept) == 1:
        return tuple(pearson_quantile(kept[0], probability) for probability in probabilities)
    ends = [(p.mean - 5.0 * sqrt(p.variance), p.mean + (5.0 + 2.0 * p.skew) * sqrt(p.variance)) for p in kept]
    grid = np.linspace(min(low for low, _ in ends), max(high for _, high in ends), 400)
    total = sum(part.weight for part in kept)

    def cdf(x: Array) -> Array:
        return np.maximum.accumulate(sum((p.weight / total * pearson_cdf(p, x) for p in kept), np.zeros(x.size)))

    coarse = cdf(grid)
    found = []
    for probability in probabilities:
        at = int(np.clip(np.searchsorted(coarse, probability), 1, grid.size - 1))
        fine = np.linspace(grid[at - 1], grid[at], 40)
        found.append(float(np.interp(probability, cdf(fine), fine)))
    return tuple(found)
