"""Fits find the law that a trace was drawn from, and no richer one."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.calibrate.acceptance_fit import fit_acceptance
from dsd_plan.calibrate.dependence import dependence
from dsd_plan.calibrate.round_table import rounds_of
from dsd_plan.domain.acceptance import RoundTrace
from dsd_plan.domain.acceptance_law import scenario_law
from tests.calibrate.laws import METADATA, chain, rounds, tokens

FALLING = np.array([[0.80, 0.56, 0.34, 0.17, 0.07]])
TWO_STATES = np.array([[0.45, 0.16, 0.05, 0.01], [0.92, 0.85, 0.78, 0.72]])


def test_independent_tokens_are_found_independent() -> None:
    fits = [fit_acceptance(tokens(np.full(60, 0.7), 100, seed), 5) for seed in range(8)]
    assert sum(fit.chosen == "independent" for fit in fits) >= 7
    assert all(fit.law.per_token == pytest.approx(0.7, abs=0.02) for fit in fits if fit.chosen == "independent")
    first = fits[0]
    assert first.passes
    assert all(abs(each.error) < 0.03 for each in first.of("independent").windows)


def test_falling_positions_are_found_and_one_rate_is_said_to_choose_worse() -> None:
    fit = fit_acceptance(rounds(FALLING, np.zeros((60, 60), dtype=np.int64), 3), 5)
    assert (fit.chosen, fit.passes) == ("positional", True)
    assert fit.law.survival == pytest.approx(FALLING[0], abs=0.02)
    one = fit.of("independent")
    assert one.score.rejected
    # One rate expects too little of small windows and keeps on where acceptance has gone.
    assert one.windows[0].error < -0.02
    worst = max(one.choices, key=lambda each: each.slower)
    assert worst.slower > 0
    assert worst.window > worst.best
    assert all(each.slower == 0 for each in fit.of("positional").choices)
    law = scenario_law(fit.law)
    assert law is not None
    assert law.survival == fit.law.survival


def test_requests_with_their_own_rates_are_found_beta() -> None:
    rates = np.random.default_rng(1).beta(6.0, 3.0, size=150)
    fit = fit_acceptance(tokens(rates, 120, 4), 4)
    assert (fit.chosen, fit.passes) == ("beta", True)
    assert fit.law.beta_a is not None
    assert fit.law.beta_b is not None
    size = fit.law.beta_a + fit.law.beta_b
    assert fit.law.beta_a / size == pytest.approx(rates.mean(), abs=0.02)
    assert size == pytest.approx(9.0, rel=0.35)
    last = fit.of("beta").windows[-1]
    assert last.rounds_variance == pytest.approx(last.observed_rounds_variance, rel=0.35)
    independent = fit.of("independent").windows[-1]
    assert independent.rounds_variance is not None
    assert last.observed_rounds_variance is not None
    assert independent.rounds_variance < 0.3 * last.observed_rounds_variance
    assert scenario_law(fit.law) is None


def test_states_that_last_are_found_markov() -> None:
    fit = fit_acceptance(rounds(TWO_STATES, chain(60, 80, 0.9, 5), 6), 4)
    assert (fit.chosen, fit.passes) == ("markov-2", True)
    states = sorted(fit.law.states)
    assert states[0] == pytest.approx(TWO_STATES[0], abs=0.06)
    assert states[1] == pytest.approx(TWO_STATES[1], abs=0.06)
    assert [row[i] for i, row in enumerate(fit.law.transition)] == pytest.approx([0.9, 0.9], abs=0.04)


def test_a_law_asked_for_is_taken_and_marked() -> None:
    fit = fit_acceptance(rounds(TWO_STATES, chain(30, 60, 0.9, 7), 8), 4, law="independent")
    assert fit.law.kind == "independent"
    assert not fit.passes
    assert not fit.law.evidence.accepted_by_test
    assert [score.law for score in fit.law.evidence.compared if score.rejected][:1] == ["independent"]


def test_the_same_trace_gives_the_same_law() -> None:
    trace = tokens(np.full(20, 0.6), 60, 2)
    assert fit_acceptance(trace, 3).law == fit_acceptance(trace, 3).law


def test_too_few_requests_and_nothing_accepted_are_refused() -> None:
    with pytest.raises(ValueError, match="9 requests cannot tell laws apart"):
        fit_acceptance(tokens(np.full(9, 0.6), 60, 2), 3)
    with pytest.raises(ValueError, match="none or all"):
        fit_acceptance(tokens(np.ones(20), 60, 2), 3)


def test_rounds_of_tokens_stay_within_requests() -> None:
    trace = tokens(np.ones(2), 5, 0)
    table = rounds_of(trace, 3)
    # 3 kept and the target's own, then one token is left, which nothing rejects.
    assert table.request.tolist() == [0, 0, 1, 1]
    assert table.proposed.tolist() == [3, 1, 3, 1]
    assert table.accepted.tolist() == [3, 1, 3, 1]
    assert table.reached(3).tolist() == [[2, 1, 1], [2, 1, 1]]


def test_a_round_says_nothing_past_its_window() -> None:
    ids = np.zeros(3, dtype=np.int64)
    trace = RoundTrace(METADATA, ids, np.array([2, 4, 4]), np.array([2, 1, 4]))
    found = {one.position: (one.tried, one.kept) for one in dependence(trace, 4).positions}
    assert found == {1: (3, 3), 2: (3, 2), 3: (1, 1), 4: (1, 1)}


def test_bursts_and_requests_show() -> None:
    bursty = dependence(rounds(TWO_STATES, chain(40, 80, 0.95, 9), 10), 4)
    assert bursty.full_after_full is not None
    assert bursty.full_after_short is not None
    assert bursty.full_after_full > bursty.full_after_short + 0.3
    assert bursty.autocorrelation[0] > 0.4
    plain = dependence(rounds(TWO_STATES, np.zeros((40, 80), dtype=np.int64), 11), 4)
    assert abs(plain.autocorrelation[0]) < 0.06
    assert plain.intra_class == pytest.approx(0.0, abs=0.03)
    split = np.repeat(np.arange(40)[:, None] % 2, 80, axis=1)
    assert (dependence(rounds(TWO_STATES, split, 12), 4).intra_class or 0) > 0.5


def test_smaller_windows_are_judged_on_whole_rounds_alone() -> None:
    ids = np.zeros(4, dtype=np.int64)
    trace = RoundTrace(METADATA, ids, np.array([2, 2, 4, 4]), np.array([2, 0, 1, 4]))
    table = rounds_of(trace, 4)
    assert table.whole(4).accepted.tolist() == [1, 4]
    assert table.whole(2).accepted.tolist() == [2, 0, 1, 2]


def test_states_that_outlast_requests_are_judged_over_requests() -> None:
    # All begin where little is kept, and pass for good to where much is: in the long run only that would count.
    rng = np.random.default_rng(2)
    left = rng.geometric(0.04, 80)
    state = (np.arange(60) >= left[:, None]).astype(np.int64)
    recorded = rounds(TWO_STATES, state, 3)
    # Requests stop at 90 tokens, not after so many rounds.
    emitted = (recorded.accepted + 1).reshape(80, 60)
    keep = (np.cumsum(emitted, axis=1) - emitted < 90).ravel()
    cut = RoundTrace(METADATA, recorded.request_id[keep], recorded.proposed[keep], recorded.accepted[keep])
    fit = fit_acceptance(cut, 4)
    found = fit.of("markov-2")
    assert not found.score.rejected
    assert all(abs(each.error) < 0.02 for each in found.windows)
    assert found.candidate.chain.tokens_per_round(4) > 1.15 * found.windows[-1].observed


def test_contexts_are_told_in_thirds() -> None:
    context = np.tile(np.array([100, 200, 300]), 10)
    accepted = np.tile(np.array([2, 1, 0]), 10)
    trace = RoundTrace(
        METADATA, np.repeat(np.arange(10), 3), np.full(30, 2), accepted, context_tokens=context.astype(np.int64)
    )
    groups = dependence(trace, 2).groups
    assert [(g.name, g.requests, g.rounds) for g in groups] == [
        ("context to 167", 10, 10),
        ("to 233", 10, 10),
        ("longer", 10, 10),
    ]
    assert [g.tokens_per_round for g in groups] == [3.0, 2.0, 1.0]
    assert [(g.low, g.high) for g in groups] == [(3.0, 3.0), (2.0, 2.0), (1.0, 1.0)]
