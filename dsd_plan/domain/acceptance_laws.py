"""Acceptance whose rounds depend on one another: a rate that lasts a request, or states that last over rounds.

Both are read as a chain: a request begins in a state, each round draws its accepted tokens by its state, and then the
state moves on. A rate from a Beta law is a state that never moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.records import Count, Positive, Probability, record

Array = NDArray[np.float64]

BETA_STATES = 200
"""Rates of requests are stood for by the middles of so many equally likely parts of their Beta law."""


@record
class BetaLaw:
    """Each request draws one rate from Beta(a, b); its tokens are then accepted independently."""

    a: Positive
    b: Positive
    largest_window: Count
    measured_window: Count
    proposal: Literal["argmax", "sampled"] | None = None
    """How the draft chose the proposals that the law was fitted to; None: not told."""


@record
class MarkovLaw:
    """Each round draws from the survival of its state; states pass on by `transition`."""

    states: tuple[tuple[Probability, ...], ...]
    """states[z][i − 1] = P(first i proposals all accepted) in state z."""
    transition: tuple[tuple[Probability, ...], ...]
    start: tuple[Probability, ...]
    largest_window: Count
    measured_window: Count
    proposal: Literal["argmax", "sampled"] | None = None
    """How the draft chose the proposals that the law was fitted to; None: not told."""


DependentLaw = BetaLaw | MarkovLaw


@dataclass(frozen=True, slots=True, eq=False)
class RoundStates:
    """A law at one window, ready to draw from. A state is drawn at a request's start, moves after every round."""

    start: Array
    """P(state of the first round), shape (states,)."""
    accepted: Array
    """P(accepted = j | state), shape (states, window + 1)."""
    transition: Array | None
    """P(state of the next round | state of this one), shape (states, states); None: states never move."""

    def start_cdf(self) -> Array:
        """Cumulated `start`: the state is the first index whose value exceeds a uniform number of [0, 1)."""
        return _cumulated(self.start)

    def accepted_cdf(self) -> Array:
        """Cumulated `accepted`, by state."""
        return _cumulated(self.accepted)

    def transition_cdf(self) -> Array | None:
        """Cumulated `transition`, by state; None: states never move."""
        return None if self.transition is None else _cumulated(self.transition)

    def moved(self, by_state: Array) -> Array:
        """Expectation, by state of this round, of a value by state of the next."""
        return by_state if self.transition is None else np.asarray(self.transition @ by_state)


class RoundMoments(NamedTuple):
    """Of the rounds in which a request emits n = 0 … most tokens."""

    rounds: Array
    """E[K], E[K²], E[K³], shape (3, most + 1)."""
    accepted: Array
    """Expected accepted proposals in these rounds, a surplus over n included, shape (most + 1,)."""


def rate_quantiles(law: BetaLaw, count: int = BETA_STATES) -> Array:
    """The rates at probabilities (i + ½) / count, i = 0 … count − 1: a request draws one, equally likely each."""
    from scipy.special import betaincinv

    return np.asarray(betaincinv(law.a, law.b, (np.arange(count) + 0.5) / count), dtype=np.float64)


@lru_cache(maxsize=128)
def round_states(law: DependentLaw, window: int) -> RoundStates:
    """The law at a window. Raises ValueError past the largest window that it may be used for."""
    if not 1 <= window <= law.largest_window:
        raise ValueError(f"window {window} lies outside what acceptance was measured for (1–{law.largest_window})")
    if isinstance(law, BetaLaw):
        survival = rate_quantiles(law)[:, None] ** np.arange(1.0, window + 1)
        start, transition = np.full(BETA_STATES, 1.0 / BETA_STATES), None
    else:
        survival = np.array([curve[:window] for curve in law.states])
        start, transition = _normal(np.array(law.start)), _normal(np.array(law.transition))
    size = survival.shape[0]
    curve = np.hstack([np.ones((size, 1)), survival, np.zeros((size, 1))])
    return RoundStates(start, curve[:, :-1] - curve[:, 1:], transition)


@lru_cache(maxsize=256)
def round_moments(law: DependentLaw, window: int, most: int) -> RoundMoments:
    """Exact moments by backward equations: K(n, z) = 1 + K(n − X − 1, Z'), X and Z' drawn in state z."""
    states = round_states(law, window)
    size = states.start.size
    kept = states.accepted @ np.arange(window + 1.0)
    # Row n + window of each: expected K, K², K³ and accepted with n tokens to go; nothing to go needs no round.
    at = np.zeros((most + window + 1, 4, size))
    ahead = np.zeros_like(at)  # the same, before the state moves
    back = states.accepted.T[::-1]
    for n in range(1, most + 1):
        first, second, third, accepted = np.einsum("jz,jmz->mz", back, ahead[n - 1 : n + window])
        at[n + window] = (
            1.0 + first,
            1.0 + 2.0 * first + second,
            1.0 + 3.0 * first + 3.0 * second + third,
            kept + accepted,
        )
        ahead[n + window] = states.moved(at[n + window].T).T
    told = at[window:] @ states.start
    return RoundMoments(told[:, :3].T.copy(), told[:, 3].copy())


def rounds_pmf(law: DependentLaw, window: int, tokens: int) -> Array:
    """P(K = k), k = 0 …, of the rounds K in which a request emits `tokens`, exactly."""
    if tokens <= 0:
        return np.ones(1)
    states = round_states(law, window)
    below = np.zeros((tokens, states.start.size))
    below[0] = states.start
    survival = [1.0]
    while survival[-1] > 0.0:
        after = np.zeros_like(below)
        for j in range(min(window + 1, tokens - 1)):
            after[j + 1 :] += below[: tokens - j - 1] * states.accepted[:, j]
        below = after if states.transition is None else after @ states.transition
        survival.append(float(below.sum()) if len(survival) < tokens else 0.0)
    return np.asarray(np.maximum(-np.diff([1.0, *survival]), 0.0))


def accepted_pmf_of(law: DependentLaw, window: int, tokens: int) -> Array:
    """P(accepted = j) of a round picked from all those of requests of `tokens` tokens, shape (window + 1,)."""
    states = round_states(law, window)
    begun = np.zeros((tokens + window + 1, states.start.size))
    # Row n + window + 1: P(a round begins with n tokens emitted, in this state).
    for n in range(tokens):
        before = (begun[n : n + window + 1] * states.accepted.T[::-1]).sum(axis=0)
        moved = before if states.transition is None else before @ states.transition
        begun[n + window + 1] = states.start if n == 0 else moved
    rounds = begun.sum(axis=0)
    return np.asarray(rounds @ states.accepted / rounds.sum())


def survival_of(law: DependentLaw, window: int, tokens: int) -> Array:
    """P(first i proposals all accepted), i = 1 … window, of such a round."""
    return np.asarray(np.cumsum(accepted_pmf_of(law, window, tokens)[::-1])[::-1][1:])


def _normal(rows: Array) -> Array:
    """Probabilities written with few digits, made to sum to 1."""
    return np.asarray(rows / rows.sum(axis=-1, keepdims=True))


def _cumulated(rows: Array) -> Array:
    """Running sums that end at 1 exactly, so that no draw falls past the last."""
    found = np.cumsum(rows, axis=-1)
    found[..., -1] = 1.0
    return np.asarray(found)
