"""What laws say of rounds, against closed forms and enumeration."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import beta as beta_function

from dsd_plan.calibrate.baum_welch import fit_hidden
from dsd_plan.calibrate.chains import Chain, alone, beta_chain, independent_chain
from dsd_plan.calibrate.counts_fit import assume_independent, extrapolated, fit_counts
from dsd_plan.calibrate.intervals import intra_class, ratio_interval, resamples, wilson
from dsd_plan.calibrate.round_table import rounds_of
from dsd_plan.domain.acceptance import AcceptanceCounts
from tests.calibrate.laws import METADATA, chain, rounds

FEW = Chain(
    np.array([[0.5, 0.2], [0.9, 0.8]]),
    np.array([[0.7, 0.3], [0.4, 0.6]]),
    np.array([1.0, 0.0]),
)


def test_tokens_a_round_of_one_rate() -> None:
    rate, window = 0.8, 5
    found = independent_chain(rate, window)
    assert found.tokens_per_round(window) == pytest.approx((1 - rate ** (window + 1)) / (1 - rate))


def test_requests_of_like_length_are_averaged_by_their_rounds() -> None:
    found = beta_chain(5.0, 2.0, 1)
    rates = (np.arange(200_000) + 0.5) / 200_000
    density = rates**4 * (1 - rates) / beta_function(5, 2) / rates.size
    assert found.tokens_per_round(1) == pytest.approx(1 / (density / (1 + rates)).sum(), rel=1e-3)


def test_states_take_the_share_that_balances() -> None:
    assert FEW.shares(2) == pytest.approx([4 / 7, 3 / 7])
    assert FEW.tokens_per_round(2) == pytest.approx(4 / 7 * 1.7 + 3 / 7 * 2.7)


def test_rounds_begun_by_hand() -> None:
    # Window 1. A (0.5 kept) stays or passes to B (all kept) evenly; B stays. All begin in A.
    found = Chain(np.array([[0.5], [1.0]]), np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([1.0, 0.0]))
    # A round begins at 0 in A. At 1: after one token from A, 1/2, halved: A 1/4, B 1/4. At 2: from 0 by two tokens
    # A 1/4, B 1/4; from 1 in A by one, A 1/16, B 1/16; B never emits one.
    expected = [[0, 0], [1, 0], [1.25, 0.25], [1.5625, 0.5625]]
    assert found.rounds_begun(1, 3) == pytest.approx(np.array(expected))
    assert found.shares(1, np.array([3])) == pytest.approx([1.5625 / 2.125, 0.5625 / 2.125])
    assert found.shares(1) == pytest.approx([0, 1])
    assert found.tokens_per_round(1, found.shares(1, np.array([3]))) == pytest.approx(
        (1.5625 * 1.5 + 0.5625 * 2) / 2.125
    )


@pytest.mark.parametrize("tokens", [1, 7, 60])
def test_states_begun_make_up_the_rounds(tokens: int) -> None:
    assert FEW.rounds_begun(2, tokens)[-1].sum() == pytest.approx(FEW.rounds_moments(2, tokens)[0])


def test_long_requests_take_the_long_run_shares() -> None:
    assert FEW.shares(2, np.array([9000.0])) == pytest.approx(FEW.shares(2), abs=1e-3)
    one_rate = independent_chain(0.8, 3)
    assert one_rate.rounds_begun(3, 8000)[-1] == pytest.approx(one_rate.rounds_moments(3, 8000)[0], rel=1e-9)


def test_states_that_hardly_change_are_counted_from_the_start() -> None:
    lasting = Chain(
        np.array([[0.5, 0.2], [0.95, 0.9]]), np.array([[0.995, 0.005], [0.001, 0.999]]), np.array([0.9, 0.1])
    )
    rng = np.random.default_rng(4)
    drawn = np.zeros(2)
    requests, goal = 4000, 60
    state = (rng.random(requests) > lasting.start[0]).astype(np.int64)
    emitted = np.zeros(requests, dtype=np.int64)
    while (going := emitted < goal).any():
        drawn += np.bincount(state[going], minlength=2)
        kept = (rng.random(requests)[:, None] < lasting.survival[state]).sum(axis=1) + 1
        emitted += np.where(going, kept, 0)
        state = np.where(rng.random(requests) < lasting.transition[state, 0], 0, 1)
    sum_tokens = int(emitted.sum())
    shares = lasting.shares(2, np.full(requests, goal))
    assert shares == pytest.approx(drawn / drawn.sum(), abs=0.02)
    assert lasting.tokens_per_round(2, shares) == pytest.approx(sum_tokens / drawn.sum(), rel=0.01)
    assert lasting.tokens_per_round(2) > 1.3 * lasting.tokens_per_round(2, shares)


@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_rounds_of_a_request_are_enumerated(tokens: int) -> None:
    pmfs = FEW.pmfs(2)
    mean = square = 0.0
    for states in product(range(2), repeat=tokens):
        path = FEW.start[states[0]] * np.prod([FEW.transition[a, b] for a, b in pairwise(states)])
        for kept in product(range(3), repeat=tokens):
            weight = path * np.prod([pmfs[z, j] for z, j in zip(states, kept, strict=True)])
            needed = int(np.argmax(np.cumsum(np.array(kept) + 1) >= tokens)) + 1
            mean += weight * needed
            square += weight * needed**2
    assert FEW.rounds_moments(2, tokens) == pytest.approx((mean, square - mean**2), abs=1e-12)


def test_likelihood_of_states_is_the_sum_over_paths() -> None:
    table = rounds_of(rounds(FEW.survival, chain(1, 5, 0.7, 1), 2), 2)
    hidden = fit_hidden(table, np.ones((1, 1)), 2, 2)
    fitted = Chain(np.cumprod(hidden.keep[0], axis=1), hidden.transition[0], hidden.start[0])
    pmfs = fitted.pmfs(2)
    total = sum(
        fitted.start[states[0]]
        * np.prod([fitted.transition[a, b] for a, b in pairwise(states)])
        * np.prod([pmfs[z, j] for z, j in zip(states, table.accepted, strict=True)])
        for states in product(range(2), repeat=5)
    )
    assert hidden.log_likelihood[0, 0] == pytest.approx(np.log(total))


def test_wilson_of_known_shares() -> None:
    # The roots of (p − x)² = z² x (1 − x) / n.
    kept, tried, z = 7, 20, 1.959963984540054
    a, b, c = 1 + z * z / tried, -(2 * kept / tried + z * z / tried), (kept / tried) ** 2
    assert wilson(kept, tried) == pytest.approx(sorted(np.roots([a, b, c]).real))
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_bootstrap_over_requests_covers() -> None:
    covered, narrow = 0, 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        rates = rng.beta(4.0, 4.0, size=40)
        kept = rng.binomial(50, rates).astype(float)
        low, high = ratio_interval(kept, np.full(40, 50.0), resamples(40, 200, seed))
        covered += bool(low <= 0.5 <= high)
        naive = wilson(kept.sum(), 2000)
        narrow += naive[0] <= 0.5 <= naive[1]
    assert covered >= 104  # 95 % nominal, less what a percentile interval of 40 requests lacks
    assert narrow < 80  # tokens are not independent within a request


def test_variance_between_groups() -> None:
    group = np.repeat(np.arange(3), 2)
    assert intra_class(np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0]), group) == pytest.approx(1.0)
    assert intra_class(np.array([1.0, 2.0]), np.array([0, 0])) is None


def test_counters_of_one_rate_and_of_falling_positions() -> None:
    even = AcceptanceCounts(metadata=METADATA, reached=(1000, 1000, 1000), kept=(700, 490, 343))
    law = fit_counts(even)
    assert (law.kind, law.evidence.requests) == ("independent", 0)
    assert law.per_token == pytest.approx(0.7)
    falling = AcceptanceCounts(metadata=METADATA, reached=(1000, 1000, 1000), kept=(800, 500, 150))
    assert fit_counts(falling).kind == "positional"
    assert fit_counts(falling).survival == pytest.approx((0.8, 0.5, 0.15))
    with pytest.raises(ValueError, match="tell no requests"):
        fit_counts(falling, "markov")


def test_totals_become_one_rate_only_when_told() -> None:
    accepted = round(1000 * (0.6 + 0.36 + 0.216))
    totals = AcceptanceCounts(metadata=METADATA, rounds=1000, proposed=3000, accepted=accepted)
    with pytest.raises(ValueError, match="--assume-independent"):
        fit_counts(totals)
    law = assume_independent(totals)
    assert law.per_token == pytest.approx(0.6)
    assert law.largest_window == 3
    assert law.assumption is not None
    with pytest.raises(ValueError, match="tell no window"):
        assume_independent(AcceptanceCounts(metadata=METADATA, tokens_per_round=2.5))


def test_totals_with_a_window_alone() -> None:
    # As EAGLE writes them: rounds and what they accepted, with the depth of its drafts from elsewhere.
    mean = 1 + 0.5 + 0.25 + 0.125
    for told in ({"rounds": 800, "accepted": 700}, {"tokens_per_round": mean}):
        law = assume_independent(AcceptanceCounts(metadata=METADATA, window=3, **told))  # type: ignore[arg-type]
        assert law.per_token == pytest.approx(0.5)
        assert law.survival == pytest.approx((0.5, 0.25, 0.125))
        assert (law.measured_window, law.largest_window) == (3, 3)
        assert not law.evidence.accepted_by_test
    wider = extrapolated(law, 5)
    assert (wider.measured_window, wider.survival[4]) == (3, pytest.approx(1 / 32))
    with pytest.raises(ValueError, match="5 tokens a round cannot come from a window of 3"):
        assume_independent(AcceptanceCounts(metadata=METADATA, window=3, tokens_per_round=5.0))


def test_windows_past_those_measured() -> None:
    even = AcceptanceCounts(metadata=METADATA, reached=(1000, 1000), kept=(700, 490))
    wider = extrapolated(fit_counts(even), 4)
    assert (wider.measured_window, wider.largest_window) == (2, 4)
    assert wider.survival == pytest.approx((0.7, 0.49, 0.343, 0.2401))
    with pytest.raises(ValueError, match="says nothing past window 2"):
        extrapolated(fit_counts(even, "positional"), 4)


def test_rounds_that_never_depend_have_no_state() -> None:
    assert alone(np.array([0.5, 0.25])).accepted_pmf(2) == pytest.approx([0.5, 0.25, 0.25])
