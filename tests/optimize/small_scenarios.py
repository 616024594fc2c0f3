"""Scenarios written down in code: an edge site, a region, and what is asked of them."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.fleet import Device, Link, ModelSpec, Site
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import FleetBudgets, Pair, Scenario, Search
from dsd_plan.domain.workload import Budgets, PoissonRequests, Workload


def edge_box(site: str = "clinic", name: str = "edge-box", count: int = 6, step_ms: float = 4.0, **more: Any) -> Device:
    law = StepLaw(step_ms=step_ms, per_prompt_token_ms=0.01, active_w=30.0)
    return Device(
        name=name,
        site=site,
        count=count,
        memory_gib=16.0,
        idle_w=8.0,
        profiles={"small": declared_profile(name, "small", law)},
        **{"cost_per_hour": 0.05, **more},
    )


def gpu(count: int = 3, step_ms: float = 20.0, name: str = "gpu", draft_step_ms: float = 1.5, **more: Any) -> Device:
    large = StepLaw(step_ms=step_ms, per_token_ms=0.1, per_prompt_token_ms=0.03, active_w=600.0)
    small = StepLaw(step_ms=draft_step_ms, per_token_ms=0.01, per_prompt_token_ms=0.002, active_w=350.0)
    return Device(
        name=name,
        site="region",
        count=count,
        memory_gib=141.0,
        batch_cap=32,
        idle_w=75.0,
        profiles={"large": declared_profile(name, "large", large), "small": declared_profile(name, "small", small)},
        **{"cost_per_hour": 4.0, **more},
    )


def chat(site: str = "clinic", rate_per_s: float = 6.0, name: str = "chat", **budgets: float) -> Workload:
    return Workload(
        name=name,
        site=site,
        target="large",
        requests=PoissonRequests(rate_per_s=rate_per_s, prompt_tokens=200, output_tokens=64),
        budgets=Budgets(**budgets),
    )


def scenario(
    *,
    rtt_ms: float = 20.0,
    per_token: float = 0.75,
    devices: tuple[Device, ...] | None = None,
    workloads: tuple[Workload, ...] | None = None,
    sites: tuple[Site, ...] | None = None,
    links: tuple[Link, ...] | None = None,
    budgets: FleetBudgets | None = None,
    **search: Any,
) -> Scenario:
    """A clinic with edge boxes, a region with GPUs, one chat workload, unless told otherwise."""
    return Scenario(
        name="small",
        sites=sites or (Site(name="clinic"), Site(name="region")),
        links=links or (Link(between=("clinic", "region"), rtt_ms=rtt_ms, jitter_cv=0.1),),
        models=(
            ModelSpec(name="small", weights_gib=2.0, kv_mib_per_token=0.03),
            ModelSpec(name="large", weights_gib=70.0, kv_mib_per_token=0.3),
        ),
        devices=devices or (edge_box(), gpu()),
        pairs=(Pair(draft="small", target="large", acceptance=AcceptanceLaw(per_token=per_token)),),
        workloads=workloads or (chat(),),
        budgets=budgets or FleetBudgets(),
        search=Search(**{"modes": ("target_only", "fused", "distributed"), "windows": (1, 2, 4), **search}),
    )
