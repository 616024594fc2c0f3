"""Scenarios and plans built from domain types in a line or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from dsd_plan.domain.acceptance import Acceptance, AcceptanceLaw, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Device, FaultWindow, Link, ModelSpec, Site
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Policy, Routing
from dsd_plan.domain.profile import (
    LatencyProfile,
    LatencyStats,
    LawFit,
    ProfilePoint,
    StepLaw,
    declared_profile,
)
from dsd_plan.domain.scenario import Mode, Pair, Scenario
from dsd_plan.domain.workload import (
    Budgets,
    ClosedRequests,
    PoissonRequests,
    Requests,
    RequestTrace,
    Workload,
)

TARGET = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02)
DRAFT = StepLaw(step_ms=5.0)
FUSED = StepLaw(step_ms=1.0, per_token_ms=0.01)
SEVEN_OF_TEN = AcceptanceLaw(per_token=0.7)
NO_BUDGETS = Budgets()
STATIC = Policy()
METADATA = TraceMetadata("draft", "target", "0", "argmax", "test", "1")


def poisson(rate_per_s: float, prompt: int = 100, output: int = 40) -> PoissonRequests:
    return PoissonRequests(rate_per_s=rate_per_s, prompt_tokens=prompt, output_tokens=output)


def closed(users: int, think_s: float = 0.0, prompt: int = 100, output: int = 40) -> ClosedRequests:
    return ClosedRequests(users=users, think_s=think_s, prompt_tokens=prompt, output_tokens=output)


def recorded(
    arrival_s: Sequence[float], prompt: Sequence[int], output: Sequence[int], cached: Sequence[int] | None = None
) -> RequestTrace:
    return RequestTrace(
        np.array(arrival_s, dtype=np.float64),
        np.array(prompt, dtype=np.int64),
        np.array(output, dtype=np.int64),
        None if cached is None else np.array(cached, dtype=np.int64),
    )


def token_trace(requests: Sequence[Sequence[int]]) -> TokenTrace:
    """One list of match bits a request."""
    return TokenTrace(
        METADATA,
        np.repeat(np.arange(len(requests)), [len(bits) for bits in requests]),
        np.concatenate([np.array(bits, dtype=np.uint8) for bits in requests]),
    )


def round_trace(proposed: Sequence[int], accepted: Sequence[int], request: Sequence[int] | None = None) -> RoundTrace:
    """Rounds of one request, unless told of which."""
    of = np.zeros(len(proposed), dtype=np.int64) if request is None else np.array(request)
    return RoundTrace(METADATA, of, np.array(proposed), np.array(accepted))


def points(law: StepLaw, batches: Sequence[int], news: Sequence[int], contexts: Sequence[int]) -> LatencyProfile:
    """A measured profile whose times bend away from its law: a fifth more at the odd places of the grid."""
    found = []
    for i, batch in enumerate(batches):
        for j, new in enumerate(news):
            bend = 1.2 if (i + j) % 2 else 1.0
            prefill = law.step_ms + batch * law.per_prompt_token_ms * new * 50
            found.append(_point("prefill", batch, new * 50, 0, prefill * bend))
            for context in contexts:
                decode = law.step_ms + batch * (law.per_token_ms * new + law.per_kv_token_us * context / 1000)
                found.append(_point("decode", batch, new, context, decode * bend))
    return LatencyProfile(device="any", model="any", origin="measured", fit=LawFit(law=law), points=tuple(found))


def _point(phase: str, batch: int, new: int, context: int, ms: float) -> ProfilePoint:
    return ProfilePoint(
        phase=phase,  # type: ignore[arg-type]
        batch=batch,
        new_tokens=new,
        context_tokens=context,
        samples=3,
        latency_ms=LatencyStats(mean=ms, std=0.0, p50=ms, p95=ms, p99=ms),
    )


def profile(law: StepLaw | LatencyProfile, model: str) -> LatencyProfile:
    return declared_profile("any", model, law) if isinstance(law, StepLaw) else law


def tiring(law: StepLaw | LatencyProfile, *rows: tuple[float, float]) -> LatencyProfile:
    """A profile whose device slows down: (seconds of work, share of its speed left)."""
    return replace(profile(law, "any"), sustained=rows)


def system(
    requests: Requests | dict[str, Requests],
    *,
    mode: Mode | dict[str, Mode] = "distributed",
    window: int | dict[str, int] = 4,
    target: StepLaw | LatencyProfile = TARGET,
    draft: StepLaw | LatencyProfile = DRAFT,
    fused: StepLaw | LatencyProfile = FUSED,
    acceptance: Acceptance = SEVEN_OF_TEN,
    link: Link | None = None,
    further: Link | None = None,
    more_links: Sequence[Link] = (),
    faults: Sequence[FaultWindow] = (),
    wire: Literal["ids", "ids_q", "topk", "distributions"] = "ids",
    copies: int = 1,
    replicas: int = 1,
    devices: int = 1,
    cap: int = 64,
    draft_cap: int | None = None,
    candidates: int = 1,
    devices_per_session: int = 1,
    policy: Policy = STATIC,
    memory_gib: float = 64.0,
    kv_mib: float | None = None,
    priority: dict[str, int] | None = None,
    batching: Literal["fifo", "length_aware"] = "fifo",
    routing: Routing = "jsq",
    draft_routing: Routing | None = None,
    budgets: Budgets = NO_BUDGETS,
    idle_w: float | None = None,
    cost_per_hour: float = 0.0,
    engine: dict[str, int | bool] | None = None,
) -> Deployed:
    """One edge site, one region; a hub between them with a `further` link.

    Give `requests`, `mode` and `window` by workload name for several workloads.
    """
    streams = requests if isinstance(requests, dict) else {"chat": requests}
    modes = {name: mode[name] if isinstance(mode, dict) else mode for name in streams}
    windows = {name: window[name] if isinstance(window, dict) else window for name in streams}
    scenario = Scenario(
        name="test",
        sites=(Site(name="edge", count=copies), Site(name="hub"), Site(name="region")),
        links=(link or Link(between=("edge", "region"), rtt_ms=20.0), *((further,) if further else ()), *more_links),
        faults=tuple(faults),
        models=(
            ModelSpec(name="draft", weights_gib=0.0),
            ModelSpec(name="target", weights_gib=0.0, kv_mib_per_token=kv_mib, vocabulary=1000),
        ),
        devices=(
            Device(
                name="box",
                site="edge",
                count=devices,
                memory_gib=8.0,
                batch_cap=draft_cap,
                idle_w=idle_w,
                profiles={"draft": profile(draft, "draft")},
            ),
            Device(
                name="gpu",
                site="region",
                count=replicas,
                memory_gib=memory_gib,
                batch_cap=cap,
                idle_w=idle_w,
                cost_per_hour=cost_per_hour,
                **(engine or {}),
                profiles={"target": profile(target, "target"), "draft": profile(fused, "draft")},
            ),
        ),
        pairs=(
            Pair(draft="draft", target="target", acceptance=acceptance, wire=wire, k=3 if wire == "topk" else None),
        ),
        workloads=tuple(
            Workload(
                name=name,
                site="edge",
                target="target",
                requests=asked,
                budgets=budgets,
                priority=(priority or {}).get(name, 0),
            )
            for name, asked in streams.items()
        ),
    )
    assignments, deployments = [], {("gpu", "target"): replicas}
    for name in streams:
        speculates = modes[name] != "target_only"
        edge = modes[name] in ("distributed", "pipelined")
        assignments.append(
            Assignment(
                workload=name,
                mode=modes[name],
                target_device="gpu",
                draft_model="draft" if speculates else None,
                draft_device=("box" if edge else "gpu") if speculates else None,
                window=windows[name] if speculates else None,
                routing=routing,
                draft_routing=draft_routing,
                candidates=candidates if speculates and modes[name] != "pipelined" else 1,
                policy=policy if speculates else STATIC,
                draft_devices_per_session=devices_per_session if modes[name] == "distributed" else 1,
            )
        )
        if speculates:
            deployments["box" if edge else "gpu", "draft"] = devices if edge else replicas
    plan = Plan(
        scenario="test",
        assignments=tuple(assignments),
        deployments=tuple(
            Deployment(device=d, model=m, count=n, batching=batching if m == "target" else "fifo")
            for (d, m), n in deployments.items()
        ),
    )
    return deploy(scenario, plan)
