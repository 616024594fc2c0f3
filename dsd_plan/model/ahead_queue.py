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


def ahead_cycle(most: int, jobs: AheadJobs) -> AheadCycle:
    """W(n) = Σ over the others of what their jobs, waiting or running, still ask when a job comes."""
    from dsd_plan.model.ahead_kernel import solve_cycle

    waits, loads, rounds = np.zeros(most), np.zeros(most), np.zeros(most)
    numbers = (jobs.draft, jobs.ahead, jobs.right, jobs.way, jobs.way_deviation)
    solve_cycle(*(float(number) for number in numbers), waits, loads, rounds)
    return AheadCycle(waits, loads, rounds)
