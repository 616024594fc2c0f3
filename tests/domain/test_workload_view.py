"""A request stream arranged for reading, against numbers worked by hand."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_view import GAP_BINS_A_DECADE, RATE_BINS, gap_shares, length_curve, workload_view


def stream(at_s: object, prompts: object = None, outputs: object = None) -> RequestTrace:
    times = np.asarray(at_s, dtype=np.float64)
    alike = np.full(times.size, 100)
    one, two = (alike if given is None else np.asarray(given, dtype=np.int64) for given in (prompts, outputs))
    return RequestTrace(times, one, two)


def test_rates_and_the_band_of_chance() -> None:
    # 96 parts of 100 s, one request a second: 100 in each, so that chance puts 95 % within (10 ± 0.98)² of them.
    view = workload_view(stream(np.arange(0.0, 9600.5)))
    assert view.rates is not None
    assert view.rates.bin_s == pytest.approx(100.0)
    assert len(view.rates.per_s) == RATE_BINS
    assert view.rates.per_s[0] == pytest.approx(1.0)
    assert view.rates.chance == pytest.approx((9.02**2 / 100, 10.98**2 / 100), rel=2e-3)


def test_hours_need_a_whole_day() -> None:
    half = workload_view(stream(np.arange(0.0, 43_200.0, 60.0)))
    assert (half.hours, half.days) == ((), 0)
    # Two days, one request a minute, and in hour 5 of the second day two.
    at_s = np.arange(0.0, 2 * 86_400.0 + 1, 60.0)
    busy = at_s[(at_s >= 86_400 + 5 * 3600) & (at_s < 86_400 + 6 * 3600)] + 30.0
    view = workload_view(stream(np.sort(np.concatenate([at_s, busy]))))
    assert view.days == 2
    assert [row.per_s for row in view.hours[4:6]] == pytest.approx([1 / 60, 1.5 / 60])
    assert (view.hours[5].low, view.hours[5].high) == pytest.approx((1 / 60, 2 / 60))


def test_gaps_beside_those_of_independent_arrivals() -> None:
    gaps = np.array([1.0, 1.0, 3.0, 5.0])
    told = gap_shares(gaps, 10.0, (0.5, 2.0, 4.0, 8.0))
    assert told.share == (0.5, 0.25, 0.25)
    assert told.poisson == pytest.approx((exp(-0.2) - exp(-0.8), exp(-0.8) - exp(-1.6), exp(-1.6) - exp(-3.2)))
    assert (told.at_once, told.at_once_poisson) == (0.0, pytest.approx(1 - exp(-0.2)))


@given(st.lists(st.floats(min_value=0.0, max_value=1e4), min_size=2, max_size=40).filter(lambda x: sum(x) > 1.0))
def test_every_gap_is_counted_once(gaps: list[float]) -> None:
    told = gap_shares(np.array(gaps), sum(gaps))
    assert sum(told.share) + told.at_once == pytest.approx(1.0)
    assert sum(told.poisson) + told.at_once_poisson == pytest.approx(1.0, abs=2e-3)
    ratio = told.edges_s[1] / told.edges_s[0]
    assert ratio <= 10 ** (1 / GAP_BINS_A_DECADE) + 1e-9


def test_dispersion_of_regular_arrivals_is_nearly_none_and_has_its_interval() -> None:
    rng = np.random.default_rng(4)
    free = workload_view(stream(np.cumsum(rng.exponential(1.0, 6000))))
    for row in free.dispersion[:5]:
        assert row.ends[0] < 1.0 < row.ends[1]
        assert row.ends[1] / row.index == pytest.approx(exp(1.96 * sqrt(2 / row.windows)))
    steps = [row.window_s for row in free.dispersion]
    assert all(later / earlier == pytest.approx(3.0) for earlier, later in pairwise(steps))
    assert free.dispersion[-1].windows >= 10


def test_lengths_are_a_curve_with_a_band() -> None:
    curve = length_curve(np.arange(1, 1001))
    assert (curve.tokens[0], curve.tokens[-1], curve.share[-1]) == (1.0, 1000.0, 1.0)
    assert all(at == pytest.approx(tokens / 1000) for tokens, at in zip(curve.tokens, curve.share, strict=True))
    assert curve.half_width == pytest.approx(sqrt(log(40.0) / 2000.0))
    assert length_curve(np.full(50, 7)).tokens == (7.0,)


def test_the_output_by_the_prompts_length() -> None:
    prompts = np.arange(1, 801)
    view = workload_view(stream(np.arange(800.0), prompts, 2 * prompts))
    assert view.told.correlation == pytest.approx(1.0)
    assert view.correlation_ends is None
    assert [row.requests for row in view.groups] == [100] * 8
    first = view.groups[0]
    # Prompts 1–100, outputs 2–200: the middle is 101, and of 100 the 40th and 61st lie 1.96 standard errors off.
    assert (first.prompt_p50, first.output_p50) == (50.5, 101.0)
    assert first.ends[0] <= 80.0 <= 122.0 <= first.ends[1]
    assert view.joint is not None
    assert sum(sum(row) for row in view.joint.requests) == 800


def test_the_interval_of_a_rank_correlation() -> None:
    rng = np.random.default_rng(2)
    one, two = rng.standard_normal((2, 400))
    view = workload_view(stream(np.arange(400.0), np.exp(3 + one) + 1, np.exp(3 + 0.5 * one + two) + 1))
    value, ends = view.told.correlation, view.correlation_ends
    assert value is not None
    assert ends is not None
    half = 1.96 * sqrt(1.06 / 397)
    assert np.arctanh(ends[1]) - np.arctanh(value) == pytest.approx(half)
    assert np.arctanh(value) - np.arctanh(ends[0]) == pytest.approx(half)


def test_little_is_told_of_little() -> None:
    one = workload_view(stream([3.0]))
    assert (one.rates, one.gaps, one.dispersion, one.joint, one.groups) == (None, None, (), None, ())
    assert workload_view(stream([3.0, 3.0])).gaps is None
