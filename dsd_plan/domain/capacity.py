"""How much more a plan can carry, what breaks first, and what another device would buy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.performance import Interval
from dsd_plan.domain.records import record

Why = Literal["compute", "batch_cap", "kv_memory", "draft_device", "link", "nothing_shared"]
"""What is short: steps of a target, the most jobs in its iteration, its KV memory, drafting, or bandwidth;
`nothing_shared`: more of none of them helps, the steps and the round trip alone take that long."""


@record
class Bottleneck:
    """What is short at a load, by the resource whose doubling helps most there."""

    name: str | None
    """A device type, or a link as "a → b"; None: nothing that could be doubled."""
    why: Why
    load_if_doubled: float | None
    """Multiple of today's load that is held with twice as much of it; None: not known, or more than is searched."""


@record
class BudgetLimit:
    """One budget of a workload, or the fleet's, and the load at which it breaks."""

    scope: str
    """A workload's name, or "fleet"."""
    budget: str
    limit: float
    now: float | None
    """The quantity at today's load; None: no steady state, or not known."""
    kept_now: bool
    load: float | None
    """Largest multiple of today's load at which it is kept when all workloads grow together; 0: at none;
    None: at every one that was searched, or load does not decide (a cost)."""
    interval: Interval | None
    """Of `load`, about 95 %: the model's known error and the inputs' measured errors. None: not known."""
    alone: float | None
    """As `load`, when only this workload grows."""
    saturates: bool
    """Whether it breaks because no steady state is left, rather than by its value."""
    bottleneck: Bottleneck | None


@record
class NextLimit:
    """What breaks once everything before it in the list is lifted."""

    load: float
    breaks: str
    """A budget ("chat: tpot_p95_ms"), or "saturation"."""
    bottleneck: Bottleneck


@record
class WorkloadGrowth:
    """Growth of one workload alone, all others as today: what breaks first anywhere, of what is kept today."""

    workload: str
    load: float | None
    """Where there is no steady state today: up to which there is one."""
    breaks: str | None
    broken_now: tuple[str, ...] = ()
    """Its own budgets that are broken today, before it grows; "saturation" where nothing is steady."""


@record
class Headroom:
    """One device type today."""

    device: str
    count: int
    """At each copy of its site."""
    saturation: float | None
    """None: no steady state today."""
    spare: float | None
    """1 − saturation."""
    load_at_knee: float | None
    """Multiple of today's load at which it saturates; None: closed users ask it, who slow down instead."""
    sites: int = 1
    """Copies of its site, each with `count` of them."""


@record
class OneMore:
    """One more device of a type (one more at each copy of its site)."""

    device: str
    count: int
    """With the added one."""
    to_buy: bool
    """Whether that is more than the scenario has."""
    load: float | None
    gain: float | None
    """Load that it adds, in multiples of today's."""
    cost_per_hour: float
    """What the added ones cost."""
    gain_per_cost: float | None
    """Gain over cost; None where it costs nothing."""


@record
class OneLess:
    """One device of a type is lost (one at each copy of its site)."""

    device: str
    count: int
    """That are left."""
    load: float | None
    """That still holds; 0: none."""
    broken: tuple[str, ...]
    """Budgets that break at today's load and are kept with all devices; "saturation" where nothing is steady."""
    reason: str | None = None
    """Why nothing is served, where that is so."""


@record
class BreakDate:
    """When a budget breaks, if load grows as said."""

    breaks: str
    date: str | None
    """The last day on which it is kept (ISO 8601); None: not until the end, or kept on no day."""
    kept_at_start: bool


@record
class GrowthPoint:
    """Load on a day, and what is broken then."""

    date: str
    load: float
    broken: tuple[str, ...]


@record
class Growth:
    """Load that grows by a rate, compounded, from `start` to `until`."""

    rate: float
    every: Literal["day", "week", "month", "year"]
    start: str
    until: str
    load_at_end: float
    dates: tuple[BreakDate, ...]
    curve: tuple[GrowthPoint, ...]


@record
class ReplayedSide:
    """The plan replayed near the breaking load of the most binding budget."""

    load: float
    observed: Interval | None
    """None: no steady state."""
    kept: bool | None
    """None: the interval straddles the limit."""


@record
class Confirmation:
    """Whether the event replay agrees about where the budget breaks."""

    breaks: str
    limit: float | None
    below: ReplayedSide
    above: ReplayedSide
    verdict: Literal["agrees", "disagrees", "undecided"]


@record
class Capacity:
    """What `capacity` says of a plan. Loads are multiples of today's."""

    scenario: str
    sentence: str
    """The answer, in words."""
    load: float | None
    """Up to which every budget is kept and every device is below its knee; 0: at none; None: at every one searched."""
    holds_now: bool
    breaks: str | None
    """What breaks first: a budget, or "saturation"."""
    bottleneck: Bottleneck | None
    saturation_load: float | None
    """At which no steady state is left; None: not up to `searched_to`."""
    searched_to: float
    resolution: float
    """Relative width to which breaking loads were bisected."""
    budgets: tuple[BudgetLimit, ...]
    alone: tuple[WorkloadGrowth, ...]
    next_limits: tuple[NextLimit, ...]
    headroom: tuple[Headroom, ...]
    one_more: tuple[OneMore, ...]
    one_less: tuple[OneLess, ...]
    not_used: tuple[str, ...] = ()
    """Device types that are there and could run a model of the plan, which does not use them."""
    growth: Growth | None = None
    replayed: Confirmation | None = None
    notes: tuple[str, ...] = ()
    of_busiest_hour: bool = False
    """Whether today's load is that of the day's busiest hour, each workload at its own: loads follow the hours."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema dsd-plan/capacity/1."""
        return {"schema": "dsd-plan/capacity/1", **_ADAPTER.dump_python(self, mode="json")}


_ADAPTER = TypeAdapter(Capacity)
