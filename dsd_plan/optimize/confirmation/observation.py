"""What a replay of a plan leaves for its optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsd_plan.domain.attribution import AttributedPart, EnergyPart, WorkloadPrice
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A plan's replay: all replications together, and each alone in the order of their luck."""

    pooled: Performance
    runs: tuple[Performance, ...] = ()
    energy_parts: tuple[EnergyPart, ...] = ()
    """Where the energy went."""
    attribution: tuple[AttributedPart, ...] = ()
    """Who pays for which part of which device."""
    prices: tuple[WorkloadPrice, ...] = ()
    """What each workload's service costs, by part."""


Observe = Callable[[Plan], Observation]
