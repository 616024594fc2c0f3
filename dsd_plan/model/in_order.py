"""A stream's tokens travel with a jitter of their own and are shown in order: a late token holds up those behind it.

One token every T, each delayed by a base plus c·Exp(1). All follow from the memorylessness of the exponential; with
several hops c is the standard deviation of the whole way, which is exact for one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.moments import Time

Array = NDArray[np.float64]

QUADRATURE = 16
NEGLIGIBLE = 0.02
"""Jitter, as a share of the time between tokens, that disturbs no order."""
REACH = 12.0
"""Standard deviations of jitter that an earlier token may be late by."""
MOST_TOKENS = 4096
"""Earlier tokens looked at: enough for jitter of 340 times the time between tokens."""


def share_in_order(interval: float, jitter: float) -> float:
    """Share of tokens that arrive after all earlier ones, and so at a time of their own.

    ∫ Π_{i≥1} (1 − u e^(−iT/c)) du over u in (0, 1).
    """
    if jitter < NEGLIGIBLE * interval:
        return 1.0
    u, weights = _quadrature()
    powers = np.exp(-_ages(interval, jitter)[1:] / jitter)
    return float(weights @ np.prod(1.0 - u[:, None] * powers, axis=-1))


def last_token_lag(interval: float, jitter: float, tokens: float) -> Time:
    """How much later than its own delay a stream's last token arrives: max_j (X_j − jT) − E[X], X ~ c·Exp(1).

    E[max] and its variance by integrating the tail 1 − Π_j (1 − e^(−(x + jT)/c)) over x ≥ 0.
    """
    if jitter < NEGLIGIBLE * interval:
        return Time()
    ages = _ages(interval, jitter)[: max(1, round(tokens))]
    x = np.linspace(0.0, jitter * (REACH + np.log(ages.size)), 400)
    tail = 1.0 - np.prod(1.0 - np.exp(-(x[:, None] + ages) / jitter), axis=-1)
    mean = float(np.trapezoid(tail, x))
    square = float(np.trapezoid(2.0 * x * tail, x))
    return Time(mean - jitter, max(square - mean**2 - jitter**2, 0.0))


def gap_variance(interval: float, jitter: float) -> float:
    """Variance that jitter gives to the time between distinct arrivals.

    The next to arrive comes Exp(c) after the last one, or after what is left of T where T outlasts the last one's
    delay: Var = c² + Var (T − X)⁺. Small jitter gives 2c², jitter far beyond T gives c².
    """
    if jitter <= 0.0:
        return 0.0
    within = -np.expm1(-interval / jitter)
    mean = interval - jitter * within
    square = interval**2 - 2.0 * jitter * interval + 2.0 * jitter**2 * within
    return float(jitter**2 + max(square - mean**2, 0.0))


def _ages(interval: float, jitter: float) -> Array:
    """How long ago the tokens that may still matter were sent, the last one first."""
    count = min(2 + int(min(REACH * jitter / interval, MOST_TOKENS)), MOST_TOKENS)
    return interval * np.arange(count, dtype=np.float64)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Array, Array]:
    """Gauss–Legendre nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    return (nodes + 1.0) / 2.0, weights / 2.0
