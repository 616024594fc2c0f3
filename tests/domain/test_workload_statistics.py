"""Figures of request streams whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_statistics import index_of_dispersion, spearman, workload_statistics


def trace(at_s: np.ndarray, **more: np.ndarray) -> RequestTrace:
    ones = np.ones(at_s.size, dtype=np.int64)
    return RequestTrace(at_s, **({"prompt_tokens": ones, "output_tokens": ones} | more))


def test_a_clock_has_no_bursts() -> None:
    told = workload_statistics(trace(np.arange(101.0)))
    assert (told.requests, told.span_s, told.rate_per_s) == (101, 100.0, 1.0)
    assert told.gap_cv == 0.0
    # 3 of the 100 requests before the last edge, in one of 48 parts.
    assert told.peak_to_mean == pytest.approx(3 / (100 / 48))
    assert index_of_dispersion(np.arange(101.0) + 0.5, 10.0) == pytest.approx(0.1 / 10.1, abs=0.02)


def test_a_coarse_clock_is_known_by_its_steps() -> None:
    rng = np.random.default_rng(5)
    at_s = np.cumsum(rng.exponential(0.3, 4000))
    late = 3.0 * np.floor(at_s / 3.0)
    # Milliseconds by which a clock is late leave its step what it is.
    told = workload_statistics(trace(np.sort(late + 0.001 * np.floor(at_s / 3.0) % 0.003)))
    assert told.clock_s == pytest.approx(3.0, abs=0.003)
    assert told.distinct_times == np.unique(late).size
    for fine in (at_s, np.arange(4000.0), np.repeat(at_s[:400], 10)):
        assert workload_statistics(trace(fine)).clock_s is None


def test_sums_of_equal_gaps_are_regular() -> None:
    assert workload_statistics(trace(np.cumsum(np.full(400, 0.1)))).gap_cv == 0.0


def test_poisson_arrivals_disperse_like_poisson() -> None:
    at_s = np.cumsum(np.random.default_rng(1).exponential(0.5, 200_000))
    told = workload_statistics(trace(at_s))
    assert told.gap_cv == pytest.approx(1.0, abs=0.01)
    # Standard error of a variance over 20,000, 2,000 and 200 windows: √(2/n).
    for part, windows in zip(told.dispersion, (20_000, 2_000, 200), strict=True):
        assert part.index == pytest.approx(1.0, abs=4 * (2 / windows) ** 0.5)


def test_batches_of_ten_disperse_ten_times_as_much() -> None:
    starts = np.cumsum(np.random.default_rng(2).exponential(10.0, 20_000))
    told = workload_statistics(trace(np.repeat(starts, 10)))
    assert told.dispersion[1].index == pytest.approx(10.0, rel=0.15)
    # Nine gaps in ten are 0: E[g²]/E[g]² = 2·10 exactly in the limit.
    assert told.gap_cv == pytest.approx(19**0.5, rel=0.02)


def test_ranks_share_ties() -> None:
    assert spearman(np.array([1, 2, 3, 4]), np.array([10, 20, 40, 80])) == pytest.approx(1.0)
    assert spearman(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1.0)
    assert spearman(np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2])) == pytest.approx(0.0)
    assert spearman(np.array([1, 1]), np.array([1, 2])) is None


def test_days_and_hours() -> None:
    at_s = np.concatenate([[0.0], np.repeat([3 * 3600.0, 3 * 3600.0 + 86_400.0], 36), [2 * 86_400.0]])
    hours = workload_statistics(trace(at_s)).rate_by_hour
    assert hours is not None
    assert hours[3] == pytest.approx(72 / 7200)
    assert hours[0] == pytest.approx(1 / 7200)  # the request on the last edge is of no whole day
    assert sum(hours) == pytest.approx((72 + 1) / 7200)
    assert workload_statistics(trace(np.array([0.0, 86_399.0]))).rate_by_hour is None


def test_lengths_conversations_and_cached_prefixes() -> None:
    told = workload_statistics(
        trace(
            np.array([0.0, 1.0, 2.0, 3.0]),
            prompt_tokens=np.array([100, 200, 300, 400]),
            output_tokens=np.array([1, 1, 1, 5]),
            cached_prefix_tokens=np.array([0, 100, 0, 150]),
            conversation=np.array(["a", "a", "b", "a"]),
            user=np.array([7, 7, 7, 7]),
            workload=np.array(["chat", "code", "chat", "chat"]),
        )
    )
    assert (told.prompt_tokens.mean, told.prompt_tokens.p50, told.prompt_tokens.most) == (250.0, 250.0, 400)
    assert told.output_tokens.cv == pytest.approx(3**0.5 / 2)
    assert told.cached_share == 0.25
    assert told.conversations is not None
    assert (told.conversations.count, told.conversations.mean_turns, told.conversations.most_turns) == (2, 2.0, 3)
    assert (told.users, told.workloads, told.tasks) == (1, {"chat": 3, "code": 1}, None)


def test_requests_at_one_time_have_no_rate() -> None:
    told = workload_statistics(trace(np.zeros(3)))
    assert (told.rate_per_s, told.gap_cv, told.peak_to_mean, told.dispersion) == (None, None, None, ())
