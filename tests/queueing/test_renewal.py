"""Rounds to emit n tokens: exact laws, hand-worked and by two routes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.queueing.renewal import count_of, quantile, round_moments, rounds_pmf

SURVIVALS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).map(lambda s: sorted(s, reverse=True))


def emitted(survival: list[float]) -> np.ndarray:
    steps = np.concatenate([[1.0], survival, [0.0]])
    return np.concatenate([[0.0], steps[:-1] - steps[1:]])


def test_hand_worked_law() -> None:
    # A round emits 1 or 2 tokens, each with 1/2; for 3 tokens: 2 rounds unless both emit 1 token.
    pmf = rounds_pmf(np.array([0.0, 0.5, 0.5]), 3)
    assert pmf == pytest.approx([0.0, 0.0, 0.75, 0.25])


@given(SURVIVALS, st.integers(0, 60))
def test_the_law_sums_to_one_and_has_the_recursions_mean(survival: list[float], tokens: int) -> None:
    law = emitted(survival)
    pmf = rounds_pmf(law, tokens)
    assert pmf.sum() == pytest.approx(1.0)
    values = np.arange(pmf.size, dtype=np.float64)
    for power, moments in enumerate(round_moments(law, tokens), 1):
        assert float(pmf @ values**power) == pytest.approx(moments[tokens])


@given(SURVIVALS, st.integers(1, 60))
def test_rounds_lie_between_all_accepted_and_none(survival: list[float], tokens: int) -> None:
    law = emitted(survival)
    likely = np.flatnonzero(rounds_pmf(law, tokens) > 1e-15)
    assert likely[0] >= -(-tokens // (len(survival) + 1))
    assert likely[-1] <= tokens
    # The overshoot of the last round is not thrown away: never fewer rounds than n / E[X].
    assert round_moments(law, tokens)[0, tokens] >= tokens / float(law @ np.arange(law.size)) - 1e-9


@pytest.mark.parametrize(("survival", "rounds"), [([0.0, 0.0], 10), ([1.0, 1.0], 4)])
def test_certain_acceptance_gives_a_certain_number(survival: list[float], rounds: int) -> None:
    count = count_of(rounds_pmf(emitted(survival), 10))
    assert (count.mean, count.variance) == pytest.approx((rounds, 0.0))


def test_nothing_to_emit_takes_no_round() -> None:
    assert rounds_pmf(np.array([0.0, 1.0]), 0).tolist() == [1.0]


def test_a_round_that_emits_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="emits nothing"):
        rounds_pmf(np.array([0.1, 0.9]), 5)


def test_quantile_is_the_first_count_that_reaches_it() -> None:
    assert [quantile(np.array([0.0, 0.5, 0.3, 0.2]), p) for p in (0.5, 0.51, 0.8, 0.99)] == [1, 2, 2, 3]
