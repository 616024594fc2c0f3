"""When does a renewal process of steps first pass a given age, and how long is the step that straddles it?

A step lasts t₀ plus a normal fluctuation plus a compound Poisson number of jumps. With S_m the length of m steps and
the age a normal (D, s²), the mean time to the end of the straddling step is, by Wald's identity,
A = E[step] · (1 + Σ_m P(S_m < D)), and that step's mean length is M = A − Σ_m E[S_m; S_m < D] / m.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.queueing.distributions import normal
from dsd_plan.queueing.population import log_factorials

Array = NDArray[np.float64]

MOST_STEPS = 24
"""Ages beyond so many mean steps see the stationary residual life."""
FEW_STEPS = 6
"""Up to here jumps are counted one by one; beyond, their sum is as good as normal."""
MOST_JUMPS = 10
PERIOD_BLUR = 0.02
"""Steps are never quite equal; this share of a mean step keeps an exact multiple from deciding by rounding."""


class Steps(NamedTuple):
    """The steps of one or more processes; each field has shape (processes,)."""

    mean: Array
    variance: Array
    """Of a whole step; `smooth` is the part that is not jumps."""
    smooth: Array
    jumps: Array
    """Mean number of jumps a step."""
    jump: float
    """Mean length of a jump, and its variance."""
    jump_variance: float


class Passage(NamedTuple):
    """Shapes (processes, ages)."""

    end: Array
    """A: mean time from age 0 to the end of the straddling step."""
    length: Array
    """M: mean length of the straddling step."""


def first_passage(steps: Steps, ages: Array, variances: Array) -> Passage:
    """A and M for every process and every age (with its variance), both of shape (ages,) or (processes, ages)."""
    ages, variances = np.atleast_2d(ages), np.atleast_2d(variances)
    mean, variance = steps.mean[:, None], steps.variance[:, None]
    spread = float(np.sqrt(np.max(variances + 0.0))) if ages.size else 0.0
    longest = (float(np.max(ages, initial=0.0)) + 4.0 * spread) / float(steps.mean.min())
    count = int(min(MOST_STEPS, np.ceil(longest + 4.0 * np.sqrt(longest + 1.0))))
    reached = np.zeros((steps.mean.size, ages.shape[1]))
    part = np.zeros_like(reached)
    for few, sums in ((True, np.arange(1, min(count, FEW_STEPS) + 1)), (False, np.arange(FEW_STEPS + 1, count + 1))):
        if sums.size:
            more = _jump_by_jump(steps, sums, ages, variances) if few else _normal_sum(steps, sums, ages, variances)
            reached += more[0]
            part += more[1]
    end = mean * (1.0 + reached)
    length = np.minimum(np.maximum(end - part, 0.8 * mean), mean + 2.0 * variance / mean)
    far = ages >= MOST_STEPS * mean
    second = mean**2 + variance
    return Passage(
        np.where(far, ages + second / (2.0 * mean), end),
        np.where(far, second / mean, length),
    )


def _jump_by_jump(steps: Steps, sums: NDArray[np.int64], ages: Array, variances: Array) -> tuple[Array, Array]:
    """Axes: process, age, number of steps, number of jumps (the last stands for itself and more)."""
    m = sums[None, :]
    jumps = m * steps.jumps[:, None]
    counts = np.arange(MOST_JUMPS)
    logs = counts * np.log(np.maximum(jumps, 1e-300))[..., None] - jumps[..., None] - log_factorials(1024)[counts]
    chance = np.exp(logs)
    rest = np.maximum(1.0 - chance.sum(axis=-1), 0.0)
    chance[..., -1] += rest
    fixed = (steps.mean - steps.jumps * steps.jump)[:, None] * m
    sum_mean = fixed[..., None] + counts * steps.jump
    sum_variance = (m * steps.smooth[:, None] + (PERIOD_BLUR * steps.mean[:, None]) ** 2)[..., None]
    sum_variance = sum_variance + counts * steps.jump_variance
    below, part = _below(sum_mean[:, None], sum_variance[:, None], ages, variances)
    weights = chance[:, None]
    return (weights * below).sum(axis=(-1, -2)), ((weights * part).sum(axis=-1) / sums).sum(axis=-1)


def _normal_sum(steps: Steps, sums: NDArray[np.int64], ages: Array, variances: Array) -> tuple[Array, Array]:
    sum_mean = steps.mean[:, None] * sums
    sum_variance = steps.variance[:, None] * sums + (PERIOD_BLUR * steps.mean[:, None]) ** 2
    below, part = _below(sum_mean[:, None, :, None], sum_variance[:, None, :, None], ages, variances)
    return below[..., 0].sum(axis=-1), (part[..., 0] / sums).sum(axis=-1)


def _below(mean: Array, variance: Array, ages: Array, variances: Array) -> tuple[Array, Array]:
    """P(S < D) and E[S; S < D] for normal S and D."""
    both = np.sqrt(variance + variances[:, :, None, None])
    chance, density = normal((ages[:, :, None, None] - mean) / both)
    return chance, mean * chance - variance / both * density


def overflow(mean: Array, variance: Array, most: int, horizon: Array) -> Array:
    """Mean number left behind by a server that takes at most `most` of a normal number of arrivals a step.

    Spitzer's identity for the reflected walk, E[W] = Σ_i E[(S_i − i·most)⁺] / i. In a closed system the sum of
    arrivals over a whole cycle of `horizon` steps is fixed, so S_i is a bridge: variance i v (1 − i / horizon).
    """
    steps = np.arange(1, 41)
    inside = steps < horizon[:, None]
    spread = np.sqrt(np.maximum(steps * variance[:, None] * (1.0 - steps / horizon[:, None]), 1e-12))
    drift = steps * (mean - most)[:, None]
    chance, density = normal(drift / spread)
    behind: Array = np.where(inside, (drift * chance + spread * density) / steps, 0.0).sum(axis=-1)
    return behind
