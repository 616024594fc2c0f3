"""A draft device that sessions share, where drafts go on ahead: what is drafted ahead waits, and may be dropped.

Mean-value analysis as in `queueing.finite_source.fifo_cycle`, with a session's two kinds of jobs. A wrong guess is
dropped when the verdict comes, so that one that waits asks less of the device, or nothing: the busier the device, the
less it wastes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPOTS = np.array([-0.75, -0.25, 0.25, 0.75])
"""Where a wait lies around its mean when there is one, in the half-width of an even spread: four quarters."""
SIDES = np.sqrt(1.5) * np.array([-1.0, 0.0, 1.0])
"""Three equally likely points with the spread of a normal."""
HALVINGS = 30
WIDTH = 0.5
"""Half-width of a long wait, in jobs: behind many, what is left of the one that runs is all that varies."""


@dataclass(frozen=True, slots=True)
class AheadJobs:
    """A session's jobs on its draft device, in ms."""

    draft: float
    """A window, after a wrong guess; `ahead` one step more, drafted ahead."""
    ahead: float
    right: float
    """Share of rounds that begin with a right guess."""
    way: float
    """From sending a window to its verdict at the site, and its standard deviation."""
    way_deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class AheadCycle:
    """By the number of sessions, 1 … most: mean wait of a job, load of the device, and a session's round."""

    waits: Array
    loads: Array
    rounds: Array


@dataclass(frozen=True, slots=True)
class _Round:
    """A round at some wait."""

    length: float
    run: float
    """What the device does in it; `ahead_run` of that for a wrong guess, `ahead_square` its mean square."""
    ahead_run: float
    ahead_square: float
    ahead_waits: float
    """How long a wrong guess waits."""
    late_run: float
    """What a wrong guess runs if it had to wait."""


def ahead_cycle(most: int, jobs: AheadJobs) -> AheadCycle:
    """W(n) = Σ over the others of what their jobs, waiting or running, still ask when a job comes."""
    right, wrong = jobs.right, 1.0 - jobs.right
    waits, loads, rounds = np.zeros(most), np.zeros(most), np.zeros(most)
    found = _round(jobs, 0.0, 0.0)
    wait = 0.0
    for n in range(1, most + 1):
        if n > 1:
            others = (n - 1) / found.length
            work = wrong * (wait * jobs.draft + jobs.draft**2 / 2.0 + found.ahead_square / 2.0)
            work += wrong * found.ahead_waits * found.late_run + right * (wait * jobs.ahead + jobs.ahead**2 / 2.0)
            busy = min(others * found.run, 1.0)
            wait = max(others * work, _least(jobs, n, busy))
            found = _round(jobs, wait, busy)
        waits[n - 1], loads[n - 1], rounds[n - 1] = wait, min(n * found.run / found.length, 1.0), found.length
    return AheadCycle(waits, loads, rounds)


def _round(jobs: AheadJobs, wait: float, busy: float) -> _Round:
    """A round whose jobs wait `wait` on average, with the chance `busy` at all."""
    chance = min(max(busy, 1e-9), 1.0)
    way = np.maximum(jobs.way + SIDES * jobs.way_deviation, 0.0)[:, None]
    mean = wait / chance
    late = mean + min(mean, WIDTH * max(jobs.draft, jobs.ahead)) * SPOTS
    run_at_once = np.minimum(jobs.ahead, way)
    run_late = np.clip(way - late, 0.0, jobs.ahead)
    run = (1.0 - chance) * float(run_at_once.mean()) + chance * float(run_late.mean())
    square = (1.0 - chance) * float((run_at_once**2).mean()) + chance * float((run_late**2).mean())
    longer = (1.0 - chance) * float(np.maximum(jobs.ahead, way).mean())
    longer += chance * float(np.maximum(jobs.ahead + late, way).mean())
    wrong = 1.0 - jobs.right
    return _Round(
        length=wrong * (jobs.draft + wait + jobs.way) + jobs.right * longer,
        run=wrong * (jobs.draft + run) + jobs.right * jobs.ahead,
        ahead_run=run,
        ahead_square=square,
        ahead_waits=chance * float(np.minimum(late, way).mean()),
        late_run=float(run_late.mean()),
    )


def _least(jobs: AheadJobs, sessions: int, busy: float) -> float:
    """The wait below which so many sessions would ask more than the device can do; 0 where there is none."""

    def short(wait: float) -> bool:
        found = _round(jobs, wait, busy)
        return sessions * found.run > found.length

    if not short(0.0):
        return 0.0
    low, high = 0.0, sessions * (jobs.draft + jobs.ahead)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if short(middle) else (low, middle)
    return high
