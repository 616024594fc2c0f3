"""How much of a run's beginning is left out: tested, not guessed.

A run begins with empty queues and no live session. MSER-5 (White, Cobb & Spratt, "A comparison of five steady-state
truncation heuristics for simulation", 2000) proposes where that beginning ends: where the mean of what is left is
known best. On a steady series it proposes a late cut by chance every now and then, so the proposal counts only
where the replications agree that what it leaves out is different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.replay.statistics import FEW, drifts, trend

Array = NDArray[np.float64]

BATCH = STAY = 5
FEWEST_BATCHES = 20
"""With fewer there is nothing to see."""
MATERIAL_REST = 0.02
"""Where MSER sees no end of the beginning, the last cut is made only if what it leaves moves by less than this."""
CHANCE_OF_CUT = 0.01
"""A cut made for nothing costs no more than some of the data."""
MATERIAL_BIAS = 0.005
"""A beginning that moves the mean by less than this share may stay."""


class Series(NamedTuple):
    """One workload's E2E by order of start, or the live sessions over time, in one replication."""

    means: Array
    """Of batches of equal size, the same in all replications."""
    cuts: tuple[int, ...]
    """In batches: where each of the cuts lies that could be made."""
    batch: int


class Cut(NamedTuple):
    """The chosen one of the cuts, and what was seen where it is not the first."""

    place: int
    series: str = ""
    excess: float = 0.0
    """By how much the mean of what it leaves out besides lies above the mean of what stays."""


def mser(values: Array, batch: int = BATCH) -> int:
    """MSER: how many of the values to leave out, a multiple of `batch`.

    Minimises Σ_{i>d} (Y_i − Ȳ_d)² / (n − d)² over d, Y the means of batches; the last five of them stay. More than
    half of the values means that no end of the beginning was found.
    """
    n = values.size // batch
    if n <= STAY:
        return 0
    means = values[: n * batch].reshape(n, batch).mean(axis=1)
    left = np.arange(n, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    # Around the overall mean, so that squares of large numbers do not cancel.
    centred = means - means.mean()
    squares = np.cumsum((centred**2)[::-1])[::-1] - (sums - left * means.mean()) ** 2 / left
    score = squares / left**2
    return int(np.argmin(score[: n - STAY + 1])) * batch


def chosen_cut(series: Mapping[str, Sequence[Series]]) -> Cut:
    """The earliest cut that all series allow; by name, one a replication."""
    best = Cut(0)
    for name, replications in series.items():
        found = _of_one(name, replications)
        if found.place > best.place:
            best = found
    return best


def _of_one(name: str, replications: Sequence[Series]) -> Cut:
    length = min(one.means.size for one in replications)
    batch = max(BATCH // replications[0].batch, 1)
    if length < FEWEST_BATCHES * batch or len(replications[0].cuts) < 2:
        return Cut(0)
    together = np.mean([one.means[:length] for one in replications], axis=0)
    proposed = mser(together, batch)
    cuts = replications[0].cuts
    index = next((i for i, cut in enumerate(cuts) if cut >= proposed), len(cuts) - 1)
    if index == 0 or (proposed > cuts[-1] and _still_moving(replications)):
        return Cut(0)
    shares, excesses = [], []
    for one in replications:
        early, late = one.means[one.cuts[0] : one.cuts[index]], one.means[one.cuts[index] :]
        if early.size == 0 or late.size == 0:
            return Cut(0)
        shares.append(early.size / (early.size + late.size))
        excesses.append(float(early.mean() / late.mean()) - 1.0)
    excess = float(np.mean(excesses))
    if abs(excess) * float(np.mean(shares)) < MATERIAL_BIAS:
        return Cut(0)
    behind = min(one.cuts[index] - one.cuts[0] for one in replications) * replications[0].batch
    agreed = drifts(excesses, behind, material=MATERIAL_BIAS, chance=CHANCE_OF_CUT)
    return Cut(index, name, excess) if agreed else Cut(0)


def _still_moving(replications: Sequence[Series]) -> bool:
    """Whether the last cut leaves a trend, or there are too few replications to tell: then no cut would do."""
    rests = [one.means[one.cuts[-1] :] for one in replications]
    half = min(rest.size for rest in rests) // 2
    if len(rests) < FEW or half == 0:
        return True
    trends = [trend(float(rest[:half].mean()), float(rest[half:].mean())) for rest in rests]
    return drifts(trends, half, material=MATERIAL_REST)
