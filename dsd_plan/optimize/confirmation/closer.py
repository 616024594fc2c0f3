"""Replaying a part of a large plan for longer: where its budgets hang in the balance, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Protocol, runtime_checkable

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.optimize.choices.variation import with_load
from dsd_plan.optimize.confirmation.observation import Observation

EXTRA = 1.0
"""Requests that a closer look may take, over those of the replay that it follows."""
LEAST_LONGER = 2.0
MOST_LONGER = 16.0
"""How many times as long a part is replayed, at least for it to be worth it, and at most."""
WARM_UP = 1.1
"""Requests that start over those that are measured, about."""


@runtime_checkable
class LooksCloser(Protocol):
    """What replays plans, and parts of them for longer."""

    def __call__(self, plan: Plan, /) -> Observation:
        """The plan's replay."""

    def closer(self, plan: Plan, workloads: frozenset[str], seen: Performance) -> Look | None:
        """A longer replay of the parts of `plan` that hold these workloads; None where that cannot be.

        `seen`: the plan's replay.
        """


@runtime_checkable
class ReplaysAtLoad(Protocol):
    """What replays plans, also under another load than the scenario's."""

    def __call__(self, plan: Plan, /) -> Observation:
        """The plan's replay."""

    def at_load(self, plan: Plan, load: float) -> Observation:
        """The plan's replay where every workload asks `load` times as much."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Parts of a plan, replayed for longer than the plan."""

    observation: Observation
    lengths: Mapping[str, float]
    """How many times as long, by target device type."""


@dataclass(frozen=True, slots=True, eq=False)
class Replays:
    """Replays of plans in one scenario."""

    scenario: Scenario
    replay: Callable[[Deployed, int | None], Observation]
    """Of a plan, with so many requests a replication; None: as many as are usual."""
    requests: int | None
    replications: int

    def __call__(self, plan: Plan, /) -> Observation:
        """The plan's replay."""
        return self.replay(deploy(self.scenario, plan), self.requests)

    def at_load(self, plan: Plan, load: float) -> Observation:
        """As `ReplaysAtLoad.at_load`."""
        return self.replay(with_load(deploy(self.scenario, plan), load), self.requests)

    def closer(self, plan: Plan, workloads: frozenset[str], seen: Performance) -> Look | None:
        """As `LooksCloser.closer`; None where requests are recorded, which end, or the parts are most of the plan."""
        # Only large plans are looked at so.
        from dsd_plan.optimize.choices.parts import around

        part = around(deploy(self.scenario, plan), workloads)
        if any(isinstance(stream.requests, RequestTrace) for stream in part.streams):
            return None
        names = {stream.workload.name for stream in part.streams}
        known = {w.name: float(w.requests or 0) / self.replications for w in seen.workloads}
        before = sum(known[name] for name in names)
        longer = min(EXTRA * sum(known.values()) / max(before, 1.0), MOST_LONGER)
        if longer < LEAST_LONGER:
            return None
        observation = self.replay(part, ceil(WARM_UP * longer * before))
        return Look(observation, {pool.device.name: longer for pool in part.targets})
