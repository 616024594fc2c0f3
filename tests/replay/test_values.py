"""Collections that forget, and series that grow coarser: against numpy on all the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.replay.series import BINS, END_MS, ENDS, MOST_BATCHES, START_MS, STARTS, TOKENS, BatchMeans, TimeBins
from dsd_plan.replay.values import EXACT, Values


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=9), min_size=1, max_size=5).filter(lambda parts: any(parts)))
@settings(max_examples=50)
def test_few_values_are_exact(parts: list[list[float]]) -> None:
    values, together = Values(), np.concatenate([np.array(part, dtype=float) for part in parts])
    for part in parts:
        values.add(np.array(part, dtype=float))
    assert (values.size, values.mean()) == (together.size, together.mean())
    for share in (0.0, 0.5, 0.9, 0.99, 1.0):
        assert values.quantile(share) == np.quantile(together, share)


def test_of_many_values_quantiles_are_half_a_percent_off_at_most() -> None:
    random = np.random.default_rng(3)
    numbers = np.concatenate([random.lognormal(3.0, 1.5, EXACT), np.zeros(5000), random.exponential(0.01, 9000)])
    values = Values()
    for part in np.array_split(numbers, 37):
        values.add(part)
    assert not values.exact
    assert values.mean() == pytest.approx(numbers.mean(), rel=1e-12)
    for share in (0.001, 0.05, 0.5, 0.95, 0.99, 0.999):
        assert values.quantile(share) == pytest.approx(np.quantile(numbers, share), rel=0.005)
    assert values.quantile(0.0) == 0.0


def test_pooling_keeps_what_is_exact_and_counts_the_rest() -> None:
    few, many = Values(np.array([1.0, 5.0])), Values(np.full(EXACT + 1, 3.0))
    assert Values.pooled([few, Values(np.array([2.0]))]).quantile(0.5) == 2.0
    both = Values.pooled([few, many])
    assert (both.exact, both.size) == (False, EXACT + 3)
    assert both.quantile(0.5) == pytest.approx(3.0, rel=0.005)
    assert both.quantile(1.0) == pytest.approx(5.0, rel=0.005)
    assert both.mean() == pytest.approx(3.0)
    few.add(np.array([9.0]))
    assert few.quantile(1.0) == 9.0


def test_the_largest_of_few_is_found_after_another_quantile() -> None:
    values = Values(np.arange(101.0))
    assert (values.quantile(0.5), values.quantile(0.25), values.quantile(0.99)) == (50.0, 25.0, 99.0)


def test_live_sessions_by_bin_are_what_a_count_of_every_instant_gives() -> None:
    """Sessions that outlast the first bins' width many times: the stretches double, the sums stay."""
    random = np.random.default_rng(5)
    start_ms = random.uniform(0.0, 5e4, 4000)
    end_ms = start_ms + random.exponential(800.0, 4000)
    bins, alone = TimeBins(2), TimeBins(1)
    for part in np.array_split(np.arange(4000), 7):
        which = part % 2
        for what, at, weight in ((STARTS, start_ms, None), (START_MS, start_ms, start_ms), (ENDS, end_ms, None)):
            bins.add(what, which, at[part], None if weight is None else weight[part])
        bins.add(END_MS, which, end_ms[part], end_ms[part])
        bins.add(TOKENS, which, end_ms[part], np.full(part.size, 2))
        for what, at, weight in ((STARTS, start_ms, None), (START_MS, start_ms, start_ms), (ENDS, end_ms, None)):
            alone.add(what, which, at[part], None if weight is None else weight[part])
        alone.add(END_MS, which, end_ms[part], end_ms[part])
    assert bins.width_ms == 128.0
    assert bins.sums[TOKENS].sum() == 8000
    edges = bins.edges_ms()
    assert edges.size == BINS + 1
    live = np.diff(bins.live_ms()[1]) / bins.width_ms
    odd = np.arange(4000) % 2 == 1
    for place in (0, 3, 100, 390):
        a, b = edges[place], edges[place + 1]
        spent = np.clip(np.minimum(end_ms[odd], b) - np.maximum(start_ms[odd], a), 0.0, None).sum()
        assert live[place] == pytest.approx(spent / (b - a), abs=1e-6)
    inside = np.clip(np.minimum(end_ms, 30000.0) - np.maximum(start_ms, 10000.0), 0.0, None).sum() / 20000.0
    assert bins.mean_live(10000.0, 30000.0) == pytest.approx(inside, rel=1e-3)
    assert alone.live_ms()[0] == pytest.approx(bins.live_ms().sum(axis=0), rel=1e-9, abs=1e-3)


@given(st.lists(st.integers(0, 3000), max_size=12))
@settings(max_examples=40, deadline=None)
def test_batch_means_are_the_means_of_batches(sizes: list[int]) -> None:
    random = np.random.default_rng(1)
    parts = [random.integers(0, 100, size).astype(float) for size in sizes]
    batches = BatchMeans()
    for part in parts:
        batches.add(part)
    everything = np.concatenate([np.zeros(0), *parts])
    count = everything.size // batches.size
    assert count < MOST_BATCHES
    expected = everything[: count * batches.size].reshape(count, batches.size).mean(axis=1)
    assert batches.means().tolist() == expected.tolist()
    double = everything[: count // 2 * 2 * batches.size].reshape(-1, 2 * batches.size).mean(axis=1)
    assert batches.means(2 * batches.size) == pytest.approx(double)
