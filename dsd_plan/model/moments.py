"""Mean, variance and third central moment of times, which add up over independent parts."""

from __future__ import annotations

from typing import NamedTuple

from dsd_plan.domain.network import Hop, delay_variance_ms2, mean_delay_ms
from dsd_plan.queueing.distributions import STEEPEST, Mixture, single

LEAST_VARIANCE_MS2 = 1e-12
"""Below it, a nanosecond of spread, skew is rounding; at the smallest numbers it would be 0 / 0."""


class Time(NamedTuple):
    """First three cumulants of a random time, in ms, ms² and ms³."""

    mean: float = 0.0
    variance: float = 0.0
    third: float = 0.0

    def plus(self, other: Time) -> Time:
        """The sum of two independent times."""
        return Time(self.mean + other.mean, self.variance + other.variance, self.third + other.third)

    def scaled(self, factor: float) -> Time:
        """The time multiplied by a constant."""
        return Time(self.mean * factor, self.variance * factor**2, self.third * factor**3)

    def law(self) -> Mixture:
        """The Pearson III law with these moments."""
        if self.variance <= LEAST_VARIANCE_MS2:
            return single(self.mean, max(self.variance, 0.0))
        return single(self.mean, self.variance, min(max(self.third / self.variance**1.5, 0.0), STEEPEST))


def message_ms(hops: tuple[Hop, ...], payload_bytes: float) -> Time:
    """A message over `hops`: exponential jitter on each, serialisation, and a geometric number of resendings."""
    third = 0.0
    for hop in hops:
        third += 2.0 * (hop.jitter_cv * hop.mean_ms) ** 3
        third += hop.rtt_ms**3 * hop.loss * (1.0 + hop.loss) / (1.0 - hop.loss) ** 3
    return Time(mean_delay_ms(hops, payload_bytes), delay_variance_ms2(hops), third)


def product(count: Time, time: Time) -> Time:
    """A random number of rounds, each of the same random length: exact for independent factors."""
    n, t = count, time
    n2, t2 = n.variance + n.mean**2, t.variance + t.mean**2
    n3 = n.third + 3.0 * n.mean * n.variance + n.mean**3
    t3 = t.third + 3.0 * t.mean * t.variance + t.mean**3
    mean = n.mean * t.mean
    second = n2 * t2
    return Time(mean, second - mean**2, n3 * t3 - 3.0 * mean * second + 2.0 * mean**3)
