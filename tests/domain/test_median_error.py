"""How well a median is known: hand-worked intervals, and samples that cannot tell one."""

from __future__ import annotations

from math import exp, sqrt

import pytest

from dsd_plan.domain.median_error import MEDIAN_FACTOR, median_interval
from dsd_plan.domain.profile import LatencyStats, ProfilePoint


def point(samples: int, p50: float, std: float) -> ProfilePoint:
    latency = LatencyStats(mean=p50, std=std, p50=p50, p95=p50, p99=p50)
    return ProfilePoint(
        phase="decode", batch=1, new_tokens=1, context_tokens=1, samples=samples, latency_ms=latency, energy_j=None
    )


def test_two_samples_are_widened_by_students_t() -> None:
    half = 12.706 * MEDIAN_FACTOR * 0.1 / sqrt(2)
    assert median_interval(point(2, 1.0, 0.1)) == pytest.approx((exp(-half), exp(half)), rel=1e-6)


def test_samples_that_differ_by_orders_of_magnitude_tell_no_interval() -> None:
    assert median_interval(point(2, 0.01, 10.0)) is None


def test_one_sample_tells_no_interval() -> None:
    assert median_interval(point(1, 1.0, 0.0)) is None


def test_an_interval_of_samples_holds_its_median() -> None:
    low, high = median_interval(point(9, 2.0, 0.5)) or (0.0, 0.0)
    assert low < 2.0 < high
    assert low * high == pytest.approx(4.0)
