"""Prompts that a token budget makes wait: what steps leave over, and how many more steps a prompt takes for it.

A step computes at most b prompt tokens. With A those that come while one runs, what is left when a step is planned is
the reflected walk W' = (W + A − b)⁺; its law follows from Spitzer's identities (1956) for S_n, n steps' A less n·b.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.queueing.distributions import normal
from dsd_plan.queueing.population import log_factorials

Array = NDArray[np.float64]

EXACT, MOST = 6, 40
"""Sums of so many steps with whole prompts, and with normal numbers of tokens."""
COUNTS = 48
FEWEST = 1e-12
COUNTS_OF = np.arange(float(COUNTS))


class Backlog(NamedTuple):
    """Prompt tokens that are left over when a step is planned, shape (grid,)."""

    chance: Array
    """P(W > 0)."""
    mean: Array
    """E[W; W > 0] / P(W > 0)."""


def backlog(coming: Array, size: float, budget: Array) -> Backlog:
    """Of `coming` prompts a step (Poisson), each of `size` tokens, where steps take `budget` tokens of them.

    E[W] = Σ_n E[S_n⁺] / n and P(W = 0) = exp(−Σ_n P(S_n > 0) / n).
    """
    n = np.arange(1, EXACT + 1)
    mean = n * coming[:, None]
    cap = n * budget[:, None] / size
    logs = COUNTS_OF * np.log(np.maximum(mean, FEWEST))[..., None] - mean[..., None] - log_factorials(1024)[:COUNTS]
    below = np.cumsum(np.exp(logs), axis=-1)
    at = np.minimum(np.floor(cap + 1e-9), COUNTS - 1.0).astype(int)
    up_to = np.take_along_axis(below, at[..., None], axis=-1)[..., 0]
    fewer = np.where(at > 0, np.take_along_axis(below, np.maximum(at - 1, 0)[..., None], axis=-1)[..., 0], 0.0)
    over = np.maximum(1.0 - up_to, 0.0)
    excess = np.maximum(size * (mean * np.maximum(1.0 - fewer, 0.0) - cap * over), 0.0)
    positive, total = (over / n).sum(axis=-1), (excess / n).sum(axis=-1)
    n = np.arange(EXACT + 1, MOST + 1)
    drift = n * (size * coming - budget)[:, None]
    spread = size * np.sqrt(np.maximum(n * coming[:, None], FEWEST))
    chance, density = normal(drift / spread)
    positive = positive + (chance / n).sum(axis=-1)
    total = total + (np.maximum(drift * chance + spread * density, 0.0) / n).sum(axis=-1)
    waiting = 1.0 - np.exp(-positive)
    return Backlog(waiting, np.where(waiting > FEWEST, total / np.maximum(waiting, FEWEST), 0.0))


class Behind(NamedTuple):
    """Prompts that end later because of those before them, shape (grid, classes)."""

    chance: Array
    steps: Array
    """By so many steps on average, geometrically many, where at all."""


def steps_behind(left: Backlog, coming: Array, size: float, budget: Array, room: Array) -> Behind:
    """How many steps later a prompt ends because of the prompts before it.

    Its own chunks leave `room` tokens (grid, classes) of their last step to those before it: what was left over, taken
    as exponential where there is any, and j prompts of its own step with P(Poisson > j) / coming, as it comes at any
    time of it. Of what exceeds the room, taken as exponential with mean θ, 1 / (1 − e^(−b/θ)) steps.
    """
    j = np.arange(EXACT + 2.0)
    logs = j * np.log(np.maximum(coming, FEWEST))[:, None] - coming[:, None] - log_factorials(1024)[: j.size]
    before = np.maximum(1.0 - np.cumsum(np.exp(logs), axis=-1), 0.0) / np.maximum(coming, FEWEST)[:, None]
    before[:, 0] += np.maximum(1.0 - before.sum(axis=-1), 0.0)
    over = (j * size)[None, None, :] - room[..., None]
    mean = np.maximum(left.mean, FEWEST)[:, None, None]
    tail = np.where(over > 0.0, 1.0, np.exp(np.minimum(over, 0.0) / mean))
    waiting = left.chance[:, None, None]
    chance = waiting * tail + (1.0 - waiting) * (over > 1e-9)
    excess = waiting * (np.maximum(over, 0.0) + mean * tail) + (1.0 - waiting) * np.maximum(over, 0.0)
    weights = before[:, None, :]
    some = (weights * chance).sum(axis=-1)
    each = (weights * excess).sum(axis=-1) / np.maximum(some, FEWEST)
    return Behind(some, 1.0 / -np.expm1(-budget[:, None] / np.maximum(each, FEWEST)))
