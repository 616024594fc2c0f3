"""What was timed at a point, how it is spread, and how well its median is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import comb

import numpy as np

from dsd_plan.domain.profile import LatencyStats, ProfilePoint
from dsd_plan.measure.steps.grid import GridPoint

FEWEST_SAMPLES = 3
WANTED_HALF_WIDTH = 0.03
"""A point is settled when the 95 % interval of its median reaches no further than this share to either side."""
LEVEL = 0.95


def latency_stats(samples_ms: Sequence[float]) -> LatencyStats:
    """Spread of one point's samples, in ms, all of one visit."""
    return visited_stats([samples_ms])


def visited_stats(visits_ms: Sequence[Sequence[float]]) -> LatencyStats:
    """Spread of one point's samples, in ms, by visit.

    The median is that of the visits' medians, so that a long visit counts no more than a short one; its 95 %
    interval is the binomial one over visits (`median_interval`), None where they are too few.
    """
    values = np.concatenate([np.asarray(visit, dtype=np.float64) for visit in visits_ms])
    medians = [float(np.median(visit)) for visit in visits_ms]
    p50 = float(np.median(medians))
    p95, p99 = np.percentile(values, (95, 99))
    interval = median_interval(medians)
    return LatencyStats(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        p50=p50,
        p95=max(p50, float(p95)),
        p99=max(p50, float(p99)),
        min=float(values.min()),
        mad=float(np.median(np.abs(values - p50))),
        p50_low=None if interval is None else interval[0],
        p50_high=None if interval is None else interval[1],
    )


def median_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Confidence interval of the median of whatever law ``values`` come from independently.

    Between the k-th smallest and the k-th largest lies the median with probability 1 − 2·P(Bin(n, ½) < k); between
    the two ranks that enclose ``level`` the ends are interpolated (Hettmansperger and Sheather 1986, Stat. Prob.
    Letters 4, 75–79). None for fewer than six values: no two of them reach 95 %.
    """
    ordered = sorted(values)
    n = len(ordered)
    if _covered(n, 1) < level:
        return None
    k = 1
    while k < n // 2 and _covered(n, k + 1) >= level:
        k += 1
    share = (_covered(n, k) - level) / (_covered(n, k) - _covered(n, k + 1))
    inward = (n - k) * share / (k + (n - 2 * k) * share)
    low = (1.0 - inward) * ordered[k - 1] + inward * ordered[k]
    high = (1.0 - inward) * ordered[n - k] + inward * ordered[n - k - 1]
    return low, high


@lru_cache(maxsize=4096)
def _covered(n: int, k: int) -> float:
    """Probability that the median lies between the k-th smallest and the k-th largest of n."""
    return 1.0 - 2.0 * float(sum(comb(n, j) for j in range(k))) / float(2**n)


def half_width(medians: Sequence[float]) -> float | None:
    """How far the interval of the median reaches from it, as a share of it; None where there is no interval."""
    interval = median_interval(medians)
    if interval is None:
        return None
    middle = float(np.median(medians))
    return max(interval[1] - middle, middle - interval[0]) / middle


@dataclass(slots=True)
class Visited:
    """A point of one runner and what was timed there, visit by visit."""

    point: GridPoint
    runner: int = 0
    held_out: bool = False
    visits_ms: list[tuple[float, ...]] = field(default_factory=list)
    _medians_ms: list[float] = field(default_factory=list)
    _settled: bool = False

    def add(self, samples_ms: Sequence[float]) -> None:
        """One more visit."""
        self.visits_ms.append(tuple(samples_ms))
        self._medians_ms.append(float(np.median(samples_ms)))
        reach = half_width(self._medians_ms)
        self._settled = reach is not None and reach <= WANTED_HALF_WIDTH

    @property
    def samples(self) -> int:
        """How many steps were timed."""
        return sum(len(visit) for visit in self.visits_ms)

    def settled(self) -> bool:
        """Whether the median is known well enough."""
        return self._settled

    def stats(self) -> LatencyStats:
        """Spread of the samples."""
        return visited_stats(self.visits_ms)

    def measured(self, energy_j: float | None = None) -> ProfilePoint:
        """The point as a profile holds it."""
        return ProfilePoint(
            phase=self.point.phase,
            batch=self.point.batch,
            new_tokens=self.point.new_tokens,
            context_tokens=self.point.context_tokens,
            samples=self.samples,
            latency_ms=self.stats(),
            energy_j=energy_j,
        )
