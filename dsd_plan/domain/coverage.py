"""What will be computed from what: routes, the profiles behind each workload, and where they extrapolate.

Read before planning: a prediction is worth no more than the points it stands on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from dsd_plan.domain.acceptance import (
    DECLARED,
    Acceptance,
    AcceptanceLaw,
    acceptance_form,
    accepted_pmf,
    for_task,
)
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.network import mean_delay_ms, route, route_sites
from dsd_plan.domain.profile import LatencyProfile, Origin
from dsd_plan.domain.records import record
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.step_time import decode_origin, prefill_origin
from dsd_plan.domain.workload import RequestTrace, Workload

TARGET_BATCH_CAP = 64
DRAFT_BATCH_CAP = 1
"""Jobs in one iteration where neither device nor plan says (contract, defaults)."""

_WORSE: dict[Origin, int] = {"measured": 0, "interpolated": 1, "extrapolated": 2, "declared": 3}


@record
class StepCoverage:
    """One kind of step that a workload needs, over the batches and contexts that it can meet, and how it is known."""

    step: str
    """"decode", "draft", "prefill", or "verify"."""
    window: int | None
    """With "verify": γ; the step has γ + 1 new tokens a sequence."""
    new_tokens: tuple[int, int]
    """Fewest and most a sequence."""
    batch: tuple[int, int]
    context_tokens: tuple[int, int]
    alone: Origin
    """How the time of one sequence is known, at its worst over the contexts."""
    full: Origin
    """The same of a full batch."""


@record
class ProfileCoverage:
    """A device that may serve a workload in a role, and how far its profile reaches."""

    device: str
    site: str
    model: str
    role: str
    """"target", "draft beside the target" or "edge draft"."""
    points: int
    steps: tuple[StepCoverage, ...]


@record
class RouteCoverage:
    """The way from a workload's site to one where its target runs."""

    sites: tuple[str, ...]
    rtt_ms: float
    """Mean round trip of an empty message, losses included."""


@record
class WindowCoverage:
    """What a pair's acceptance says of one window; nulls: not measured."""

    window: int
    survival: float | None
    """P(all of the window accepted)."""
    tokens_per_round: float | None


@record
class PairCoverage:
    """A draft that may speculate for a workload's target."""

    draft: str
    source: str
    """"declared law", "token trace" or "round trace"."""
    windows: tuple[WindowCoverage, ...]


@record
class WorkloadCoverage:
    """Everything that a prediction for one workload can stand on."""

    workload: str
    site: str
    target: str
    routes: tuple[RouteCoverage, ...]
    profiles: tuple[ProfileCoverage, ...]
    pairs: tuple[PairCoverage, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        told: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return told


def coverage(scenario: Scenario) -> tuple[WorkloadCoverage, ...]:
    """For each workload its routes, profiles and pairs over the windows of the search, and how each is known."""
    return tuple(_workload(scenario, workload) for workload in scenario.workloads)


def _workload(scenario: Scenario, workload: Workload) -> WorkloadCoverage:
    able = [device for device in scenario.devices if workload.target in device.profiles]
    allowed = [d for d in able if workload.allowed_sites is None or d.site in workload.allowed_sites]
    pairs = [pair for pair in scenario.pairs if pair.target == workload.target]
    profiles = [_target(scenario, workload, device) for device in allowed]
    for pair in pairs:
        profiles += [
            _draft(workload, pair.draft, d, "draft beside the target") for d in allowed if pair.draft in d.profiles
        ]
        local = [d for d in scenario.devices if d.site == workload.site and pair.draft in d.profiles]
        profiles += [_draft(workload, pair.draft, device, "edge draft") for device in local]
    sites = dict.fromkeys(device.site for device in allowed)
    return WorkloadCoverage(
        workload=workload.name,
        site=workload.site,
        target=workload.target,
        routes=tuple(found for site in sites if (found := _route(scenario, workload.site, site)) is not None),
        profiles=tuple(profiles),
        pairs=tuple(_pair(scenario, workload, pair) for pair in pairs),
    )


def _route(scenario: Scenario, start: str, end: str) -> RouteCoverage | None:
    sites, hops = route_sites(scenario, start, end), route(scenario, start, end)
    if sites is None or hops is None:
        return None
    up, down = hops
    return RouteCoverage(sites=sites, rtt_ms=mean_delay_ms(up, 0.0) + mean_delay_ms(down, 0.0))


def _target(scenario: Scenario, workload: Workload, device: Device) -> ProfileCoverage:
    profile = device.profiles[workload.target]
    cap = device.batch_cap or TARGET_BATCH_CAP
    prompts, contexts = _lengths(workload)
    speculates = any(pair.target == workload.target for pair in scenario.pairs)
    windows = scenario.search.windows if speculates else ()
    steps = [_prefill(profile, prompts, cap), _decode(profile, "decode", None, 1, contexts, cap)]
    steps += [_decode(profile, "verify", window, window + 1, contexts, cap) for window in windows]
    return ProfileCoverage(
        device=device.name,
        site=device.site,
        model=workload.target,
        role="target",
        points=len(profile.points),
        steps=tuple(steps),
    )


def _draft(workload: Workload, model: str, device: Device, role: str) -> ProfileCoverage:
    profile = device.profiles[model]
    cap = DRAFT_BATCH_CAP if role == "edge draft" else device.batch_cap or TARGET_BATCH_CAP
    prompts, contexts = _lengths(workload)
    return ProfileCoverage(
        device=device.name,
        site=device.site,
        model=model,
        role=role,
        points=len(profile.points),
        steps=(_prefill(profile, prompts, cap), _decode(profile, "draft", None, 1, contexts, cap)),
    )


def _prefill(profile: LatencyProfile, prompts: tuple[int, int], cap: int) -> StepCoverage:
    alone = [prefill_origin(profile, 1, prompt) for prompt in prompts]
    full = [prefill_origin(profile, cap, prompt) for prompt in prompts]
    return StepCoverage(
        step="prefill",
        window=None,
        new_tokens=prompts,
        batch=(1, cap),
        context_tokens=(0, 0),
        alone=_worst(alone),
        full=_worst(full),
    )


def _decode(
    profile: LatencyProfile, step: str, window: int | None, new_tokens: int, contexts: tuple[int, int], cap: int
) -> StepCoverage:
    alone = [decode_origin(profile, 1, new_tokens, context) for context in contexts]
    full = [decode_origin(profile, cap, new_tokens, context) for context in contexts]
    return StepCoverage(
        step=step,
        window=window,
        new_tokens=(new_tokens, new_tokens),
        batch=(1, cap),
        context_tokens=contexts,
        alone=_worst(alone),
        full=_worst(full),
    )


def _worst(origins: list[Origin]) -> Origin:
    return max(origins, key=lambda origin: _WORSE[origin])


def _lengths(workload: Workload) -> tuple[tuple[int, int], tuple[int, int]]:
    """(shortest, longest prompt), (smallest, largest context) that the workload's requests can meet."""
    requests = workload.requests
    if isinstance(requests, RequestTrace):
        prompts = int(requests.prompt_tokens.min()), int(requests.prompt_tokens.max())
        return prompts, (prompts[0], int((requests.prompt_tokens + requests.output_tokens).max()))
    prompt = requests.prompt_tokens
    return (prompt, prompt), (prompt, prompt + requests.output_tokens)


def _pair(scenario: Scenario, workload: Workload, pair: Pair) -> PairCoverage:
    acceptance = for_task(pair.acceptance, workload.task)
    if isinstance(acceptance, DECLARED):
        past = acceptance.measured_window
        if not isinstance(acceptance, AcceptanceLaw) and acceptance.largest_window == past:
            past = None
        source = acceptance_form(acceptance) if past is None else f"fitted law, extrapolated past window {past}"
    else:
        source = (
            f"{acceptance_form(acceptance)} recorded with {acceptance.metadata.draft} for {acceptance.metadata.target}"
        )
    return PairCoverage(
        draft=pair.draft,
        source=source,
        windows=tuple(_window(acceptance, window) for window in scenario.search.windows),
    )


def _window(acceptance: Acceptance, window: int) -> WindowCoverage:
    try:
        pmf = accepted_pmf(acceptance, window)
    except ValueError:
        return WindowCoverage(window=window, survival=None, tokens_per_round=None)
    accepted = float(np.dot(np.arange(window + 1), pmf))
    return WindowCoverage(window=window, survival=float(pmf[-1]), tokens_per_round=1.0 + accepted)


_ADAPTER = TypeAdapter(WorkloadCoverage)
