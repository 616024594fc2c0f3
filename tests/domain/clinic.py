"""A small scenario that makes sense, and a plan for it, to be spoilt one part at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.domain.fleet import Device, Link, ModelSpec, Site
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import LatencyProfile, LatencyStats, LawFit, ProfilePoint, StepLaw, declared_profile
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.workload import PoissonRequests, RequestTrace, Workload

SMALL_LAW = StepLaw(step_ms=7.0, per_prompt_token_ms=0.2)
BIG_LAW = StepLaw(step_ms=25.0, per_token_ms=0.2, per_prompt_token_ms=0.1, active_w=600.0)

SCENARIO = Scenario(
    name="clinics",
    sites=(Site(name="clinic"), Site(name="region")),
    links=(Link(between=("clinic", "region"), rtt_ms=40.0),),
    models=(ModelSpec(name="small", weights_gib=2.0), ModelSpec(name="big", weights_gib=30.0, kv_mib_per_token=0.5)),
    devices=(
        Device(
            name="box",
            site="clinic",
            count=4,
            memory_gib=8.0,
            profiles={"small": declared_profile("box", "small", SMALL_LAW)},
        ),
        Device(
            name="gpu",
            site="region",
            count=2,
            memory_gib=40.0,
            profiles={
                "small": declared_profile("gpu", "small", SMALL_LAW),
                "big": declared_profile("gpu", "big", BIG_LAW),
            },
        ),
    ),
    pairs=(Pair(draft="small", target="big", acceptance=AcceptanceLaw(survival=(0.7, 0.5, 0.4))),),
    workloads=(
        Workload(
            name="chat",
            site="clinic",
            target="big",
            requests=PoissonRequests(rate_per_s=2.0, prompt_tokens=100, output_tokens=50),
        ),
    ),
)

PLAN = Plan(
    scenario="clinics",
    assignments=(
        Assignment(
            workload="chat", mode="distributed", target_device="gpu", draft_model="small", draft_device="box", window=2
        ),
    ),
    deployments=(Deployment(device="box", model="small", count=4), Deployment(device="gpu", model="big", count=2)),
)

METADATA = TraceMetadata(
    draft="small",
    target="big",
    tokenizer_hash="abc",
    proposal="argmax",
    recorder="a test",
    version="1",
    temperature=0.0,
)
TOKENS = TokenTrace(
    metadata=METADATA,
    request_id=np.array([7, 7, 7, 7, 7, 9, 9, 9]),
    match=np.array([1, 1, 0, 1, 0, 1, 1, 1], dtype=np.uint8),
    task=np.array(["code"] * 5 + ["chat"] * 3),
)
ROUNDS = RoundTrace(
    metadata=METADATA,
    request_id=np.array([1, 1, 2]),
    proposed=np.array([4, 4, 3]),
    accepted=np.array([4, 1, 0]),
)
REQUESTS = RequestTrace(
    arrival_s=np.array([0.0, 1.0, 4.0]), prompt_tokens=np.array([10, 300, 20]), output_tokens=np.array([5, 6, 700])
)


def part(thing: Any, index: int = 0, /, **changes: Any) -> tuple[Any, ...]:
    """A tuple with one item changed."""
    return tuple(replace(item, **changes) if i == index else item for i, item in enumerate(thing))


def measured(*points: ProfilePoint, **changes: Any) -> LatencyProfile:
    """A measured profile of "big" on "gpu"."""
    profile = LatencyProfile(
        device="gpu", model="big", origin="measured", fit=LawFit(law=BIG_LAW, mean_error=0.05, folds=5), points=points
    )
    return replace(profile, **changes)


def point(
    batch: int, new_tokens: int, context_tokens: int = 100, phase: Any = "decode", p50: float = 20.0
) -> ProfilePoint:
    """A measured step whose spread makes sense."""
    return ProfilePoint(
        phase=phase,
        batch=batch,
        new_tokens=new_tokens,
        context_tokens=context_tokens,
        samples=30,
        latency_ms=LatencyStats(mean=p50, std=1.0, p50=p50, p95=p50 + 2, p99=p50 + 3),
    )
