"""Few-state chains over rounds, fitted by expectation–maximisation, for several weightings of requests at once.

Baum, Petrie, Soules, Weiss (1970). Every fold of a cross-validation is one weighting, a row of weights over requests;
all of them run through the same loops. A state keeps position i, once reached, with its own probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.round_table import RoundTable

Array = NDArray[np.float64]

MOST_STEPS = 60
ENOUGH = 1e-5
"""Gain in log-likelihood a round below which fitting ends."""
PRIOR_ROUNDS = 1.0
"""Rounds that each position of each state is thought to have seen, half of them kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Fitted states: `keep` (weightings, states, window), `transition`, `start`, and `log_likelihood` by request."""

    keep: Array
    transition: Array
    start: Array
    log_likelihood: Array
    """Shape (weightings, requests), of every request, weighted or not."""


def fit_hidden(table: RoundTable, weights: Array, states: int, window: int) -> Hidden:
    """Fit `states` states to every row of `weights` (weightings, requests)."""
    kinds, of_round = np.unique(np.stack([table.proposed, table.accepted], 1), axis=0, return_inverse=True)
    positions = np.arange(1, window + 1)
    kept = (positions <= kinds[:, 1:]).astype(np.float64)
    lost = ((positions == kinds[:, 1:] + 1) & (positions <= kinds[:, :1])).astype(np.float64)
    codes = _padded(table, of_round.reshape(-1))

    folds = weights.shape[0]
    tried_all, kept_all = table.reached(window), table.kept(window)
    pooled = (weights @ kept_all + 0.5) / (weights @ tried_all + 1.0)
    tilt = np.linspace(-1.2, 1.2, states)[None, :, None]
    odds = np.log(pooled / (1 - pooled))[:, None, :] + tilt
    keep = 1.0 / (1.0 + np.exp(-odds))
    stay = 0.8
    transition = np.full((folds, states, states), (1 - stay) / (states - 1))
    transition[:, np.arange(states), np.arange(states)] = stay
    start = np.full((folds, states), 1.0 / states)

    before = np.full(folds, -np.inf)
    rounds = np.maximum(weights @ tried_all[:, 0], 1.0)
    for step in range(MOST_STEPS):
        emission = np.exp(np.log(keep) @ kept.T + np.log1p(-keep) @ lost.T)  # (folds, states, kinds)
        log_likelihood, occupied, moves, first = _expect(codes, emission, transition, start, weights, len(kinds))
        now = (weights * log_likelihood).sum(axis=1)
        if step == MOST_STEPS - 1 or bool(np.all(now - before < ENOUGH * rounds)):
            break
        before = now
        tries = occupied @ (kept + lost) + PRIOR_ROUNDS
        keep = np.clip((occupied @ kept + 0.5 * PRIOR_ROUNDS) / tries, 1e-6, 1 - 1e-6)
        moves += 0.5
        transition = moves / moves.sum(axis=2, keepdims=True)
        first += 0.5
        start = first / first.sum(axis=1, keepdims=True)
    return Hidden(keep, transition, start, log_likelihood)


def _padded(table: RoundTable, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Kind of each round, shape (requests, most rounds of one); −1 past a request's end."""
    starts = np.flatnonzero(np.diff(table.request, prepend=-1))
    lengths = np.diff(np.append(starts, table.request.size))
    padded = np.full((starts.size, int(lengths.max())), -1, dtype=np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = codes
    return padded


def _expect(
    codes: NDArray[np.int64], emission: Array, transition: Array, start: Array, weights: Array, kinds: int
) -> tuple[Array, Array, Array, Array]:
    """Scaled forward–backward: log-likelihood by request, rounds by state and kind, moves, states of first rounds."""
    folds, states, _ = emission.shape
    requests, longest = codes.shape
    table = np.concatenate([emission, np.ones((folds, states, 1))], axis=2).transpose(0, 2, 1)  # −1 takes the ones
    forward = np.empty((longest, folds, requests, states))
    scale = np.empty((longest, folds, requests))
    seen = [table[:, codes[:, t], :] for t in range(longest)]
    for t in range(longest):
        ahead = start[:, None, :] if t == 0 else forward[t - 1] @ transition
        joint = ahead * seen[t]
        scale[t] = joint.sum(axis=2)
        forward[t] = joint / scale[t][:, :, None]
    log_likelihood = np.log(scale).sum(axis=0)

    occupied = np.zeros((folds, kinds + 1, states))
    moves = np.zeros((folds, states, states))
    backward = np.ones((folds, requests, states))
    membership = np.zeros((requests, kinds + 1))
    rows = np.arange(requests)
    for t in range(longest - 1, -1, -1):
        posterior = forward[t] * backward * weights[:, :, None]
        membership[rows, codes[:, t]] = 1.0
        occupied += np.einsum("rk,frz->fkz", membership, posterior, optimize=True)
        membership[rows, codes[:, t]] = 0.0
        if t == 0:
            first = posterior.sum(axis=1)
            break
        tail = seen[t] * backward / scale[t][:, :, None]
        alive = weights * (codes[:, t] >= 0)
        moves += transition * ((forward[t - 1] * alive[:, :, None]).transpose(0, 2, 1) @ tail)
        backward = tail @ transition.transpose(0, 2, 1)
    return log_likelihood, occupied[:, :kinds].transpose(0, 2, 1), moves, first
