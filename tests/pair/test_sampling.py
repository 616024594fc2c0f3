"""Distributions by hand, and draws against the law they should have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.pair.sampling import SeededChance, distribution

LOGITS = np.log(np.array([0.1, 0.4, 0.3, 0.2]))


def test_temperature_by_hand() -> None:
    np.testing.assert_allclose(distribution(LOGITS, 1.0), [0.1, 0.4, 0.3, 0.2])
    squared = np.array([0.01, 0.16, 0.09, 0.04])
    np.testing.assert_allclose(distribution(LOGITS, 0.5), squared / squared.sum())
    np.testing.assert_array_equal(distribution(LOGITS, 0.0), [0, 1, 0, 0])
    np.testing.assert_array_equal(distribution(np.array([2.0, 5.0, 5.0]), 0.0), [0, 1, 0])


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    np.testing.assert_allclose(distribution(LOGITS, 1.0, 0.39), [0, 1, 0, 0])
    np.testing.assert_allclose(distribution(LOGITS, 1.0, 0.6), [0, 4 / 7, 3 / 7, 0])
    np.testing.assert_allclose(distribution(LOGITS, 1.0, 0.85), [0, 4 / 9, 3 / 9, 2 / 9])
    np.testing.assert_allclose(distribution(LOGITS, 1.0, 0.95), [0.1, 0.4, 0.3, 0.2])


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=9), st.floats(0.05, 5.0), st.floats(0.01, 1.0))
def test_a_distribution_sums_to_one_and_keeps_the_likeliest(logits: list[float], heat: float, top_p: float) -> None:
    found = distribution(np.array(logits), heat, top_p)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0.0).all()
    assert logits[int(np.argmax(found))] == pytest.approx(max(logits))


@pytest.mark.parametrize(("heat", "top_p"), [(-0.1, 1.0), (float("nan"), 1.0), (1.0, 0.0), (1.0, 1.5)])
def test_impossible_settings_are_refused(heat: float, top_p: float) -> None:
    with pytest.raises(ValueError, match=r"temperature is|top_p is"):
        distribution(LOGITS, heat, top_p)


def test_draws_follow_their_distribution_and_never_take_the_impossible() -> None:
    wanted = np.array([0.0, 0.5, 0.0, 0.2, 0.3, 0.0])
    draws = 40_000
    chosen = SeededChance([np.random.default_rng(0)]).choose(np.broadcast_to(wanted, (1, draws, 6)))
    counts = np.bincount(chosen[0], minlength=6)
    possible = wanted > 0.0
    assert counts[~possible].sum() == 0
    expected = draws * wanted[possible]
    # 99.9th percentile of chi-square with 2 degrees of freedom.
    assert ((counts[possible] - expected) ** 2 / expected).sum() < 13.8


class Edge(np.random.Generator):
    """Draws exactly 0, the smallest number a generator can give."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def random(self, size: object = None, *_: object) -> np.ndarray:  # type: ignore[override]
        return np.zeros(size)  # type: ignore[call-overload]


def test_a_draw_of_zero_skips_impossible_tokens_and_accepts_only_what_is_possible() -> None:
    chance = SeededChance([Edge()])
    assert chance.choose(np.array([[0.0, 0.0, 0.7, 0.3]])).tolist() == [2]
    assert chance.accept(np.array([[0.0, 0.1]])).tolist() == [[False, True]]
