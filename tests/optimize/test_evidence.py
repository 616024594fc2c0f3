"""Intervals of acceptance: hand-worked, and as wide as requests differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.domain.scenario import Pair
from dsd_plan.optimize.confirmation.evidence import acceptance_evidence, profile_evidence, survival_bounds
from tests.optimize.small_scenarios import scenario

METADATA = TraceMetadata("small", "large", "0", "argmax", "test", "1", temperature=0.7)


def rounds(accepted_by_request: list[list[int]], proposed: int = 1) -> RoundTrace:
    request = np.repeat(np.arange(len(accepted_by_request)), [len(a) for a in accepted_by_request])
    accepted = np.concatenate(accepted_by_request).astype(np.int64)
    return RoundTrace(METADATA, request, np.full(accepted.size, proposed, dtype=np.int64), accepted)


def tokens(share: float, requests: int, length: int, seed: int = 3, spread: float = 0.0) -> TokenTrace:
    rng = np.random.default_rng(seed)
    own = np.clip(share + spread * rng.standard_normal(requests), 0.02, 0.98)
    match = (rng.random((requests, length)) < own[:, None]).astype(np.uint8).ravel()
    return TokenTrace(
        METADATA, np.repeat(np.arange(requests), length), match, task=np.array(["a", "b"] * (match.size // 2))
    )


def test_requests_that_all_say_the_same_are_as_many_tries_as_rounds() -> None:
    """Two of four accepted in each of 5 requests: no variance between requests, so Wilson with n = 20.

    z = 1.96, p = 1/2: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n) = 0.5 ± 0.2007.
    """
    bounds = survival_bounds(rounds([[1, 0, 1, 0]] * 5), 1)
    assert bounds is not None
    assert bounds[0][0] == pytest.approx(0.2993, abs=1e-4)
    assert bounds[1][0] == pytest.approx(0.7007, abs=1e-4)


def test_requests_that_are_all_or_nothing_count_once_each() -> None:
    """Rounds of a request that all agree tell no more than one: 3 of 6 requests, design effect 10."""
    clustered = survival_bounds(rounds([[1] * 10] * 3 + [[0] * 10] * 3), 1)
    single = survival_bounds(rounds([[1]] * 3 + [[0]] * 3), 1)
    assert clustered is not None
    assert single is not None
    assert clustered[0][0] == pytest.approx(single[0][0])
    assert clustered[1][0] == pytest.approx(single[1][0])


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Independent tokens at 0.7: of 200 traces, about 190 intervals of s_1 … s_3 hold 0.7, 0.49, 0.343."""
    truth = 0.7 ** np.arange(1, 4)
    held = np.zeros(3)
    for seed in range(200):
        bounds = survival_bounds(tokens(0.7, 20, 30, seed), 3)
        assert bounds is not None
        held += (bounds[0] <= truth) & (truth <= bounds[1])
    # Binomial(200, .95): 3.5 standard deviations below 190 is 179; requests are few, so a little less is granted.
    assert (held >= 174).all()


def test_requests_that_differ_widen_the_interval() -> None:
    alike, apart = (survival_bounds(tokens(0.7, 40, 60, spread=spread), 4) for spread in (0.0, 0.2))
    assert alike is not None
    assert apart is not None
    assert (apart[1] - apart[0] > 1.5 * (alike[1] - alike[0])).all()


def test_one_request_leaves_almost_nothing_certain() -> None:
    bounds = survival_bounds(rounds([[1, 0, 1, 0] * 50]), 1)
    assert bounds is not None
    assert bounds[1][0] - bounds[0][0] > 0.7


def test_a_declared_law_has_no_sampling_error() -> None:
    assert survival_bounds(AcceptanceLaw(per_token=0.7), 4) is None
    (found,) = acceptance_evidence(scenario(per_token=0.7, windows=(1, 3)))
    assert found.source == "declared law"
    assert found.survival == pytest.approx((0.7, 0.49, 0.343))
    assert found.survival_low is found.survival_high is None
    assert found.requests is None


def test_a_trace_tells_its_tasks_and_counts() -> None:
    trace = tokens(0.7, 20, 30)
    given = replace(scenario(), pairs=(Pair(draft="small", target="large", acceptance=trace),))
    (found,) = acceptance_evidence(given)
    assert (found.source, found.tokens, found.requests, found.temperature) == ("token trace", 600, 20, 0.7)
    assert found.tasks is not None
    assert found.tasks["a"] == pytest.approx(trace.match[::2].mean())
    assert found.survival_low is not None
    assert found.survival_high is not None
    assert all(
        low < s < high for low, s, high in zip(found.survival_low, found.survival, found.survival_high, strict=True)
    )


def test_profiles_say_what_one_plain_step_takes() -> None:
    found = {(e.device, e.model): e for e in profile_evidence(scenario())}
    assert found["gpu", "large"].decode_ms == pytest.approx(20.1)  # 20 + 0.1 · 1 token
    assert found["edge-box", "small"].origin == "declared"
    assert found["edge-box", "small"].points == 0
