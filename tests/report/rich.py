"""A study that holds everything a study can hold."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.attribution import AttributedPart, EnergyPart, PartPrice, WorkloadPrice
from dsd_plan.domain.capacity import Bottleneck, BudgetLimit, Capacity, Headroom, NextLimit, OneLess, OneMore
from dsd_plan.domain.excerpt import Excerpt, SessionExcerpt
from dsd_plan.domain.measurement import Measurement
from dsd_plan.domain.performance import Interval
from dsd_plan.domain.study import Study
from dsd_plan.domain.study_decision import (
    Backcast,
    BackcastRow,
    BrokenBudget,
    DraftsLost,
    EngineSupport,
    HourOfDay,
    Reprompting,
)
from dsd_plan.domain.study_outlook import BadEnd, DraftWorth, ParetoPoint, Robustness
from tests.report.studies import full_study


def excerpt(device: str = "gpu-server", **more: object) -> Excerpt:
    """One distributed request: its prompt and two rounds, in four iterations."""
    session = SessionExcerpt(
        request=7,
        workload="chat",
        mode="distributed",
        prompt_tokens=300,
        output_tokens=6,
        draft_device=0,
        came_ms=0.0,
        ended_ms=150.0,
        asked_ms=(0.0, 40.0, 90.0),
        sent_ms=(0.0, 50.0, 100.0),
        joined_ms=(10.0, 60.0, 110.0),
        began_ms=(10.0, 65.0, 110.0),
        verified_ms=(30.0, 80.0, 130.0),
        arrived_ms=(40.0, 90.0, 150.0),
        window=(0, 4, 4),
        accepted=(0, 2, 1),
        tokens=(1, 3, 2),
    )
    found = Excerpt(
        device=device,
        model="target-7b",
        replica=0,
        replicas=2,
        began_at_s=12.0,
        lasts_ms=160.0,
        sessions=(session,),
        iteration_began_ms=(10.0, 30.0, 65.0, 110.0),
        iteration_drafted_ms=(10.0, 30.0, 65.0, 110.0),
        iteration_ended_ms=(30.0, 60.0, 80.0, 130.0),
        prefills=(1, 0, 0, 0),
        rounds=(2, 3, 4, 4),
        mean_window=(4.0, 4.0, 4.0, 4.0),
        tokens=(3, 6, 9, 8),
        queue_at_ms=(0.0, 60.0, 65.0),
        queue=(0, 3, 0),
    )
    return replace(found, **more)  # type: ignore[arg-type]


def hour(at: int, share: float) -> HourOfDay:
    """An hour that uses this share of its tightest budget."""
    return HourOfDay(
        hour=at,
        load=0.5 if at < 8 else 1.0,
        devices={"gpu-server": 2},
        cost=4.0,
        workload="chat",
        ttft_p95_ms=300.0,
        tpot_p95_ms=45.0 * share,
        budget="tpot_p95_ms",
        budget_share=share,
        kept=share <= 1.0,
    )


def lost(*, survives: bool) -> DraftsLost:
    """All drafts lost, with two servers or saturated."""
    return DraftsLost(
        survives=survives,
        accepted=False,
        peak=1.0,
        saturates=None if survives else "gpu-server",
        saturation=0.6 if survives else 1.24,
        worst_workload="chat",
        ttft_p95_ms=420.0 if survives else None,
        tpot_p95_ms=44.0 if survives else None,
        broken=() if survives else (BrokenBudget(scope="chat", budget="tpot_p95_ms", limit=45.0, value=None),) * 3,
        targets={"gpu-server": 2},
        targets_needed={"gpu-server": 3},
        extra_cost_per_hour=0.0 if survives else 2.0,
        sentence="with every draft lost at peak the targets saturate",
    )


STEPS = Bottleneck(name="gpu-server", why="compute", load_if_doubled=2.6)
DRAFTS = Bottleneck(name="edge-box", why="draft_device", load_if_doubled=None)


def capacity() -> Capacity:
    """TPOT breaks at 1.31 times today's load; one server more buys a quarter of it, one box more nothing."""
    budget = BudgetLimit(
        scope="chat",
        budget="tpot_p95_ms",
        limit=45.0,
        now=36.0,
        kept_now=True,
        load=1.31,
        interval=Interval(point=1.31, low=1.2, high=1.4),
        alone=1.6,
        saturates=False,
        bottleneck=STEPS,
    )
    return Capacity(
        scenario="rich",
        sentence="Holds up to 1.31 × today's load; then chat's TPOT p95 breaks because gpu-server is short of steps.",
        load=1.31,
        holds_now=True,
        breaks="chat: tpot_p95_ms",
        bottleneck=STEPS,
        saturation_load=1.5,
        searched_to=64.0,
        resolution=0.001,
        budgets=(budget,),
        alone=(),
        next_limits=(
            NextLimit(load=1.31, breaks="chat: tpot_p95_ms", bottleneck=STEPS),
            NextLimit(load=4.2, breaks="saturation", bottleneck=DRAFTS),
        ),
        headroom=(
            Headroom(device="gpu-server", count=2, saturation=0.66, spare=0.34, load_at_knee=1.51),
            Headroom(device="edge-box", count=6, saturation=0.2, spare=0.8, load_at_knee=5.0),
        ),
        one_more=(
            OneMore(
                device="gpu-server", count=3, to_buy=True, load=1.81, gain=0.5, cost_per_hour=2.0, gain_per_cost=0.25
            ),
            OneMore(
                device="edge-box", count=7, to_buy=True, load=1.311, gain=0.001, cost_per_hour=0.2, gain_per_cost=0.005
            ),
        ),
        one_less=(
            OneLess(device="gpu-server", count=1, load=0.7, broken=("chat: tpot_p95_ms",)),
            OneLess(device="edge-box", count=5, load=1.31, broken=()),
        ),
    )


def point(mode: str, cost: float, tpot_ms: float, *, chosen: bool = False) -> ParetoPoint:
    """A plan of the front."""
    return ParetoPoint(
        mode=mode,
        window="4",
        cost_per_hour=cost,
        devices=int(cost),
        tpot_ms=tpot_ms,
        energy_j_per_token=None,
        chosen=chosen,
        words=f"{mode} for {cost} an hour",
    )


def rich_study() -> Study:
    """The clinics with their day, their loss, their past, their payers, a front, and a stretch of the replay."""
    study = full_study()
    price = PartPrice(
        part="verify",
        cost_per_hour=2.0,
        power_w=300.0,
        cost_per_million_tokens=4.0,
        cost_per_million_accepted=6.0,
        energy_j_per_token=1.5,
        energy_j_per_accepted=2.2,
    )
    paid = AttributedPart(
        device="gpu-server",
        workload="chat",
        part="verify",
        busy_share=0.4,
        cost_per_hour=1.6,
        cost_with_idle_per_hour=2.0,
        power_w=250.0,
        power_with_idle_w=300.0,
        cost_per_million_tokens=4.0,
        cost_per_million_accepted=6.0,
        energy_j_per_token=1.5,
        energy_j_per_accepted=2.2,
    )
    again = Reprompting(
        workload="chat",
        context_tokens=380.0,
        bytes_per_round=1520.0,
        uplink_ms_per_round=1.2,
        prefill_ms_per_round=40.0,
        cached_prefill_ms_per_round=2.0,
        round_ms=72.0,
    )
    options = tuple(
        replace(
            option,
            cost_per_month=None if option.cost_per_hour is None else 730 * option.cost_per_hour,
            worst_hour_tpot_p95_ms=None if option.predicted is None else 60.0,
            drafts_lost=lost(survives=False) if option.chosen else None,
            engine=EngineSupport(today="no", engines=(), sentence="no released engine drafts on another machine"),
            reprompting=(again,) if option.chosen else (),
        )
        for option in study.options
    )
    return replace(
        study,
        name="rich",
        options=options,
        verdict=replace(
            study.verdict,
            measure_next="Acceptance is declared, not recorded: `dsd-plan trace record` tells it to 0.05.",
            measurement=Measurement(of="acceptance", command="dsd-plan trace record", requests=30),
        ),
        hours=tuple(hour(at, 0.4 if at < 8 else 0.9 if at < 23 else 1.1) for at in range(24)),
        backcast=Backcast(
            plan=study.plan,
            predicted=study.predicted,
            replayed=study.replayed,
            rows=(
                BackcastRow(
                    workload="chat",
                    metric="tpot_ms.p95",
                    predicted=36.0,
                    replayed=Interval(point=35.0, low=34.0, high=36.0),
                    measured=40.0,
                    ratio=0.9,
                ),
            ),
            error=0.105,
            errors={"tpot": 0.105},
            bias=0.9,
            saturates=None,
            saves={"cost_per_hour": 2.8},
            devices={"gpu-server": 4},
            cost_per_hour=8.0,
            sentence="Today's system is reproduced to 11 %.",
        ),
        energy_parts=(
            EnergyPart(device="gpu-server", part="verify", energy_j_per_token=1.5, share=0.75, workload="chat"),
            EnergyPart(device="edge-box", part="drafts rejected", energy_j_per_token=0.5, share=0.25, workload="chat"),
        ),
        attribution=(paid, replace(paid, workload=None, part="idle")),
        prices=(
            WorkloadPrice(
                workload="chat",
                tokens_per_s=100.0,
                accepted_per_s=60.0,
                cost_per_hour=2.0,
                power_w=300.0,
                parts=(price,),
                bytes_per_token=13.0,
                sentence="verification costs 6.00 a million accepted tokens",
            ),
        ),
        pareto=(point("distributed", 5.2, 27.4, chosen=True), point("fused", 8.0, 24.0), point("fused", 12.0, 22.0)),
        draft_worth=(
            DraftWorth(
                draft="draft-70m",
                target="target-7b",
                acceptance_now=0.72,
                acceptance_then=0.77,
                plan_now="distributed, window 4",
                plan_then="distributed, window 5",
                saves_cost_per_hour=0.0,
                saves_tpot_ms=2.1,
                saves_energy_j_per_token=None,
                saves_devices=0,
            ),
        ),
        robustness=Robustness(
            inputs=(BadEnd(input="rtt_ms", of="clinic – region", now=20.0, set_to=26.0, source="a link's profile"),),
            exact=("load",),
            plain_plan=study.plan,
            same_plan=True,
            plain_breaks=(),
            plain_cost_per_hour=5.2,
            robust_cost_per_hour=5.2,
            plain_tpot_ms=27.4,
            robust_tpot_ms=27.4,
            plain_energy_j_per_token=None,
            robust_energy_j_per_token=None,
            sentence="The same plan keeps every budget at the bad end of its inputs",
        ),
        timeline=(excerpt(),),
        capacity=capacity(),
    )
