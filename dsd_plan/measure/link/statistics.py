"""What round trips say of a link: quantiles with intervals, jitter's law, each direction's variation, rate, loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.link_profile import JitterFit, LossEstimate, OneWay, RttMoment, RttStats

Array = NDArray[np.float64]

CONFIDENCE = 0.95
GAMMA2_P95 = 4.743864518
GAMMA2_P99 = 6.638352068
"""Quantiles of E₁ + E₂ with E ~ Exp(1): the round trip's jitter under the law."""

FITTED_QUANTILES = (0.005, 0.995, 199)
"""Least, greatest, how many."""

SLOW_START_SHARE = 0.3
"""Of a bulk transfer's time, left out: tcp is still finding the rate."""

NORMAL_Z = 1.959963985


def rtt_stats(rtt_ms: Array) -> RttStats:
    """Spread of round trips, in the order in which they were sent. Intervals are distribution-free order statistics.

    They take round trips as independent; over a link that is congested for a while they are somewhat too narrow.
    """
    ordered = np.sort(rtt_ms)
    p50, p95, p99 = np.quantile(ordered, [0.5, 0.95, 0.99])
    p50_low, p50_high = _order_interval(ordered, 0.5)
    p95_low, p95_high = _order_interval(ordered, 0.95)
    return RttStats(
        # The mean of equal values may come out a rounding error below them.
        mean=max(float(ordered.mean()), float(ordered[0])),
        std=float(ordered.std(ddof=1)) if ordered.size > 1 else 0.0,
        min=float(ordered[0]),
        p50=float(p50),
        p95=float(p95),
        p99=float(p99),
        p50_low=float(ordered[0]) if p50_low is None else p50_low,
        p50_high=float(ordered[-1]) if p50_high is None else p50_high,
        p95_low=p95_low,
        p95_high=p95_high,
        successive=float(np.abs(np.diff(rtt_ms)).mean()) if rtt_ms.size > 1 else 0.0,
    )


def _order_interval(ordered: Array, q: float) -> tuple[float | None, float | None]:
    """The order statistics between which the q-quantile lies with 95 % probability; None where none is far enough."""
    from scipy.stats import binom

    n, tail = ordered.size, (1 - CONFIDENCE) / 2
    low = int(binom.ppf(tail, n, q))
    high = int(binom.ppf(1 - tail, n, q)) + 1
    return (
        float(ordered[low - 1]) if low >= 1 else None,
        float(ordered[high - 1]) if high <= n else None,
    )


def jitter_law(rtt_ms: Array) -> tuple[float, JitterFit]:
    """`jitter_cv` from round trips, and how well its law tells their tail.

    RTT = m·(1 + cv·(E₁ − 1)) + m·(1 + cv·(E₂ − 1)) with m half the mean, so a quantile lies at
    mean·(1 + cv·(G/2 − 1)) with G that of E₁ + E₂: a straight line in cv, fitted by least squares to the quantiles
    from 0.5 % to 99.5 %. Where the law holds this is √2·std/mean; a single outlier, which would rule the standard
    deviation, has no say.
    """
    from scipy.stats import gamma

    mean_ms = float(rtt_ms.mean())
    if mean_ms <= 0:
        return 0.0, JitterFit(p95_error=0.0, p99_error=0.0, clipped=False)
    grid = np.linspace(*FITTED_QUANTILES)
    spread = 0.5 * gamma.ppf(grid, 2.0) - 1.0
    found = np.quantile(rtt_ms, grid) / mean_ms - 1.0
    raw = max(float(spread @ found / (spread @ spread)), 0.0)
    cv = min(raw, 1.0)

    def error(quantile: float, of_sum: float) -> float:
        told = mean_ms * (1.0 + cv * (0.5 * of_sum - 1.0))
        return told / float(np.quantile(rtt_ms, quantile)) - 1.0

    return cv, JitterFit(p95_error=error(0.95, GAMMA2_P95), p99_error=error(0.99, GAMMA2_P99), clipped=raw > 1.0)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The line under a cloud of differences between two clocks: fastest messages lie on it."""

    offset: float
    slope: float

    def excess(self, at_s: Array, difference_ms: Array) -> Array:
        """What lies above the line."""
        return np.maximum(difference_ms - (self.offset + self.slope * at_s), 0.0)


def lower_envelope(at_s: Array, difference_ms: Array) -> Envelope:
    """The line that lies under every point and closest to them in sum.

    Of all lines below a cloud the sum of distances is least for the side of its lower convex hull that stands over
    the mean of the times (Moon, Skelly and Towsley 1999, clock skew by linear programming).
    """
    order = np.lexsort((difference_ms, at_s))
    hull: list[tuple[float, float]] = []
    for point in zip(at_s[order].tolist(), difference_ms[order].tolist(), strict=True):
        if hull and hull[-1][0] == point[0]:
            continue  # Of points at one time the lowest came first.
        while len(hull) >= 2 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    if len(hull) == 1:
        return Envelope(hull[0][1], 0.0)
    middle_s = float(at_s.mean())
    at = next((i for i in range(len(hull) - 1) if hull[i + 1][0] >= middle_s), len(hull) - 2)
    (x0, y0), (x1, y1) = hull[at], hull[at + 1]
    slope = (y1 - y0) / (x1 - x0)
    return Envelope(y0 - slope * x0, slope)


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])


def one_ways(
    at_s: Array, up_difference_ms: Array, down_difference_ms: Array
) -> tuple[OneWay, OneWay, float | None, float]:
    """Variation up and down, upward share of the variance, drift of the listener's clock in ppm.

    Differences are (listener's receive − own send) and (own receive − listener's send): each is a delay plus an
    unknown, slowly drifting offset of the clocks, which the lower envelope takes away together with the smallest
    delay. Absolute delays stay unknown.
    """
    up_line, down_line = lower_envelope(at_s, up_difference_ms), lower_envelope(at_s, down_difference_ms)
    # A drift shows in both directions, with opposite signs; congestion that builds up in one does not.
    drift_ms_per_s = 0.5 * (up_line.slope - down_line.slope)
    up_ms = _level(up_difference_ms - drift_ms_per_s * at_s)
    down_ms = _level(down_difference_ms + drift_ms_per_s * at_s)
    up_var, down_var = float(up_ms.var()), float(down_ms.var())
    together = up_var + down_var
    return _one_way(up_ms), _one_way(down_ms), up_var / together if together > 0 else None, drift_ms_per_s * 1000.0


def _level(values: Array) -> Array:
    return values - float(values.min())


def _one_way(excess_ms: Array) -> OneWay:
    p50, p95, p99 = np.quantile(excess_ms, [0.5, 0.95, 0.99])
    return OneWay(
        excess_std_ms=float(excess_ms.std()),
        excess_p50_ms=float(p50),
        excess_p95_ms=float(p95),
        excess_p99_ms=float(p99),
    )


def loss_estimate(sent: int, arrived: int) -> LossEstimate | None:
    """Share lost with its Wilson interval; None where nothing was sent."""
    if sent == 0:
        return None
    lost = max(sent - arrived, 0)
    share, z2 = lost / sent, NORMAL_Z**2
    middle = (share + z2 / (2 * sent)) / (1 + z2 / sent)
    half = NORMAL_Z / (1 + z2 / sent) * math.sqrt(share * (1 - share) / sent + z2 / (4 * sent**2))
    low = 0.0 if lost == 0 else max(middle - half, 0.0)
    high = 1.0 if lost == sent else min(middle + half, 1.0)
    return LossEstimate(sent=sent, lost=lost, share=share, low=low, high=high)


def steady_mbps(at_s: Array, total_bytes: Array) -> float | None:
    """Rate of a bulk transfer once it is under way, from the receiver's running count; None for one too short."""
    if at_s.size < 3 or at_s[-1] <= at_s[0]:
        return None
    start = int(np.searchsorted(at_s, at_s[0] + SLOW_START_SHARE * (at_s[-1] - at_s[0])))
    start = min(start, at_s.size - 2)
    moved, took_s = float(total_bytes[-1] - total_bytes[start]), float(at_s[-1] - at_s[start])
    return moved * 8e-6 / took_s if moved > 0 and took_s > 0 else None


def over_time(at_s: Array, rtt_ms: Array, for_s: float, stretches: int = 20) -> tuple[RttMoment, ...]:
    """Median and 95th percentile in equal stretches of the measurement; one without round trips is left out."""
    width_s = max(for_s, float(at_s.max(initial=0.0))) / stretches
    if width_s <= 0:
        return ()
    place = np.minimum((at_s / width_s).astype(np.int64), stretches - 1)
    found = []
    for stretch in range(stretches):
        here = rtt_ms[place == stretch]
        if here.size:
            p50, p95 = np.quantile(here, [0.5, 0.95])
            found.append(
                RttMoment(at_s=(stretch + 0.5) * width_s, samples=int(here.size), p50_ms=float(p50), p95_ms=float(p95))
            )
    return tuple(found)
