"""A scenario as plain data: everything resolved, traces and measured profiles told by what they come to.

This is what a study keeps of its scenario: enough to read, and to see what was assumed; the inputs' hashes tell
which files it came from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from dsd_plan.domain.acceptance import (
    DECLARED,
    Acceptance,
    AcceptanceCounts,
    AcceptanceLaw,
    TokenTrace,
    acceptance_form,
    counted_totals,
    largest_window,
    survival_by_position,
)
from dsd_plan.domain.fleet import Device, FaultWindow, Link, ModelSpec, Site
from dsd_plan.domain.present import Present
from dsd_plan.domain.profile import LatencyProfile, LawFit
from dsd_plan.domain.scenario import FleetBudgets, Scenario, Search
from dsd_plan.domain.workload import Budgets, ClosedRequests, PoissonRequests, Requests, RequestTrace, Workload

SURVIVAL_POSITIONS = 12
"""Positions of the survival curve that a summary tells; the default search goes as far."""


def summary(scenario: Scenario) -> dict[str, Any]:
    """JSON-ready: keys as in the scenario file, with defaults filled in; a key that was not given is null.

    `acceptance`, `requests` and each device's `profiles` say in `kind` or `origin` what stands behind them.
    """
    return {
        "name": scenario.name,
        "sites": _dump(tuple[Site, ...], scenario.sites),
        "links": [_link(link) for link in scenario.links],
        "models": _dump(tuple[ModelSpec, ...], scenario.models),
        "devices": [_device(device) for device in scenario.devices],
        "pairs": [
            {
                "draft": pair.draft,
                "target": pair.target,
                "acceptance": acceptance_summary(pair.acceptance),
                "wire": pair.wire,
                "k": pair.k,
                "kind": pair.kind,
                "verify_via": pair.verify_via,
            }
            for pair in scenario.pairs
        ],
        "workloads": [_workload(workload) for workload in scenario.workloads],
        "faults": _dump(tuple[FaultWindow, ...], scenario.faults),
        "budgets": _dump(FleetBudgets, scenario.budgets),
        "search": _dump(Search, scenario.search),
        "present": _dump(Present | None, scenario.present),
        "inputs": [{"path": file.path, "sha256": file.sha256} for file in scenario.inputs],
    }


def acceptance_summary(acceptance: Acceptance) -> dict[str, Any]:
    """What is known of a pair's acceptance; `survival` is s_i = P(first i proposals all accepted), i = 1, 2, …"""
    if isinstance(acceptance, DECLARED):
        positions = largest_window(acceptance) or SURVIVAL_POSITIONS
        return {
            "kind": acceptance_form(acceptance),
            "per_token": acceptance.per_token if isinstance(acceptance, AcceptanceLaw) else None,
            "survival": survival_by_position(acceptance, positions).tolist(),
        }
    metadata = acceptance.metadata
    told: dict[str, Any] = {
        "kind": acceptance_form(acceptance),
        "draft": metadata.draft,
        "target": metadata.target,
        "proposal": metadata.proposal,
        "temperature": metadata.temperature,
        "recorder": metadata.recorder,
        "version": metadata.version,
        "requests": None if isinstance(acceptance, AcceptanceCounts) else int(np.unique(acceptance.request_id).size),
        "tasks": None if acceptance.task is None else np.unique(acceptance.task).tolist(),
    }
    if isinstance(acceptance, TokenTrace):
        positions = min(SURVIVAL_POSITIONS, acceptance.match.size - 1)
        told |= {"tokens": int(acceptance.match.size), "match_rate": float(acceptance.match.mean())}
    elif isinstance(acceptance, AcceptanceCounts):
        positions = min(SURVIVAL_POSITIONS, len(acceptance.reached))
        told |= {**counted_totals(acceptance), "window": acceptance.window}
    else:
        positions = min(SURVIVAL_POSITIONS, int(acceptance.proposed.max()))
        told |= {
            "rounds": int(acceptance.proposed.size),
            "proposed": int(acceptance.proposed.sum()),
            "accepted": int(acceptance.accepted.sum()),
        }
    told["survival"] = survival_by_position(acceptance, positions).tolist() if positions else []
    return told


def requests_summary(requests: Requests) -> dict[str, Any]:
    """A request stream: its kind, and its rate or users; a trace is told by counts, span and lengths."""
    if isinstance(requests, PoissonRequests):
        return {"kind": "poisson", **_dump(PoissonRequests, requests)}
    if isinstance(requests, ClosedRequests):
        return {"kind": "closed", **_dump(ClosedRequests, requests)}
    span_s = float(requests.arrival_s[-1] - requests.arrival_s[0])
    return {
        "kind": "trace",
        "requests": int(requests.arrival_s.size),
        "span_s": span_s,
        "rate_per_s": requests.rate_per_s if span_s > 0 else None,
        "prompt_tokens": _lengths(requests, "prompt_tokens"),
        "output_tokens": _lengths(requests, "output_tokens"),
    }


def profile_summary(profile: LatencyProfile) -> dict[str, Any]:
    """A profile: where it comes from, which grid was measured, the fitted law, and its power."""
    return {
        "origin": profile.origin,
        "device": profile.device,
        "model": profile.model,
        "backend": profile.backend,
        "precision": profile.precision,
        "software": profile.software,
        "measured_at": profile.measured_at,
        "points": len(profile.points),
        "samples": sum(point.samples for point in profile.points),
        "decode": grid(profile, "decode"),
        "prefill": grid(profile, "prefill"),
        "fit": _dump(LawFit, profile.fit),
        "idle_w": profile.idle_w,
        "active_w": profile.active_w,
        "power_source": profile.power_source,
        "sustained": profile.sustained,
    }


def grid(profile: LatencyProfile, phase: str) -> dict[str, list[int]] | None:
    """Measured values of each axis, ascending; None where this phase was not measured."""
    points = [point for point in profile.points if point.phase == phase]
    if not points:
        return None
    axes = ("batch", "new_tokens", "context_tokens")
    return {axis: sorted({getattr(point, axis) for point in points}) for axis in axes}


def _device(device: Device) -> dict[str, Any]:
    told = {name: getattr(device, name) for name in Device.__dataclass_fields__ if name != "profiles"}
    return told | {"profiles": {model: profile_summary(profile) for model, profile in device.profiles.items()}}


def _workload(workload: Workload) -> dict[str, Any]:
    return {
        "name": workload.name,
        "site": workload.site,
        "target": workload.target,
        "requests": requests_summary(workload.requests),
        "rate_per_s": workload.rate_per_s,
        "task": workload.task,
        "priority": workload.priority,
        "allowed_sites": None if workload.allowed_sites is None else list(workload.allowed_sites),
        "budgets": _dump(Budgets, workload.budgets),
        "hourly_load": None if workload.hourly_load is None else list(workload.hourly_load),
        "degraded_budgets": _dump(Budgets | None, workload.degraded_budgets),
    }


def _link(link: Link) -> dict[str, Any]:
    known = _dump(Link, replace(link, trace=None, profile=None))
    return {**known, "trace": _link_trace(link), "profile": _link_profile(link)}


def _link_profile(link: Link) -> dict[str, Any] | None:
    profile = link.profile
    if profile is None:
        return None
    return {
        "measured_at": profile.measured_at,
        "transport": profile.transport,
        "samples": profile.samples,
        "rtt_p95_ms": profile.rtt_ms.p95,
        "up_share": profile.up_share,
        "jitter_p95_error": profile.jitter_fit.p95_error,
    }


def _link_trace(link: Link) -> dict[str, Any] | None:
    if link.trace is None:
        return None
    return {"samples": len(link.trace.rtt_ms), "mean_rtt_ms": float(np.mean(link.trace.rtt_ms))}


def _lengths(requests: RequestTrace, name: str) -> dict[str, float]:
    values = getattr(requests, name)
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"mean": float(values.mean()), "p5": float(low), "p50": float(middle), "p95": float(high)}


def _dump(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).dump_python(value, mode="json")
