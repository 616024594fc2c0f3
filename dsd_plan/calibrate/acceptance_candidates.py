"""The candidate laws of acceptance: each fitted to every fold's training requests and judged on the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.baum_welch import fit_hidden
from dsd_plan.calibrate.chains import Chain, alone, beta_chain, independent_chain
from dsd_plan.calibrate.round_table import RoundTable

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A fitted law: its chain, the log-likelihood of each request under a fit that has not seen it, its numbers."""

    name: str
    kind: str
    parameters: int
    chain: Chain
    held_out: Array
    """Nats, shape (requests,)."""
    per_token: float | None = None
    beta: tuple[float, float] | None = None


def folds_of(requests: int, folds: int, seed: int) -> Array:
    """Weights of requests: row 0 trains on all, row f on all but fold f's."""
    fold = np.random.default_rng(seed).permutation(requests) % folds
    weights = np.ones((folds + 1, requests))
    weights[1 + fold, np.arange(requests)] = 0.0
    return weights


def independent(table: RoundTable, weights: Array, window: int) -> Candidate:
    """One rate: kept over tried, which is its likeliest value."""
    tried, kept = table.reached(window).sum(axis=1), table.kept(window).sum(axis=1)
    rate = (weights @ kept + 0.5) / (weights @ tried + 1.0)
    scores = np.log(rate)[:, None] * kept + np.log1p(-rate)[:, None] * (tried - kept)
    rate_of_all = float(kept.sum() / tried.sum())
    chain = independent_chain(rate_of_all, window)
    return Candidate("independent", "independent", 1, chain, _unseen(scores, weights), per_token=rate_of_all)


def positional(table: RoundTable, weights: Array, window: int) -> Candidate:
    """A rate for each position, given that all before it were kept."""
    tried, kept = table.reached(window), table.kept(window)
    rate = (weights @ kept + 0.5) / (weights @ tried + 1.0)
    scores = np.log(rate) @ kept.T + np.log1p(-rate) @ (tried - kept).T
    survival = np.cumprod(kept.sum(axis=0) / np.maximum(tried.sum(axis=0), 1.0))
    return Candidate("positional", "positional", window, alone(survival), _unseen(scores, weights))


def beta_mixed(table: RoundTable, weights: Array, window: int) -> Candidate:
    """A rate a request, from a Beta law: P(kept, missed) = B(a + kept, b + missed) / B(a, b)."""
    from scipy.optimize import minimize
    from scipy.special import betaln

    kept = table.kept(window).sum(axis=1)
    missed = table.reached(window).sum(axis=1) - kept

    def scores_at(point: Array) -> Array:
        mean, size = 1.0 / (1.0 + np.exp(-point[0])), np.exp(point[1])
        a, b = mean * size, (1.0 - mean) * size
        return np.asarray(betaln(a + kept, b + missed) - betaln(a, b))

    mean = float(kept.sum() / (kept.sum() + missed.sum()))
    first = np.array([np.log(mean / (1.0 - mean)), np.log(30.0)])
    bounds = [(-12.0, 12.0), (-3.0, 9.0)]  # beyond e^9 a Beta law is as good as one rate
    points = []
    for row in weights:
        found = minimize(lambda p, row=row: -float(row @ scores_at(p)), first, method="L-BFGS-B", bounds=bounds)
        points.append(found.x)
        first = points[0]
    scores = np.array([scores_at(point) for point in points])
    centre, size = 1.0 / (1.0 + np.exp(-points[0][0])), np.exp(points[0][1])
    a, b = float(centre * size), float((1.0 - centre) * size)
    return Candidate("beta", "beta", 2, beta_chain(a, b, window), _unseen(scores, weights), beta=(a, b))


def markov(table: RoundTable, weights: Array, window: int, states: int) -> Candidate:
    """States that last over rounds, each with its own rate by position."""
    hidden = fit_hidden(table, weights, states, window)
    chain = Chain(np.cumprod(hidden.keep[0], axis=1), hidden.transition[0], hidden.start[0])
    parameters = states * window + states * (states - 1) + states - 1
    return Candidate(f"markov-{states}", "markov", parameters, chain, _unseen(hidden.log_likelihood, weights))


def _unseen(scores: Array, weights: Array) -> Array:
    """Of scores (folds + 1, requests), each request's in the fold that left it out."""
    return np.asarray(((1.0 - weights) * scores).sum(axis=0))
