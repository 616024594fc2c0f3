"""Intervals, trends, and the random numbers behind everything."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.performance import Quantiles
from dsd_plan.replay.compiled import described
from dsd_plan.replay.random_numbers import GOLDEN, MASK, mix, stream_key
from dsd_plan.replay.statistics import drifts, interval, quantiles, student_t, trend
from dsd_plan.replay.values import Values


def test_student_t_and_the_interval_of_a_known_sample() -> None:
    """t(.975, 3) = 3.182; 10, 12, 14, 16: mean 13, s = 2.582, so 13 ± 3.182 · 2.582/2."""
    assert student_t(0.975, 3) == pytest.approx(3.182446, rel=1e-6)
    found = interval(13.0, [10.0, 12.0, 14.0, 16.0])
    assert found == pytest.approx((13 - 4.1085, 13 + 4.1085), abs=1e-3)
    assert interval(13.0, [13.0]) is None
    assert interval(None, []) is None


def test_sectioning_widens_for_a_bias_between_pooled_and_single_estimates() -> None:
    narrow, wide = interval(13.0, [12.0, 14.0]), interval(14.0, [12.0, 14.0])
    assert narrow is not None
    assert wide is not None
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_the_interval_covers_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    means = [random.normal(5.0, 2.0, 8) for _ in range(4000)]
    covered = [low <= 5.0 <= high for low, high in (interval(float(m.mean()), m.tolist()) or (0, 0) for m in means)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_quantiles_pool_replications() -> None:
    one, other = Values(np.array([1.0, 2.0])), Values(np.array([3.0]))
    assert quantiles([one, other]) == Quantiles(mean=2.0, p50=2.0, p95=2.9, p99=2.98)
    assert quantiles([Values()]) == Quantiles()


def test_a_trend_must_be_material_and_no_chance() -> None:
    assert trend(1.0, 3.0) == 1.0
    assert trend(0.0, 0.0) == 0.0
    assert drifts([0.6, 0.7, 0.65, 0.62], 100)
    assert not drifts([0.8, -0.4, 0.7, -0.3], 100)  # .2 on average, by chance
    assert not drifts([0.02, 0.021, 0.02, 0.02], 10**6)  # no chance, and no matter
    assert drifts([0.6], 400)
    assert not drifts([0.25], 400)
    assert not drifts([0.6], 40)


def test_splitmix64_reference_output() -> None:
    """The first three outputs for seed 1234567, as published with the generator's reference code."""
    outputs = [mix((1234567 + n * GOLDEN) & MASK) for n in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_stream_keys_differ_in_every_part() -> None:
    keys = {stream_key(*numbers) for numbers in np.ndindex(5, 5, 5, 5)}
    assert len(keys) == 5**4
    assert stream_key(2**64 + 3, 0, 0, 0) == stream_key(3, 0, 0, 0)


def test_uniform_numbers_are_uniform_and_independent_between_purposes() -> None:
    from tests.replay.twin import key_of_request, uniform

    key = stream_key(1, 2, 3, 4)
    draws = np.array([[uniform(key_of_request(key, n), 5, purpose) for purpose in (0, 5, 6)] for n in range(20000)])
    assert draws.min() > 0.0
    assert draws.max() < 1.0
    assert draws.mean(axis=0) == pytest.approx([0.5] * 3, abs=4 * np.sqrt(1 / 12 / 20000))
    assert draws.var(axis=0) == pytest.approx([1 / 12] * 3, rel=0.03)
    assert np.corrcoef(draws.T) == pytest.approx(np.eye(3), abs=4 / np.sqrt(20000))


def test_the_kernel_cache_is_keyed_by_code_and_constants() -> None:
    def first(x: float) -> float:
        return x + 1.0

    def second(x: float) -> float:
        return x + 2.0

    def third(x: float) -> float:
        return x + LIMIT

    before = described(third)
    assert described(first) != described(second)
    globals()["LIMIT"] = 4.0
    try:
        assert described(third) != before
    finally:
        globals()["LIMIT"] = 3.0


LIMIT = 3.0
