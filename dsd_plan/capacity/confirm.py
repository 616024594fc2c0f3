"""Does the event replay agree about where the most binding budget breaks?"""

from __future__ import annotations

from collections.abc import Callable

from dsd_plan.capacity.breaking import SATURATION
from dsd_plan.domain.capacity import Capacity, Confirmation, ReplayedSide
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.optimize.choices.budgets import Limit, limits_of, observed_interval
from dsd_plan.optimize.choices.variation import with_load

MARGIN = 0.1
"""Share below and above the breaking load at which the plan is replayed: about the model's error of a p95."""

Observe = Callable[[Deployed], Performance]


def confirmed(found: Capacity, deployed: Deployed, observe: Observe) -> Confirmation | None:
    """The plan replayed a little below and a little above; None where nothing breaks, or breaks at every load."""
    if not found.load or found.breaks is None:
        return None
    limit = next((limit for limit in limits_of(deployed.scenario) if str(limit) == found.breaks), None)
    below = _side(deployed, found.load * (1.0 - MARGIN), limit, observe)
    above = _side(deployed, found.load * (1.0 + MARGIN), limit, observe)
    verdict = "undecided"
    if below.kept is True and above.kept is False:
        verdict = "agrees"
    elif below.kept is False or above.kept is True:
        verdict = "disagrees"
    return Confirmation(
        breaks=SATURATION if limit is None else str(limit),
        limit=None if limit is None else limit.limit,
        below=below,
        above=above,
        verdict=verdict,  # type: ignore[arg-type]
    )


def _side(deployed: Deployed, load: float, limit: Limit | None, observe: Observe) -> ReplayedSide:
    performance = observe(with_load(deployed, load))
    if limit is None or not performance.steady:
        return ReplayedSide(load=load, observed=None, kept=performance.steady)
    seen = observed_interval(performance, limit.scope, limit.quantity)
    kept: bool | None = None
    if seen is not None:
        worst, best = (seen.low, seen.high) if limit.at_least else (seen.high, seen.low)
        kept = True if limit.excess(worst) <= 0.0 else False if limit.excess(best) > 0.0 else None
    return ReplayedSide(load=load, observed=seen, kept=kept)
