"""What a decision adds to a study: the present system, hours of the day, drafts lost, engines, re-prompting."""

from __future__ import annotations

from typing import Literal

from dsd_plan.domain.performance import Interval, Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.records import record


@record
class BrokenBudget:
    """A budget that a plan does not keep."""

    scope: str
    """A workload's name, or "fleet"."""
    budget: str
    """e.g. "tpot_p95_ms"."""
    limit: float
    value: float | None
    """None: not known, there is no steady state."""


@record
class DraftsLost:
    """An option at its peak load when every draft that is not on its target's device is gone: these streams decode
    plainly on the same targets."""

    survives: bool
    """Every target has a steady state, and every budget is kept (`degraded_budgets` where a workload has some)."""
    accepted: bool
    """Whether at least one workload has `degraded_budgets`, which are what counts then."""
    peak: float
    """Load looked at, as a multiple of the scenario's own rates: the busiest hour of `hourly_load`; 1 without."""
    saturates: str | None
    """The device type that is offered more than it can do; None: every one has a steady state."""
    saturation: float | None
    """Of the busiest target."""
    worst_workload: str | None
    """The workload that is nearest to its budgets or furthest beyond them; the two numbers below are its own."""
    ttft_p95_ms: float | None
    tpot_p95_ms: float | None
    broken: tuple[BrokenBudget, ...]
    targets: dict[str, int]
    """Whole target devices that the option deploys, by type."""
    targets_needed: dict[str, int] | None
    """Whole target devices with which it survives; None: it does not with all that there are."""
    extra_cost_per_hour: float | None
    """What those more than deployed cost; 0: it survives. None: it cannot."""
    sentence: str


@record
class HourOfDay:
    """A plan in one hour of the day."""

    hour: int
    """0 … 23; it begins at that hour."""
    load: float
    """Requests asked for in this hour over those in the busiest one (tokens asked for, where workloads differ)."""
    devices: dict[str, int]
    """Whole devices that work and are paid in this hour, by type."""
    cost: float
    """Of this hour."""
    workload: str | None
    """The workload that is nearest to its budgets; the numbers below are its own."""
    ttft_p95_ms: float | None
    tpot_p95_ms: float | None
    budget: str | None
    """Its tightest budget; None: nothing was promised."""
    budget_share: float | None
    """Value over limit of that budget: 1 is just kept."""
    kept: bool


@record
class EngineSupport:
    """Whether an engine that is released can run a plan."""

    today: Literal["yes", "with re-prompting", "no"]
    engines: tuple[str, ...]
    """Those that can, in the way that `today` says."""
    sentence: str


@record
class Reprompting:
    """What verification costs a stream's round where the context is sent and prefilled again (`verify_via`)."""

    workload: str
    context_tokens: float
    """Mean over rounds: the prompt and what was generated before."""
    bytes_per_round: float
    """Sent up beside the proposals."""
    uplink_ms_per_round: float
    """The time that these bytes take on the limited uplinks of the route; 0 where none is limited."""
    prefill_ms_per_round: float
    """Of the target, alone, where nothing of the context is cached."""
    cached_prefill_ms_per_round: float
    """The same where the engine finds all but the round's own tokens in its prefix cache."""
    round_ms: float | None
    """A round of the plan as it is predicted, for comparison."""


@record
class BackcastRow:
    """One number of the present system: predicted, replayed, and measured in service."""

    workload: str
    metric: str
    """e.g. "ttft_ms.p95"."""
    predicted: float | None
    replayed: Interval | None
    measured: float | None
    ratio: float | None
    """predicted / measured; predicted / replayed where nothing was measured. None: one of them is not known."""


@record
class Backcast:
    """The system as it is today, reproduced: how far what is predicted after it can be believed."""

    plan: Plan
    predicted: Performance | None
    replayed: Performance | None
    rows: tuple[BackcastRow, ...]
    error: float | None
    """Root mean square of ln(predicted / measured) over the rows that were measured, as a share; None: none was."""
    errors: dict[str, float]
    """The same by kind of metric: "ttft", "tpot", "itl", "e2e"."""
    bias: float | None
    """Geometric mean of predicted / measured over these rows."""
    saturates: str | None
    """The device type that saturates under the model, which today's system does not; None: none does."""
    saves: dict[str, float]
    """The chosen plan against it, as replayed: "cost_per_hour", "devices", "tpot_share"; positive is saved."""
    devices: dict[str, int]
    cost_per_hour: float
    sentence: str
