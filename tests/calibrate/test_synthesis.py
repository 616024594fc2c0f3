"""Streams made to order keep the law that they were ordered with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.calibrate.synthesis import Gaps, LogNormal, Modulated, Recorded, closed_users, synthesize
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_statistics import index_of_dispersion, spearman, workload_statistics

PROMPTS, OUTPUTS = LogNormal(300.0, 0.8), LogNormal(128.0)


def made(rate_per_s: float, span_s: float, arrivals: Gaps | Modulated, **more: object) -> RequestTrace:
    options = {"prompts": PROMPTS, "outputs": OUTPUTS, "seed": 3} | more
    return synthesize(rate_per_s, span_s, arrivals=arrivals, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 3.0])
def test_gaps_keep_rate_and_spread(cv: float) -> None:
    told = workload_statistics(made(5.0, 20_000.0, Gaps(cv)))
    # 100,000 gaps: the count varies by cv·√n, the CV by less than 3 % even for cv = 3.
    assert told.requests == pytest.approx(100_000, abs=5 * max(cv, 0.01) * 316)
    assert told.gap_cv == pytest.approx(cv, rel=0.03, abs=1e-9)


def test_a_modulated_rate_disperses_as_its_formula_says() -> None:
    """I(t) = 1 + (2σ²τ/λ)(1 − (τ/t)(1 − e^{−t/τ})), τ = 1/(1/s₁ + 1/s₂)."""
    law = Modulated(low=0.5, high=2.5, low_s=30.0, high_s=10.0)
    trace = made(4.0, 400_000.0, law)
    relaxation_s = 1 / (1 / 30 + 1 / 10)
    variance = 0.75 * 0.25 * (2.0 * 4.0) ** 2
    for window_s, windows in ((5.0, 80_000), (50.0, 8_000)):
        settled = 1 - relaxation_s / window_s * (1 - np.exp(-window_s / relaxation_s))
        expected = 1 + 2 * variance * relaxation_s / 4.0 * settled
        told = index_of_dispersion(trace.arrival_s, window_s)
        assert told == pytest.approx(expected, rel=6 * (2 / windows) ** 0.5 + 0.02)


def test_a_modulated_law_must_average_one() -> None:
    with pytest.raises(ValueError, match=r"they average 1\.5, expected 1"):
        Modulated(low=1.0, high=2.0, low_s=10.0, high_s=10.0)


def test_the_day_moves_the_rate_and_nothing_else() -> None:
    by_hour = tuple([0.5] * 12 + [1.5] * 12)
    trace = made(1.0, 10 * 86_400.0, Gaps(1.0), by_hour=by_hour)
    hours = workload_statistics(trace).rate_by_hour
    assert hours is not None
    # 36,000 seconds' worth of hours each: a standard error of √(1/36,000).
    assert np.allclose(hours[:12], 0.5, atol=5 * (0.5 / 36_000) ** 0.5)
    assert np.allclose(hours[12:], 1.5, atol=5 * (1.5 / 36_000) ** 0.5)


def test_lengths_have_their_mean_spread_and_correlation() -> None:
    trace = made(10.0, 10_000.0, Gaps(), outputs=LogNormal(128.0, 1.0), correlation=0.6)
    told = workload_statistics(trace)
    assert told.prompt_tokens.mean == pytest.approx(300.0, rel=0.02)
    assert told.prompt_tokens.cv == pytest.approx(0.8, rel=0.04)
    # Spearman's of a normal copula: 6/π·asin(ρ/2).
    expected = 6 / np.pi * np.arcsin(0.3)
    assert spearman(trace.prompt_tokens, trace.output_tokens) == pytest.approx(expected, abs=0.015)
    assert workload_statistics(made(1.0, 1000.0, Gaps())).output_tokens.cv == 0.0


def test_recorded_lengths_stay_in_pairs() -> None:
    pairs = RequestTrace(np.array([0.0, 1.0]), np.array([10, 2000]), np.array([7, 70]))
    trace = made(5.0, 400.0, Gaps(), prompts=None, outputs=None, recorded=Recorded(pairs))
    assert set(zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)) == {(10, 7), (2000, 70)}


def test_closed_users_ask_after_answer_and_thought() -> None:
    trace = closed_users(20, 4.0, 1.0, 20_000.0, PROMPTS, OUTPUTS, seed=1)
    assert np.all(np.diff(trace.arrival_s) >= 0)
    assert trace.arrival_s.size == pytest.approx(20 * 20_000 / 5, rel=0.02)
    assert trace.user is not None
    mine = trace.arrival_s[trace.user == 7]
    assert np.diff(mine).min() >= 1.0
    assert np.diff(mine).mean() == pytest.approx(5.0, rel=0.06)
    assert trace.turn is not None
    assert trace.turn[trace.user == 7].tolist() == list(range(mine.size))


def test_no_request_is_said() -> None:
    with pytest.raises(ValueError, match="no request comes in 1 s"):
        made(1e-9, 1.0, Gaps())


@given(st.floats(0.2, 20.0), st.sampled_from([Gaps(0.3), Gaps(4.0), Modulated(0.0, 4.0, 9.0, 3.0)]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_any_stream_is_in_order_inside_its_span_and_repeatable(rate: float, law: Gaps | Modulated, seed: int) -> None:
    one, two = (made(rate, 500.0, law, seed=seed) for _ in range(2))
    assert np.array_equal(one.arrival_s, two.arrival_s)
    assert np.array_equal(one.prompt_tokens, two.prompt_tokens)
    assert 0 <= one.arrival_s[0] <= one.arrival_s[-1] < 500.0
    assert np.all(np.diff(one.arrival_s) >= 0)
    assert one.prompt_tokens.min() >= 1
