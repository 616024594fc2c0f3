"""Numbers with their uncertainty, over independent replications; and whether a run had settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import sqrt

import numpy as np

from dsd_plan.domain.performance import Quantiles
from dsd_plan.replay.values import Values

Statistic = Callable[[Values], float]

LEVEL = 0.95

STATISTICS: dict[str, Statistic] = {
    "mean": lambda values: values.mean(),
    "p50": lambda values: values.quantile(0.50),
    "p95": lambda values: values.quantile(0.95),
    "p99": lambda values: values.quantile(0.99),
}

MATERIAL_TREND = 0.1
"""A change of this share between the halves of a run, if it is not chance, means that the run had not settled."""
CHANCE = 0.001
FEW = 4
"""With fewer replications than this their spread says too little about chance."""


def quantiles(samples: Sequence[Values]) -> Quantiles:
    """Of all replications' values together; nulls where there is none."""
    pooled = Values.pooled(samples)
    return (
        Quantiles(**{name: estimate(pooled) for name, estimate in STATISTICS.items()}) if pooled.size else Quantiles()
    )


def interval(point: float | None, estimates: Sequence[float]) -> tuple[float, float] | None:
    """95 % Student-t interval around `point`, from one estimate a replication; None with fewer than two.

    Sectioning (Asmussen & Glynn 2007, III.5a): `point` pools all data, so its bias is the smaller, and the
    spread of the replications' own estimates around it gives the width.
    """
    if point is None or len(estimates) < 2:
        return None
    spread = np.asarray(estimates) - point
    half = student_t((1.0 + LEVEL) / 2.0, len(estimates) - 1) * sqrt(float(np.mean(spread**2)) / (len(estimates) - 1))
    return point - half, point + half


@lru_cache(maxsize=256)
def student_t(probability: float, degrees: int) -> float:
    """Quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def trend(first: float, second: float) -> float:
    """Change between two halves, as a share of their mean."""
    middle = (first + second) / 2.0
    return (second - first) / middle if middle > 0 else 0.0


def drifts(trends: Sequence[float], requests: int, material: float = MATERIAL_TREND, chance: float = CHANCE) -> bool:
    """Whether a trend over the run is material and no chance.

    `trends` has one value a replication, `requests` is how many stand behind a half of one. With few
    replications chance is judged by that number instead of by their spread, and a trend under 10 % is never seen.
    """
    change = abs(float(np.mean(trends)))
    if len(trends) < FEW:
        return change > MATERIAL_TREND + 4.0 / sqrt(max(len(trends) * requests, 1))
    error = float(np.std(trends, ddof=1)) / sqrt(len(trends))
    return change > material and change > student_t(1.0 - chance / 2.0, len(trends) - 1) * error
