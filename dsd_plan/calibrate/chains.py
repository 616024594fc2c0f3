"""What a law says of rounds. Every law is a chain of states, each with its survival by position.

Independent and positional: one state. Beta: many states that never change, one rate each. Markov: few that do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BETA_STATES = 200
"""Requests' rates are stood for by the middles of so many equally likely parts of their Beta law."""
EXACT_TOKENS = 4000
"""Tokens of a request whose rounds are counted one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """`survival` (states, positions), `transition` (states, states), `start` (states,)."""

    survival: Array
    transition: Array
    start: Array

    def pmfs(self, window: int) -> Array:
        """P(accepted = j | state), shape (states, window + 1)."""
        size = self.survival.shape[0]
        curve = np.hstack([np.ones((size, 1)), self.survival[:, :window], np.zeros((size, 1))])
        return curve[:, :-1] - curve[:, 1:]

    def shares(self, window: int, tokens: Array | None = None) -> Array:
        """Share of all rounds that each state has: of requests that take rounds until `tokens` (requests,) are
        emitted, counted from the first round; without them, over many long requests of like length.

        States that never change take rounds in inverse proportion to the tokens that a round of them emits.
        """
        if tokens is not None and np.any(tokens > 0):
            begun = self.rounds_begun(window, int(tokens.max()))
            rounds = begun[np.maximum(tokens, 0).astype(np.int64)].sum(axis=0)
            return np.asarray(rounds / rounds.sum())
        if np.array_equal(self.transition, np.eye(self.start.size)):
            weights = self.start / (1.0 + self.survival[:, :window].sum(axis=1))
            return np.asarray(weights / weights.sum())
        size = self.start.size
        system = np.vstack([self.transition.T - np.eye(size), np.ones(size)])
        solved, *_ = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)
        return np.asarray(np.clip(solved, 0.0, None) / np.clip(solved, 0.0, None).sum())

    def rounds_begun(self, window: int, most: int) -> Array:
        """Expected rounds in each state that a request takes to emit n = 0 … `most` tokens, shape (most + 1, states).

        Exact up to 4,000 tokens (forward equations over tokens emitted and state: a round is taken at every place below
        n that is passed); from there on each state keeps the rate at which it was taken over the last quarter.
        """
        pmfs, size = self.pmfs(window), self.start.size
        last = min(most, EXACT_TOKENS)
        stays = np.array_equal(self.transition, np.eye(size))
        back = pmfs.T[::-1]  # row i: a round of `window + 1 - i` tokens
        # Row n + window + 1: P(a round begins with n tokens emitted, in this state).
        at = np.zeros((last + window + 1, size))
        for n in range(last):
            before = (at[n : n + window + 1] * back).sum(axis=0)
            at[n + window + 1] = self.start if n == 0 else before if stays else before @ self.transition
        begun = np.vstack([np.zeros(size), np.cumsum(at[window + 1 :], axis=0)])
        if most == last:
            return begun
        rate = (begun[last] - begun[last - last // 4]) / (last // 4)
        return np.vstack([begun, begun[last] + np.arange(1.0, most - last + 1)[:, None] * rate])

    def accepted_pmf(self, window: int, shares: Array | None = None) -> Array:
        """P(accepted = j) of a round picked from all, shape (window + 1,); `shares` of another way to pick."""
        return np.asarray((self.shares(window) if shares is None else shares) @ self.pmfs(window))

    def tokens_per_round(self, window: int, shares: Array | None = None) -> float:
        """Tokens over rounds: 1 + E[accepted]; a request's surplus over its length counts (Wald)."""
        return float(1.0 + np.arange(window + 1) @ self.accepted_pmf(window, shares))

    def accepted_variance(self, window: int, shares: Array | None = None) -> float:
        """Var[accepted] of a round picked from all."""
        pmf, values = self.accepted_pmf(window, shares), np.arange(window + 1)
        return float(values**2 @ pmf - (values @ pmf) ** 2)

    def rounds_moments(self, window: int, tokens: int) -> tuple[float, float]:
        """Mean and variance of the rounds in which a request emits `tokens`, exactly (backward equations)."""
        pmfs = self.pmfs(window)
        size = self.start.size
        # Row n + window holds what is left to do with n tokens missing; rows up to `window` need no round.
        first = np.zeros((tokens + window + 1, size))
        second = np.zeros_like(first)
        for missing in range(1, tokens + 1):
            at = missing + window
            ahead = slice(at - window - 1, at)
            mean = np.einsum("zj,jz->z", pmfs, (first[ahead] @ self.transition.T)[::-1])
            square = np.einsum("zj,jz->z", pmfs, (second[ahead] @ self.transition.T)[::-1])
            first[at] = 1.0 + mean
            second[at] = 1.0 + 2.0 * mean + square
        mean_rounds = float(self.start @ first[-1])
        return mean_rounds, float(self.start @ second[-1]) - mean_rounds**2


def alone(survival: Array) -> Chain:
    """Rounds that do not depend on one another."""
    return Chain(survival[None, :], np.ones((1, 1)), np.ones(1))


def independent_chain(per_token: float, window: int) -> Chain:
    """Every token accepted with the same probability."""
    return alone(per_token ** np.arange(1.0, window + 1))


def beta_chain(a: float, b: float, window: int) -> Chain:
    """One rate a request, drawn from Beta(a, b)."""
    from scipy.special import betaincinv

    rates = betaincinv(a, b, (np.arange(BETA_STATES) + 0.5) / BETA_STATES)
    survival = rates[:, None] ** np.arange(1.0, window + 1)
    return Chain(survival, np.eye(BETA_STATES), np.full(BETA_STATES, 1.0 / BETA_STATES))
