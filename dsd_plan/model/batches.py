"""What an iteration of a gated batch server holds, and how long it lasts.

Everything is conditional on `jobs`, the mean number of jobs that come while an iteration runs; docs/method.md, "One
iteration", derives each line. Arrays over that grid have shape (grid,), over classes (grid, classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.iteration_time import IterationTime

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

STRONGEST_ECHO = 0.97
"""Largest share of an iteration's excess that returns in the next; keeps 1/(1 − echo²) finite."""
SETTLING = 4
NOBODY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The streams on one pool, per replica. Shape (classes,); rates per ms."""

    rates: Array
    rounds: Array
    users: Array
    """Closed users; 0 of open streams."""
    streamed: Flags
    """Tokens stream from the target, so that a session is in every iteration (target_only, fused)."""
    sessions: Array
    """Share of the live sessions."""
    away: Array
    """Mean time in ms between an iteration's end and the session's next job; 0 where tokens are streamed."""
    think: Array
    """Mean time in ms that a closed user thinks between two requests."""
    between: Array
    """Mean time in ms that the messages between two requests take, and its variance."""
    between_variance: Array
    company: Array | None = None
    """Live sessions of each class beside one of class k, by jobs: shape (grid, k, classes); None: as on average.
    With few users, who is beside whom depends on how many are live."""

    @property
    def jobs(self) -> float:
        """Jobs per ms."""
        return float(np.dot(self.rates, self.rounds + 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """Iterations, for each number of jobs on the grid. Times in ms."""

    jobs: Array
    decodes: Array
    """Decode or verify jobs by class, (grid, classes); `prefills` likewise."""
    prefills: Array
    iteration: Array
    """Mean length; `variance` and `third` are its central moments."""
    variance: Array
    third: Array
    smooth: Array
    """Variance that is not due to prefills."""
    crowding: Array
    """Variance of the number of jobs, which long iterations gather."""
    empty: Array
    """Probability that nobody waits when an iteration ends."""
    busy: Array
    """Share of time that an iteration runs."""
    marginal: Array
    """What one more job of each class adds, (grid, classes)."""
    echo: Array
    """Share of an iteration's excess length that returns as excess length of the next."""
    jump: float
    """Mean of what a prefill adds; `jump_square` and `jump_cube` are its higher moments."""
    jump_square: float
    jump_cube: float
    alone: Flags
    """Where there are no jobs but one's own."""
    second: Array
    """Mean square of an iteration's length."""
    residual: Array
    """Mean wait for the iteration in progress, of who arrives at any time."""


def batches(time: IterationTime, classes: Classes, cap: int, jobs: Array, gathered: Array | float = 1.0) -> Batches:
    """Iterations of a replica into which `jobs` come while one runs, shape (grid,).

    `gathered`: how much of a class's returns are in proportion to the iteration's length, shape (grid, classes) or one
    for all: 1 where they come at a rate, 0 where everybody outside returns however long it is.
    """
    decodes = jobs[:, None] * (classes.rates * classes.rounds / classes.jobs)
    prefills = jobs[:, None] * (classes.rates / classes.jobs)
    arrivals = prefills.sum(axis=-1)
    mix = classes.rates / classes.rates.sum()
    jump, jump_square = float(mix @ time.prefill), float(mix @ time.prefill_square)
    jump_cube = float(mix @ (time.prefill * time.prefill_square))
    returning = decodes * ~classes.streamed
    by_chance = returning.sum(axis=-1) + arrivals
    present = ((decodes + prefills) * classes.streamed).sum(axis=-1)
    passing = (prefills * ~classes.streamed).sum(axis=-1)
    surely_empty = np.maximum(1.0 - present, 0.0)
    room = np.maximum(cap - jobs, 0.0)
    empty = np.exp(-passing - returning.sum(axis=-1)) * surely_empty
    marginal = time.marginal(np.maximum(decodes.sum(axis=-1), 1.0))
    weight = (returning * marginal).sum(axis=-1)
    echoing = (returning * marginal * gathered).sum(axis=-1)
    square = (returning * marginal**2).sum(axis=-1)
    roomy = (weight / np.maximum(returning.sum(axis=-1), NOBODY) * room) ** 2 + NOBODY
    drifting, jumping = arrivals * jump, arrivals * jump_square
    some = np.maximum(jobs, NOBODY)
    comes_back = bool(returning.any())
    for _ in range(SETTLING):
        # An idle server waits for one job, so a batch is never empty.
        held = (np.minimum(np.maximum(jobs + empty, 1.0), cap) / some)[:, None]
        iteration = mean_iteration(time, decodes * held, prefills * held, classes.users)
        echo = np.minimum(np.maximum((echoing + drifting) / iteration, 0.0), STRONGEST_ECHO)
        settle = 1.0 - echo**2
        smooth = np.minimum(square / settle, roomy)
        variance = smooth + jumping / settle
        crowding = by_chance + (by_chance / iteration) ** 2 * variance
        # Few sessions keep apart: each of y/q waits with chance q = T/(D + 1.5 T), rather than Poisson many.
        seldom = passing
        if comes_back:
            waiting = iteration[:, None] / (classes.away + 1.5 * iteration[:, None])
            seldom = passing - (returning * np.log1p(-waiting) / waiting).sum(axis=-1)
        empty = np.minimum(np.exp(-seldom) * (1.0 + (crowding - by_chance) / 2.0), 1.0) * surely_empty
    alone = jobs <= NOBODY
    iteration = np.where(alone, time.step(np.ones(1)), iteration)
    empty = np.where(alone, 1.0, empty)
    variance = np.where(alone, 0.0, variance)
    second = iteration**2 + variance
    busy = np.where(alone, 0.0, 1.0 / (1.0 + empty / some))
    return Batches(
        jobs=jobs,
        decodes=decodes,
        prefills=prefills,
        iteration=iteration,
        variance=variance,
        third=np.where(alone, 0.0, arrivals * jump_cube),
        smooth=np.where(alone, 0.0, smooth),
        crowding=crowding,
        empty=empty,
        busy=busy,
        marginal=marginal,
        echo=np.where(alone, 0.0, echo),
        jump=jump,
        jump_square=jump_square,
        jump_cube=jump_cube,
        alone=alone,
        second=second,
        residual=busy * second / (2.0 * iteration),
    )


def mean_iteration(
    time: IterationTime, decodes: Array, prefills: Array, users: Array, drafting: Array | None = None
) -> Array:
    """Mean length with so many jobs of each class, both of shape (grid, classes); `drafting` if that is known."""
    if drafting is None:
        drafting = time.drafting_ms(decodes, users, None)
    total: Array = time.step(decodes.sum(axis=-1)) + drafting + prefills @ time.prefill
    return total if time.engine is None else total + time.engine.mixed_ms(decodes, prefills)
