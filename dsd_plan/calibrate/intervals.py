"""How well shares and means are known: Wilson's interval, and the bootstrap over requests."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NORMAL_95 = 1.959963984540054


def wilson(kept: float, tried: float, z: float = NORMAL_95) -> tuple[float, float]:
    """Interval of a share of independent trials (Wilson 1927, eq. for p ± z √(p(1 − p)/n)); (0, 1) without trials."""
    if tried <= 0:
        return 0.0, 1.0
    share, spread = kept / tried, z * z / tried
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / tried + spread / (4 * tried)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def resamples(requests: int, times: int, seed: int) -> Array:
    """How often each request is drawn in each resample with replacement, shape (times, requests)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(requests, np.full(requests, 1.0 / requests), size=times).astype(np.float64)


def ratio_interval(above: Array, below: Array, drawn: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval of Σ above / Σ below over resampled requests; `above`, `below` are (requests, …)."""
    ratios = np.tensordot(drawn, above, 1) / np.maximum(np.tensordot(drawn, below, 1), 1e-12)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def intra_class(values: Array, group: NDArray[np.int64]) -> float | None:
    """Share of the variance that lies between groups (one-way ANOVA, unequal sizes); None for fewer than two groups."""
    sizes = np.bincount(group).astype(np.float64)
    count, total = sizes.size, values.size
    if count < 2 or total <= count:
        return None
    means = np.bincount(group, weights=values) / sizes
    between = float(sizes @ (means - values.mean()) ** 2) / (count - 1)
    within = float(((values - means[group]) ** 2).sum()) / (total - count)
    size = (total - float(sizes @ sizes) / total) / (count - 1)
    spread = between + (size - 1) * within
    return (between - within) / spread if spread > 0 else 0.0
