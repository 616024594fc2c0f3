from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import gamma

from dsd_plan.measure.link.statistics import (
    GAMMA2_P95,
    GAMMA2_P99,
    jitter_law,
    loss_estimate,
    lower_envelope,
    over_time,
    rtt_stats,
    steady_mbps,
)


def test_the_law_s_quantiles_are_those_of_two_exponentials() -> None:
    assert pytest.approx(gamma.ppf(0.95, 2), rel=1e-9) == GAMMA2_P95
    assert pytest.approx(gamma.ppf(0.99, 2), rel=1e-9) == GAMMA2_P99


def test_the_law_tells_its_own_quantiles_without_error() -> None:
    """Round trips at the exact quantiles of mean 50 ms, cv 0.4."""
    q = (np.arange(200_000) + 0.5) / 200_000
    cv, fit = jitter_law(50.0 * 0.6 + 25.0 * 0.4 * gamma.ppf(q, 2))
    assert cv == pytest.approx(0.4, rel=1e-3)
    assert fit.p95_error == pytest.approx(0.0, abs=1e-3)
    assert fit.p99_error == pytest.approx(0.0, abs=1e-3)


def test_more_variation_than_the_law_has_is_said() -> None:
    rtt_ms = np.concatenate([np.full(990, 1.0), np.full(10, 400.0)])
    cv, fit = jitter_law(rtt_ms)
    assert cv == 1.0
    assert fit.clipped


def test_a_rare_outlier_does_not_rule_the_jitter() -> None:
    """Two of a thousand round trips take half a second: √2·std/mean would say 1, the other 998 say 0.1."""
    rtt_ms = 20.0 * 0.9 + 10.0 * 0.1 * gamma.ppf((np.arange(1000) + 0.5) / 1000, 2)
    rtt_ms[-2:] = 500.0
    cv, fit = jitter_law(rtt_ms)
    assert cv == pytest.approx(0.1, rel=0.06)
    assert not fit.clipped
    assert abs(fit.p95_error) < 0.06


def test_nothing_that_varies_is_no_jitter() -> None:
    assert jitter_law(np.full(50, 7.0))[0] == pytest.approx(0.0, abs=1e-12)
    assert jitter_law(np.zeros(50))[0] == 0.0


def test_spread_by_hand() -> None:
    stats = rtt_stats(np.array([3.0, 1.0, 2.0, 4.0, 10.0]))
    assert (stats.mean, stats.min, stats.p50) == (4.0, 1.0, 3.0)
    assert stats.std == pytest.approx(np.sqrt(12.5))
    assert stats.successive == pytest.approx((2 + 1 + 2 + 6) / 4)
    assert (stats.p50_low, stats.p50_high) == (1.0, 10.0)
    assert stats.p95_high is None


def test_one_round_trip_has_no_spread() -> None:
    stats = rtt_stats(np.array([7.0]))
    assert (stats.p50, stats.p99, stats.std, stats.successive) == (7.0, 7.0, 0.0, 0.0)


@pytest.mark.parametrize(("q", "size"), [("p50", 101), ("p95", 400)])
def test_intervals_hold_the_true_quantile_as_often_as_they_say(q: str, size: int) -> None:
    """Exp(1) has median ln 2 and 95th percentile ln 20; order statistics cover by 95 % or a little more."""
    truth = {"p50": np.log(2.0), "p95": np.log(20.0)}[q]
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        stats = rtt_stats(rng.exponential(size=size))
        low, high = getattr(stats, f"{q}_low"), getattr(stats, f"{q}_high")
        held += low <= truth <= high
    assert 0.925 <= held / 400 <= 0.99


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-100, 100)), min_size=1, max_size=40))
def test_the_envelope_is_the_best_line_below(points: list[tuple[int, float]]) -> None:
    at_s = np.array([float(t) for t, _ in points])
    values = np.array([v for _, v in points])
    line = lower_envelope(at_s, values)
    gaps = values - (line.offset + line.slope * at_s)
    assert gaps.min() > -1e-7
    if len(set(at_s.tolist())) > 1:
        best = linprog(
            [-float(at_s.size), -float(at_s.sum())],
            A_ub=np.column_stack([np.ones_like(at_s), at_s]),
            b_ub=values,
            bounds=[(None, None), (None, None)],
        )
        assert gaps.sum() == pytest.approx(values.sum() + best.fun, abs=1e-4)


@pytest.mark.parametrize(
    ("sent", "arrived", "low", "high"),
    # Wilson 1927 by hand: n = 10, 2 lost; n = 100, none and all lost.
    [(10, 8, 0.05668, 0.50984), (100, 100, 0.0, 0.03699), (100, 0, 0.96301, 1.0)],
)
def test_loss_has_a_wilson_interval(sent: int, arrived: int, low: float, high: float) -> None:
    loss = loss_estimate(sent, arrived)
    assert loss is not None
    assert loss.share == (sent - arrived) / sent
    assert (loss.low, loss.high) == pytest.approx((low, high), abs=1e-4)


def test_nothing_sent_is_nothing_known() -> None:
    assert loss_estimate(0, 0) is None


def test_a_rate_needs_time_and_bytes() -> None:
    assert steady_mbps(np.array([0.0, 1.0]), np.array([0.0, 5.0])) is None
    assert steady_mbps(np.array([0.0, 1.0, 2.0]), np.zeros(3)) is None
    assert steady_mbps(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1e6, 2e6])) == pytest.approx(8.0)


def test_stretches_without_round_trips_are_left_out() -> None:
    moments = over_time(np.array([0.1, 0.2, 9.9]), np.array([1.0, 3.0, 8.0]), 10.0, stretches=10)
    assert [(m.at_s, m.samples, m.p50_ms) for m in moments] == [(0.5, 2, 2.0), (9.5, 1, 8.0)]


@given(st.floats(1e-6, 1e3), st.integers(1, 60))
def test_round_trips_all_alike_have_a_mean_no_smaller_than_the_least(rtt_ms: float, count: int) -> None:
    stats = rtt_stats(np.full(count, rtt_ms))
    assert stats.mean >= stats.min
