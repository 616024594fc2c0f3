"""What a decision leaves behind: everything a report draws, so that rendering computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.attribution import AttributedPart, EnergyPart, WorkloadPrice
from dsd_plan.domain.capacity import Capacity
from dsd_plan.domain.excerpt import Excerpt
from dsd_plan.domain.measurement import Measurement
from dsd_plan.domain.performance import Interval, Performance, RoundParts
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.records import record
from dsd_plan.domain.study_decision import Backcast, DraftsLost, EngineSupport, HourOfDay, Reprompting
from dsd_plan.domain.study_outlook import DraftWorth, ParetoPoint, Robustness
from dsd_plan.domain.study_outlook import TippingPoint as TippingPoint

VerdictKind = Literal["agrees", "disagrees", "undecided"]


@record
class Agreement:
    """Model against an observation (replay or testbed) for one metric of one workload."""

    workload: str
    metric: str
    """e.g. "tpot_ms.mean"."""
    predicted: float
    observed: Interval
    relative_error: float
    """predicted / observed.point − 1."""
    tolerance: float
    verdict: VerdictKind


@record
class Verdict:
    """The decision in a sentence: does speculation pay here?"""

    answer: Literal["yes", "no", "undecided"]
    sentence: str
    saves: dict[str, float]
    """Against plain decoding on the target: e.g. {"tpot_share": 0.31, "cost_per_hour": 4.0}."""
    saves_between: dict[str, tuple[float, float]] | None = None
    """95 % intervals of what is saved, where there is one, with today's error in them."""
    measure_next: str | None = None
    measurement: Measurement | None = None
    """The same with its command and how much of it is enough, where it is one."""


@record
class BudgetCheck:
    """One budget and what the plan makes of it."""

    scope: str
    """A workload's name, or "fleet"."""
    budget: str
    """e.g. "ttft_p95_ms"."""
    limit: float
    predicted: float | None
    replayed: Interval | None
    kept: bool
    together: Interval | None = None
    """Of many workloads: what model and replay say of it together, by which `kept` is judged; about 95 %."""
    chance_broken: float | None = None
    """Beside `together`, 0 to 1."""
    undecided: bool = False
    """`together` lies on both sides of the limit: the budget may as well be kept as broken."""


@record
class Option:
    """One honest option, feasible or not, with its numbers and the reason it lost."""

    name: str
    """e.g. "do nothing", "draft beside the target", "draft at the edge"."""
    chosen: bool
    plan: Plan | None
    predicted: Performance | None
    replayed: Performance | None = None
    devices: dict[str, int] | None = None
    cost_per_hour: float | None = None
    reason: str = ""
    """Why it was chosen or lost, in words with the number."""
    cost_per_month: float | None = None
    """730 hours; on-demand devices are paid in the hours of the day in which they work."""
    worst_hour_ttft_p95_ms: float | None = None
    """Largest predicted p95 of any workload in any hour of the day."""
    worst_hour_tpot_p95_ms: float | None = None
    hours: tuple[HourOfDay, ...] = ()
    """The day, hour by hour, where a workload has `hourly_load`."""
    drafts_lost: DraftsLost | None = None
    """None: nothing drafts away from the targets, or there is no plan."""
    engine: EngineSupport | None = None
    reprompting: tuple[Reprompting, ...] = ()
    """A row a workload that drafts at the edge: what sending the context again would cost."""
    budgets: tuple[BudgetCheck, ...] | None = None
    """What this option is judged by where that is not what the study's budgets say: degraded budgets of lost drafts."""


@record
class LoadPoint:
    """Latency at one multiple of today's load; None past saturation."""

    load: float
    saturation: float
    ttft_p95_ms: float | None
    tpot_mean_ms: float | None
    tpot_p95_ms: float | None


@record
class LoadCurve:
    """Latency of one workload against load, in one mode."""

    workload: str
    mode: str
    window: int
    points: tuple[LoadPoint, ...]
    share: float = 1.0
    """Of its requests that are served in this mode, where others are in another; the points are of all of them."""


@record
class MapCell:
    """Best mode and window at one point of a map, and by how much it wins."""

    x: float
    y: float
    mode: str
    window: int
    margin: float | None
    """TPOT of the best other mode / TPOT of this one − 1; None where no other mode is stable."""
    tpot_ms: dict[str, float | None]
    """Mean TPOT by mode, each at its best window; None where unstable."""


@record
class MapDot:
    """Where another workload of the fleet lies on a map's axes."""

    workload: str
    x: float
    y: float


@record
class ModeMap:
    """Which mode and window win over a grid of two inputs, e.g. RTT × acceptance."""

    workload: str
    title: str
    x_name: str
    y_name: str
    here: tuple[float, float]
    """Where this scenario lies."""
    cells: tuple[MapCell, ...]
    """Those where some mode has a steady state."""
    dots: tuple[MapDot, ...] = ()
    """The fleet's other workloads; cells are of this map's own workload, so they only tell about where."""


@record
class WorkloadParts:
    """Where a round's time goes."""

    workload: str
    mode: str
    parts: RoundParts


@record
class AcceptanceEvidence:
    """What is known of a pair's acceptance."""

    draft: str
    target: str
    source: str
    """"token trace", "round trace" or "declared law"."""
    proposal: str | None
    temperature: float | None
    tokens: int | None
    requests: int | None
    survival: tuple[float, ...]
    survival_low: tuple[float, ...] | None
    survival_high: tuple[float, ...] | None
    tasks: dict[str, float] | None = None
    """Match rate by task."""


@record
class ProfileEvidence:
    """What is known of a device's step times."""

    device: str
    model: str
    origin: str
    points: int
    samples: int
    decode_ms: float
    """Time of a step of one sequence, one new token, at the smallest context measured."""
    fit_mean_error: float | None
    fit_max_error: float | None
    measured_at: str | None
    method: dict[str, str | float | int | bool | None] | None


@record
class InputHash:
    """A file that went in."""

    path: str
    sha256: str


@record
class Provenance:
    """Enough to make this study again."""

    version: str
    command: str
    seed: int
    inputs: tuple[InputHash, ...]
    machine: dict[str, str]
    created_at: str | None = None


@record
class Study:
    """Scenario, plan, predictions, replays and their agreement, and all that a page draws."""

    name: str
    scenario: dict[str, Any]
    """The scenario as resolved, traces summarised."""
    plan: Plan
    predicted: Performance
    replayed: Performance
    measured: Performance | None
    agreements: tuple[Agreement, ...]
    verdict: Verdict
    budgets: tuple[BudgetCheck, ...]
    options: tuple[Option, ...]
    alternatives: tuple[Option, ...]
    """Each mode's best plan, with its numbers and why it lost."""
    equivalents: tuple[Option, ...]
    """Plans that the data cannot tell from the best; the simplest was chosen."""
    pareto: tuple[ParetoPoint, ...]
    """Plans that no other one known beats in all of cost, energy (where known) and TPOT, or in `pareto_axes`."""
    optimality_gap: float | None
    bound_scope: str
    curves: tuple[LoadCurve, ...]
    maps: tuple[ModeMap, ...]
    round_parts: tuple[WorkloadParts, ...]
    energy_parts: tuple[EnergyPart, ...] = ()
    """Where the chosen plan's energy goes, from its replay."""
    attribution: tuple[AttributedPart, ...] = ()
    """Who pays for which part of which device, from its replay."""
    prices: tuple[WorkloadPrice, ...] = ()
    """What each workload's service costs, by part: the rows of `attribution` added up over devices."""
    tipping_points: tuple[TippingPoint, ...] = ()
    timeline: tuple[Excerpt, ...] = ()
    """A stretch of the chosen plan's replay, of one replica each."""
    robustness: Robustness | None = None
    """With `--robust`: everything else is at the bad end of the inputs that it lists."""
    planned_load: float = 1.0
    """Multiple of today's load that plans are made for, predicted and replayed at."""
    pareto_axes: tuple[str, ...] = ()
    """What a front was asked and searched for; empty: `pareto` is of what was predicted anyway."""
    draft_worth: tuple[DraftWorth, ...] = ()
    """What a better-aligned draft would save, by pair."""
    acceptance: tuple[AcceptanceEvidence, ...] = ()
    profiles: tuple[ProfileEvidence, ...] = ()
    story: tuple[str, ...] = ()
    """What the search did, in order: candidates, replays, corrections."""
    backcast: Backcast | None = None
    """The present system, where the scenario names its plan."""
    hours: tuple[HourOfDay, ...] = ()
    """The chosen plan over the day, where a workload has `hourly_load`."""
    capacity: Capacity | None = None
    """How much more load the chosen plan carries, by the model; None: left out, which the story says."""
    provenance: Provenance

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema dsd-plan/study/1."""
        body: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        for key in ("predicted", "replayed", "measured"):
            if body[key] is not None:
                body[key] = {"schema": "dsd-plan/performance/1", **body[key]}
        for _, holder, key in plans_in(body):
            holder[key] = {"schema": "dsd-plan/plan/1", **holder[key]}
        return {"schema": "dsd-plan/study/1", **body}


def plans_in(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every plan in a study's JSON: its place, what holds it, and its key there. Each is a document of its own."""
    holders: list[tuple[str, Any, str]] = [
        ("", body, "plan"),
        ("backcast", body.get("backcast"), "plan"),
        ("robustness", body.get("robustness"), "plain_plan"),
    ]
    for name in ("options", "alternatives", "equivalents", "pareto"):
        rows = body.get(name)
        listed = enumerate(rows) if isinstance(rows, list | tuple) else ()
        holders += [(f"{name}[{index}]", row, "plan") for index, row in listed]
    for place, holder, key in holders:
        if isinstance(holder, dict) and isinstance(holder.get(key), dict):
            yield (f"{place}.{key}" if place else key), holder, key


_ADAPTER = TypeAdapter(Study)
