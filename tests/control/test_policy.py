"""Policies are pure: the same state and observation give the same decision, compiled or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numba.extending import register_jitable

from dsd_plan.control.policy import (
    KINDS,
    STATIC,
    Decision,
    Observation,
    Policy,
    decide,
    initial_state,
    static,
    threshold,
)

NOTHING_SEEN = Observation(0, 0, 0.0, 0.0, 0.0, 0, 0)
counts = st.integers(0, 100)
times = st.floats(0.0, 1e4)


@given(st.integers(1, 12), st.builds(Observation, counts, counts, times, times, times, counts, counts))
def test_static_keeps_the_window_whatever_happens(window: int, observation: Observation) -> None:
    policy = Policy(STATIC, window)
    state, decision = decide(policy, initial_state(policy), observation)
    assert decision == Decision(window)
    assert decide(policy, state, observation) == (state, decision)


def after(*rounds: tuple[int, int]) -> list[int]:
    """Windows that a threshold policy which begins at 4 chooses after rounds of (accepted, proposed)."""
    policy = Policy(KINDS["threshold"], 4, largest=6)
    state, windows = initial_state(policy), []
    for accepted, proposed in rounds:
        state, decision = decide(policy, state, NOTHING_SEEN._replace(accepted=accepted, proposed=proposed))
        windows.append(decision.window)
    return windows


def test_threshold_follows_the_smoothed_share() -> None:
    """Shares 1, then 1 + .3·(0 − 1) = .7, .49, and .3·1 + .7·.49 = .643."""
    assert after((4, 4), (0, 5), (0, 5), (4, 4)) == [5, 5, 4, 4]


def test_threshold_stays_in_its_range_and_learns_nothing_from_nothing() -> None:
    assert after(*[(4, 4)] * 5) == [5, 6, 6, 6, 6]
    assert after(*[(0, 4)] * 5) == [3, 2, 1, 1, 1]
    assert after((0, 0), (0, 0), (4, 4), (0, 0)) == [4, 4, 5, 5]


def test_a_kind_without_a_policy_is_an_error() -> None:
    with pytest.raises(ValueError, match="KINDS"):
        decide(Policy(99, 4), initial_state(Policy(99, 4)), NOTHING_SEEN)


def test_compiled_code_decides_the_same() -> None:
    register_jitable(static)
    register_jitable(threshold)
    register_jitable(decide)

    @njit
    def window_of(kind: int, window: int) -> int:
        policy = Policy(kind, window, 1, 12, 0.8, 0.5, 0.3)
        state, decision = decide(policy, initial_compiled(policy), Observation(1, 4, 20.0, 3.0, 25.0, 7, 2))
        return decision.window + 100 * state.window

    initial_compiled = register_jitable(initial_state)
    assert window_of(KINDS["static"], 5) == 505
    assert window_of(KINDS["threshold"], 5) == 404
