"""`ahead_queue` compiled: a draft device's jobs for 1 … most sessions, some hundred rounds of twelve points each."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPOTS = (-0.75, -0.25, 0.25, 0.75)
"""Where a wait lies around its mean when there is one, in the half-width of an even spread: four quarters."""
SIDES = (-(1.5**0.5), 0.0, 1.5**0.5)
"""Three equally likely points with the spread of a normal."""
HALVINGS = 30
WIDTH = 0.5
"""Half-width of a long wait, in jobs: behind many, what is left of the one that runs is all that varies."""


@njit(cache=True, nogil=True, error_model="numpy")
def solve_cycle(
    draft: float, ahead: float, right: float, way: float, deviation: float, waits: Array, loads: Array, rounds: Array
) -> None:
    """W(n) = Σ over the others of what their jobs, waiting or running, still ask when a job comes.

    Fills the last three, by the number of sessions: mean wait of a job, load of the device, and a session's round.
    """
    wrong, wait = 1.0 - right, 0.0
    length, run, square, ahead_waits, late_run = round_at(draft, ahead, right, way, deviation, 0.0, 0.0)
    for n in range(1, waits.size + 1):
        if n > 1:
            others = (n - 1) / length
            work = wrong * (wait * draft + draft**2 / 2.0 + square / 2.0)
            work += wrong * ahead_waits * late_run + right * (wait * ahead + ahead**2 / 2.0)
            busy = min(others * run, 1.0)
            wait = max(others * work, least_wait(draft, ahead, right, way, deviation, n, busy))
            length, run, square, ahead_waits, late_run = round_at(draft, ahead, right, way, deviation, wait, busy)
        waits[n - 1], loads[n - 1], rounds[n - 1] = wait, min(n * run / length, 1.0), length


@njit(cache=True, nogil=True, error_model="numpy")
def round_at(
    draft: float, ahead: float, right: float, way: float, deviation: float, wait: float, busy: float
) -> tuple[float, float, float, float, float]:
    """A round whose jobs wait `wait` on average, with the chance `busy` at all.

    Its length; what the device does in it; of a wrong guess, the mean square of what it runs, how long it waits, and
    what it runs if it had to.
    """
    chance = min(max(busy, 1e-9), 1.0)
    mean = wait / chance
    half = min(mean, WIDTH * max(draft, ahead))
    at_once = at_once_square = longer_at_once = late_run = late_square = longer_late = late_waits = 0.0
    for side in SIDES:
        trip = max(way + side * deviation, 0.0)
        runs = min(ahead, trip)
        at_once += runs
        at_once_square += runs * runs
        longer_at_once += max(ahead, trip)
        for spot in SPOTS:
            late = mean + half * spot
            runs = min(max(trip - late, 0.0), ahead)
            late_run += runs
            late_square += runs * runs
            longer_late += max(ahead + late, trip)
            late_waits += min(late, trip)
    sides, points = len(SIDES), len(SIDES) * len(SPOTS)
    late_run /= points
    run = (1.0 - chance) * at_once / sides + chance * late_run
    square = (1.0 - chance) * at_once_square / sides + chance * late_square / points
    longer = (1.0 - chance) * longer_at_once / sides + chance * longer_late / points
    wrong = 1.0 - right
    length = wrong * (draft + wait + way) + right * longer
    return length, wrong * (draft + run) + right * ahead, square, chance * late_waits / points, late_run


@njit(cache=True, nogil=True, error_model="numpy")
def least_wait(
    draft: float, ahead: float, right: float, way: float, deviation: float, sessions: int, busy: float
) -> float:
    """The wait below which so many sessions would ask more than the device can do; 0 where there is none."""
    length, run, _, _, _ = round_at(draft, ahead, right, way, deviation, 0.0, busy)
    if sessions * run <= length:
        return 0.0
    low, high = 0.0, sessions * (draft + ahead)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        length, run, _, _, _ = round_at(draft, ahead, right, way, deviation, middle, busy)
        if sessions * run > length:
            low = middle
        else:
            high = middle
    return high
