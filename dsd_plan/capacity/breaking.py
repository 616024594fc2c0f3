"""The load at which something breaks, by bisection; nothing that was asked once is asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite, log

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.budgets import Limit, quantity_of
from dsd_plan.optimize.choices.evaluate import Predict
from dsd_plan.optimize.choices.variation import with_load, with_load_of

RESOLUTION = 0.001
"""Relative distance of the two loads that a breaking load lies between."""
MOST_LOAD = 64.0
LEAST_LOAD = 1.0 / 1024.0
"""Multiples of today's load between which breaking loads are searched."""
SATURATION = "saturation"

Answer = Performance | UnstableError
Excess = Callable[[Answer], float]
"""By what share something is broken; 0 or less: it is kept."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Where something breaks: the largest load known to hold, and the least known not to."""

    kept: float | None
    """None: not even the least load that is tried."""
    broken: float | None
    """None: not up to the most that is tried."""

    @property
    def load(self) -> float | None:
        """The largest load known to hold; 0: none; None: every one that was tried."""
        return None if self.broken is None else self.kept or 0.0


class Loads:
    """One deployment under growing load, of all workloads together or of one alone."""

    def __init__(self, deployed: Deployed, predict: Predict, workload: str | None = None) -> None:
        self.deployed = deployed
        self._predict = predict
        self._workload = workload
        self._known: dict[float, Answer] = {}

    def at(self, load: float) -> Deployed:
        """The deployment at a multiple of today's load."""
        if load == 1.0:
            return self.deployed
        if self._workload is None:
            return with_load(self.deployed, load)
        return with_load_of(self.deployed, self._workload, load)

    def answer(self, load: float) -> Answer:
        """What the model says at a multiple of today's load: a performance, or who is saturated."""
        if load not in self._known:
            try:
                self._known[load] = self._predict(self.at(load))
            except UnstableError as error:
                self._known[load] = error
        return self._known[load]

    def edge(self, excess: Excess) -> Edge:
        """Where `excess` passes 0. Latency and saturation rise with load, so there is one such place."""
        kept, broken = self._bracket(excess)
        if kept is None or broken is None:
            return Edge(kept, broken)
        halve = False
        while broken > kept * (1.0 + RESOLUTION):
            width = log(broken / kept)
            middle = self._between(kept, broken, excess, halve)
            if excess(self.answer(middle)) > 0.0:
                broken = middle
            else:
                kept = middle
            # A straight line that gains little gives way to halving, so that this ends whatever the curve.
            halve = not halve and log(broken / kept) > width / 2.0
        return Edge(kept, broken)

    def _between(self, kept: float, broken: float, excess: Excess, halve: bool) -> float:
        """A load between these two: the middle by ratio, or where a straight line between the answers passes 0."""
        low, high = excess(self.answer(kept)), excess(self.answer(broken))
        share = 0.5
        if not halve and isfinite(low) and isfinite(high):
            # A little to the far side of the crossing: the two ends then close in together.
            step = 0.4 * log(1.0 + RESOLUTION) / log(broken / kept)
            share = -low / (high - low)
            share += step if share < 0.5 else -step
            share = min(max(share, step), 1.0 - step)
        return kept * exp(share * log(broken / kept))

    def _bracket(self, excess: Excess) -> tuple[float | None, float | None]:
        """From what is known already, then outwards by doubling and halving."""
        self.answer(1.0)
        broken = min((load for load, answer in self._known.items() if excess(answer) > 0.0), default=None)
        # Where known answers contradict each other (a quantity that is not monotone), the first break counts.
        kept = max((load for load in self._known if broken is None or load < broken), default=None)
        while broken is None:
            assert kept is not None
            if kept >= MOST_LOAD:
                return kept, None
            load = 2.0 * kept
            if excess(self.answer(load)) > 0.0:
                broken = load
            else:
                kept = load
        while kept is None:
            if broken <= LEAST_LOAD:
                return None, broken
            load = broken / 2.0
            if excess(self.answer(load)) > 0.0:
                broken = load
            else:
                kept = load
        return kept, broken


def unsteady(answer: Answer) -> float:
    """Infinite where no steady state is left."""
    return inf if isinstance(answer, UnstableError) else -inf


def excess_of(limit: Limit, slack: float = 0.0) -> Excess:
    """By what share a budget, its limit loosened by `slack`, is broken; no steady state keeps no budget."""

    def excess(answer: Answer) -> float:
        if isinstance(answer, UnstableError):
            return inf
        return limit.excess(quantity_of(answer, limit.scope, limit.quantity), slack)

    return excess


def any_excess(limits: tuple[Limit, ...]) -> Excess:
    """Of the budget that is broken most; infinite where no steady state is left."""
    every = (unsteady, *(excess_of(limit) for limit in limits))
    return lambda answer: max(excess(answer) for excess in every)


def what_breaks(answer: Answer, limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """The budgets broken here, the worst first; empty where no steady state is left, or none is broken."""
    if isinstance(answer, UnstableError):
        return ()
    excess = {limit: limit.excess(quantity_of(answer, limit.scope, limit.quantity)) for limit in limits}
    return tuple(sorted((limit for limit in limits if excess[limit] > 0.0), key=lambda limit: -excess[limit]))
