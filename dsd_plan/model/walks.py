"""Recorded acceptance, walked round by round from the start of each recorded request."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import Acceptance, RoundTrace, TokenTrace
from dsd_plan.domain.acceptance_laws import DependentLaw

Array = NDArray[np.float64]


class Walk(NamedTuple):
    """What was recorded, to be walked round by round, in a circle."""

    starts: NDArray[np.int64]
    """Where each recorded request begins."""
    accepted: NDArray[np.int64]
    """By place: accepted in a round that begins there."""
    following: NDArray[np.int64]
    """By place: where the next round begins."""


@lru_cache(maxsize=64)
def walk_of(acceptance: Acceptance | DependentLaw | None, window: int) -> Walk | None:
    """The walk of a token trace at this window, or of rounds that were recorded at it; None where rounds are drawn.

    A round of a token trace accepts the run of matches up to the window and skips the first miss; a recorded round is
    what it was.
    """
    if isinstance(acceptance, TokenTrace):
        runs = runs_of(acceptance)
        accepted = np.minimum(runs, window)
        return Walk(acceptance.request_starts(), accepted, (np.arange(runs.size) + accepted + 1) % runs.size)
    if isinstance(acceptance, RoundTrace) and bool((acceptance.proposed == window).all()):
        size = acceptance.accepted.size
        return Walk(acceptance.request_starts(), acceptance.accepted.astype(np.int64), (np.arange(size) + 1) % size)
    return None


def moments_along(walk: Walk, most: int) -> Array:
    """E[K], E[K²], E[K³] of the rounds to emit 0 … `most` tokens from the start of a recorded request; (3, most + 1).

    K(n) ≥ r where less than n came before round r.
    """
    place = walk.starts.copy()
    emitted = np.zeros(place.size, dtype=np.int64)
    found = np.zeros((3, most + 1))
    turn = 0
    while (emitted < most).any():
        turn += 1
        below = np.cumsum(np.bincount(emitted[emitted < most], minlength=most)) / place.size
        found[:, 1:] += np.array([[1.0], [2.0 * turn - 1.0], [3.0 * turn**2 - 3.0 * turn + 1.0]]) * below
        emitted += walk.accepted[place] + 1
        place = walk.following[place]
    return found


def rounds_along(walk: Walk, window: int, tokens: int) -> tuple[Array, float]:
    """Rounds to emit `tokens` from the start of each recorded request, and the accepted share of proposals."""
    place = walk.starts.copy()
    emitted = np.zeros(place.size, dtype=np.int64)
    counts = np.zeros(place.size)
    accepted_total = proposed_total = 0.0
    while True:
        going = emitted < tokens
        if not going.any():
            break
        accepted = walk.accepted[place]
        counts += going
        accepted_total += float(accepted[going].sum())
        proposed_total += window * int(going.sum())
        emitted += accepted + 1
        place = walk.following[place]
    return counts, accepted_total / proposed_total


@lru_cache(maxsize=64)
def runs_of(trace: TokenTrace) -> NDArray[np.int64]:
    """From each token on, how many matches follow before the first miss; a recording without a miss never ends."""
    size = trace.match.size
    misses = np.flatnonzero(trace.match == 0)
    if misses.size == 0:
        return np.full(size, np.iinfo(np.int32).max, dtype=np.int64)
    following = np.concatenate([misses, misses[:1] + size])
    places = np.arange(size)
    runs: NDArray[np.int64] = (following[np.searchsorted(misses, places)] - places).astype(np.int64)
    return runs
