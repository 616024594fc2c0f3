"""Studies of many workloads: three of them, and a fleet of a thousand sites."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.performance import DevicePerformance, Interval, Performance, RoundParts
from dsd_plan.domain.plan import Assignment, Deployment
from dsd_plan.domain.study import Agreement, BudgetCheck, Study, WorkloadParts
from tests.report.studies import full_study, plan_of


def several_study() -> Study:
    """The clinics with a second workload, whose charts a reader has to ask for."""
    study = full_study()
    entry = study.scenario["workloads"][0]
    return replace(
        study,
        scenario={**study.scenario, "workloads": [entry, {**entry, "name": "letters"}]},
        plan=replace(
            study.plan,
            assignments=(*study.plan.assignments, replace(study.plan.assignments[0], workload="letters")),
        ),
        predicted=_twice(study.predicted),
        replayed=_twice(study.replayed),
        curves=(*study.curves, *(replace(curve, workload="letters") for curve in study.curves)),
        maps=(*study.maps, *(replace(found, workload="letters") for found in study.maps)),
        round_parts=(*study.round_parts, *(replace(parts, workload="letters") for parts in study.round_parts)),
    )


def _twice(found: Performance) -> Performance:
    return replace(found, workloads=(*found.workloads, replace(found.workloads[0], name="letters")))


def thousand_sites(sites: int = 1000) -> Study:
    """Every site has its own users, link and box; three in four draft at home, the others only ask."""
    study = full_study()
    names = [f"store-{at:04d}" for at in range(sites)]
    drafting = [at % 4 != 3 for at in range(sites)]
    entry = study.scenario["workloads"][0]
    first = study.plan.assignments[0]
    return replace(
        study,
        name="thousand-stores",
        scenario={
            **study.scenario,
            "sites": [*({"name": name, "count": 1} for name in names), {"name": "region", "count": 1}],
            "links": [
                {"between": [name, "region"], "rtt_ms": 5.0 + at % 76, "uplink_mbps": 10.0, "downlink_mbps": 50.0}
                for at, name in enumerate(names)
            ],
            "devices": [
                *({"name": f"box-{at:04d}", "site": name, "count": 2} for at, name in enumerate(names)),
                {"name": "gpu-server", "site": "region", "count": 40, "cost_per_hour": 2.0},
            ],
            "workloads": [{**entry, "name": f"chat-{at:04d}", "site": name} for at, name in enumerate(names)],
        },
        plan=replace(
            plan_of("distributed", 4),
            assignments=tuple(
                replace(first, workload=f"chat-{at:04d}", draft_device=f"box-{at:04d}")
                if drafts
                else Assignment(workload=f"chat-{at:04d}", mode="target_only", target_device="gpu-server")
                for at, drafts in enumerate(drafting)
            ),
            deployments=(
                Deployment(device="gpu-server", model="target-7b", count=31),
                *(
                    Deployment(device=f"box-{at:04d}", model="draft-70m", count=1)
                    for at in range(sites)
                    if drafting[at]
                ),
            ),
        ),
        predicted=_many(study.predicted, drafting),
        replayed=_many(study.replayed, drafting),
        agreements=tuple(
            Agreement(
                workload=f"chat-{at:04d}",
                metric=metric,
                predicted=30.0 + at % 7,
                observed=Interval(point=30.0, low=29.5, high=30.5),
                relative_error=(at % 7) / 30.0,
                tolerance=0.1,
                verdict="agrees" if at % 7 < 3 else "disagrees",
            )
            for at in range(sites)
            for metric in ("ttft_ms.mean", "ttft_ms.p95", "tpot_ms.mean", "tpot_ms.p95")
        ),
        budgets=tuple(
            BudgetCheck(
                scope=f"chat-{at:04d}",
                budget=budget,
                limit=limit,
                predicted=limit * (0.4 + 0.5 * (at % 100) / 100),
                replayed=Interval(point=limit * (0.4 + 0.61 * (at % 100) / 100), low=limit * 0.3, high=limit * 1.1),
                kept=at % 100 < 98,
            )
            for at in range(sites)
            for budget, limit in (("ttft_p95_ms", 800.0), ("tpot_p95_ms", 45.0))
        ),
        options=tuple(
            replace(option, devices=option.devices and {f"box-{at:04d}": 1 for at in range(sites)} | {"gpu-server": 31})
            for option in study.options
        ),
        curves=tuple(replace(curve, workload=f"chat-{at:04d}") for at in range(8) for curve in study.curves),
        maps=tuple(replace(found, workload="chat-0000") for found in study.maps),
        round_parts=tuple(
            WorkloadParts(
                workload=f"chat-{at:04d}",
                mode="distributed" if drafts else "target_only",
                parts=RoundParts(draft_ms=12.4, uplink_ms=10.1, wait_ms=9.6, verify_ms=30.2, downlink_ms=10.1),
            )
            for at, drafts in enumerate(drafting)
        ),
        tipping_points=tuple(replace(study.tipping_points[0], workload=f"chat-{at:04d}") for at in range(sites)),
        profiles=tuple(replace(study.profiles[0], device=f"box-{at:04d}") for at in range(sites)),
    )


def _many(found: Performance, drafting: list[bool]) -> Performance:
    first, device = found.workloads[0], found.devices[0]
    return replace(
        found,
        workloads=tuple(replace(first, name=f"chat-{at:04d}") for at in range(len(drafting))),
        devices=(
            device,
            *(_box(at, drafts) for at, drafts in enumerate(drafting)),
        ),
    )


def _box(at: int, drafts: bool) -> DevicePerformance:
    name = f"box-{at:04d}"
    if not drafts:
        return DevicePerformance(name=name, saturation=0.0, busy=0.0, mean_batch=None, power_w=None)
    full = 0.05 + 0.9 * (at % 50) / 50
    return DevicePerformance(name=name, saturation=full, busy=full, mean_batch=1.0, power_w=9.0)
