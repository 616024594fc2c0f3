"""How often a draft that goes on at once guesses right: rounds K of a request, and N of them begun with a right guess.

A guess is right when a round is accepted whole and one more proposal would have been: γ + 1 in a row. The first round
of a request has no guess before it, and what follows the last one counts for nothing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import Acceptance, RoundTrace, TokenTrace, accepted_pmf
from dsd_plan.domain.acceptance_laws import BetaLaw, DependentLaw, MarkovLaw, RoundStates, round_states
from dsd_plan.model.moments import Time
from dsd_plan.model.walks import Walk, runs_of, walk_of

Array = NDArray[np.float64]

POWERS = 4
"""Joint moments E[Kⁱ Nʲ] are kept for i, j < 4; those with i + j ≤ 3 are used."""
PASCAL = np.array([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 1.0, 0.0], [1.0, 3.0, 3.0, 1.0]])


@lru_cache(maxsize=256)
def joint_moments(acceptance: Acceptance | DependentLaw, window: int, most: int) -> Array:
    """E[Kⁱ Nʲ] of requests that emit n = 0 … `most` tokens after their first, shape (most + 1, 4, 4).

    Raises ValueError where acceptance is not known up to position window + 1.
    """
    walk = walk_of(acceptance, window)
    if walk is not None:
        return _along(walk, *_rightly(acceptance, walk, window), most)
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        return _drawn(round_states(acceptance, window + 1), window, most)
    return _drawn(RoundStates(np.ones(1), accepted_pmf(acceptance, window + 1)[None, :], None), window, most)


def weighted(joint: Array, longer: float) -> Time:
    """Cumulants of K + `longer` · N: rounds, each after a right guess so much longer (negative: shorter)."""
    first = joint[1, 0] + longer * joint[0, 1]
    second = joint[2, 0] + 2.0 * longer * joint[1, 1] + longer**2 * joint[0, 2]
    third = joint[3, 0] + 3.0 * longer * joint[2, 1] + 3.0 * longer**2 * joint[1, 2] + longer**3 * joint[0, 3]
    central = third - 3.0 * first * second + 2.0 * first**3
    return Time(float(first), float(max(second - first**2, 0.0)), float(central))


def _drawn(states: RoundStates, window: int, most: int) -> Array:
    """By what is left to emit and state z: M(n, z) is one round more than what follows, and that is drawn in z.

    `states` are those of a window of one more: its last position is the guess.
    """
    size = states.start.size
    nothing = np.zeros((POWERS, POWERS))
    nothing[0, 0] = 1.0
    # Row n + window + 1 of each, with n tokens left: behind a wrong guess, behind a right one, before the state moves.
    wrong = np.broadcast_to(nothing, (most + window + 1, size, POWERS, POWERS)).copy()
    right = wrong.copy()
    told = wrong.copy()
    chances = states.accepted[:, : window + 1].T[::-1]
    guessed = states.accepted[:, window + 1]
    for n in range(1, most + 1):
        at = n + window
        after = np.einsum("jz,jzab->zab", chances, wrong[at - window - 1 : at])
        after += guessed[:, None, None] * right[at - window - 1]
        told[at] = PASCAL @ after
        wrong[at] = _moved(states, told[at])
        right[at] = _moved(states, told[at] @ PASCAL.T)
    found: Array = np.einsum("z,nzab->nab", states.start, told[window:])
    return found


def _moved(states: RoundStates, by_state: Array) -> Array:
    size = by_state.shape[0]
    return states.moved(by_state.reshape(size, -1)).reshape(by_state.shape)


def _rightly(acceptance: Acceptance | DependentLaw, walk: Walk, window: int) -> tuple[Array, float]:
    """(by place of a walk the chance of a right guess, the variance of one that is drawn)."""
    if isinstance(acceptance, TokenTrace):
        return (runs_of(acceptance) > window).astype(np.float64), 0.0
    assert isinstance(acceptance, RoundTrace)
    full, more = (float(accepted_pmf(acceptance, w)[-1]) for w in (window, window + 1))
    chance = more / full if full > 0.0 else 0.0
    return chance * (walk.accepted == window), chance * (1.0 - chance)


def _along(walk: Walk, rightly: Array, drawn: float, most: int) -> Array:
    """From the start of each recorded request: K and N step up where a round ends."""
    place, request = walk.starts.copy(), np.arange(walk.starts.size)
    emitted = np.zeros(place.size, dtype=np.int64)
    rounds, hits, full = (np.zeros((place.size, most + 2)) for _ in range(3))
    rounds[:, 1] = 1.0
    while True:
        going = emitted < most
        if not going.any():
            break
        emitted = np.minimum(emitted + walk.accepted[place] + 1, most)
        rounds[request[going], emitted[going] + 1] += 1.0
        hits[request[going], emitted[going] + 1] += rightly[place[going]]
        full[request[going], emitted[going] + 1] += rightly[place[going]] > 0.0
        place = walk.following[place]
    k, n, drawings = (np.cumsum(steps, axis=1)[:, : most + 1] for steps in (rounds, hits, full))
    found = np.empty((most + 1, POWERS, POWERS))
    for i in range(POWERS):
        for j in range(POWERS):
            found[:, i, j] = (k**i * n**j).mean(axis=0)
    found[:, 0, 2] += drawn * drawings.mean(axis=0)
    return found
