"""A scenario and a plan made concrete: request streams, the servers they use, and the routes between.

The one reading of "what does this plan mean", which the model and the replayer both start from; neither may
interpret a plan on its own, or their agreement would prove less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import Acceptance
from dsd_plan.domain.engine_settings import EngineSettings, engine_settings
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.identity import Same
from dsd_plan.domain.network import Hop, route
from dsd_plan.domain.ngrams import costs_nothing, with_ngrams
from dsd_plan.domain.offered import requests_of
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.speculation import AT_THE_EDGE as AT_THE_EDGE
from dsd_plan.domain.speculation import Messages as Messages
from dsd_plan.domain.speculation import MisfitError, messages_of, needed, speculation
from dsd_plan.domain.step_time import StepSurface, surface_of
from dsd_plan.domain.sustained import in_the_long_run
from dsd_plan.domain.window_range import largest_choice
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace, Workload
from dsd_plan.errors import PlanError, Problem

MIB_PER_GIB = 1024.0


@dataclass(frozen=True, slots=True, eq=False)
class TargetPool:
    """Replicas of a device type that serve one target model; each replica is a gated batch server of its own.

    Profiles and surfaces are those of the long run, where devices slow down while they work (`sustained`).
    """

    device: Device
    model: str
    profile: LatencyProfile
    surface: StepSurface
    replicas: int
    batch_cap: int
    kv_tokens: float | None
    """KV tokens that one replica can hold for its live sessions; None: not known, not limiting."""
    fused_draft: str | None
    fused_profile: LatencyProfile | None
    fused_surface: StepSurface | None
    """The draft that runs on the same replicas, where a stream is fused."""
    engine: EngineSettings | None = None
    token_cap: int | None = None
    batching: str = "fifo"


@dataclass(frozen=True, slots=True, eq=False)
class DraftPool:
    """Draft devices of one type at one site; each is a FIFO server, a session is tied to one of them or several."""

    device: Device
    model: str
    profile: LatencyProfile
    surface: StepSurface
    count: int
    batch_cap: int = 1
    """Jobs that a device takes at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One assignment: a stream of requests, how they are served, and over which route."""

    workload: Workload
    assignment: Assignment
    window: int
    """0 in target_only."""
    requests: PoissonRequests | ClosedRequests | RequestTrace
    """Of this share, scaled by site copies and `rate_per_s`."""
    up: tuple[Hop, ...]
    down: tuple[Hop, ...]
    messages: Messages
    target: int
    """Index into `Deployed.targets`."""
    draft: int | None
    """Index into `Deployed.drafts`; None unless distributed."""
    acceptance: Acceptance | None
    """None in target_only."""
    largest_window: int = 0
    """That the policy may choose; `window` if it keeps that."""
    rows: NDArray[np.int64] | None = None
    """Of a recording: the places of its requests in it."""

    @property
    def mode(self) -> str:
        """The assignment's mode."""
        return self.assignment.mode

    @property
    def adapts(self) -> bool:
        """Whether a policy changes the window from round to round."""
        return self.assignment.policy.kind != "static" and self.window > 0


@dataclass(frozen=True, slots=True, eq=False)
class Deployed:
    """The whole system that a plan describes."""

    scenario: Scenario
    plan: Plan
    streams: tuple[Stream, ...]
    targets: tuple[TargetPool, ...]
    drafts: tuple[DraftPool, ...]

    @property
    def cost_per_hour(self) -> float:
        """Price of every deployed replica; models that share a replica are paid once."""
        paid = 0.0
        for name, replicas in self.replicas_used().items():
            device = self.scenario.device(name)
            copies = self.scenario.site(device.site).count
            paid += device.cost_per_hour * device.paid_for(replicas // copies) * copies
        return paid

    def profiles(self) -> Iterator[tuple[str, LatencyProfile]]:
        """Device names with the profiles that are used there."""
        for pool in self.targets:
            yield pool.device.name, pool.profile
            if pool.fused_profile is not None and not costs_nothing(pool.fused_profile):
                yield pool.device.name, pool.fused_profile
        for draft in self.drafts:
            yield draft.device.name, draft.profile

    def replicas_used(self) -> dict[str, int]:
        """Deployed replicas by device type, over all copies of its site."""
        used: dict[str, int] = {}
        for deployment in self.plan.deployments:
            copies = self.scenario.site(self.scenario.device(deployment.device).site).count
            used[deployment.device] = max(used.get(deployment.device, 0), deployment.count * copies)
        return used


def deploy(scenario: Scenario, plan: Plan) -> Deployed:
    """Resolve `plan` in `scenario`. Raises PlanError listing everything in the plan that does not fit."""
    scenario = with_ngrams(scenario)
    problems: list[Problem] = []
    targets: dict[str, TargetPool] = {}
    drafts: dict[str, DraftPool] = {}
    streams: list[Stream] = []
    pools: dict[tuple[str | None, ...], TargetPool] = {}
    for i, assignment in enumerate(plan.assignments):
        place = f"assignments[{i}]"
        try:
            target = _known_pool(scenario, plan, assignment, pools)
            known = targets.setdefault(assignment.target_device, target)
            if known.model != target.model:
                raise MisfitError(
                    "target_device",
                    f"{assignment.target_device!r} would serve two targets, {known.model!r} and {target.model!r}; "
                    "not supported yet: give each target a device type of its own",
                )
            if target.fused_draft is not None:
                if known.fused_draft not in (None, target.fused_draft):
                    raise MisfitError("draft_model", "not supported yet: two fused drafts on one target device")
                targets[assignment.target_device] = target
            if assignment.mode in AT_THE_EDGE:
                draft = _draft_pool(scenario, plan, assignment)
                known_draft = drafts.setdefault(draft.device.name, draft)
                if known_draft.model != draft.model:
                    raise MisfitError("draft_model", f"not supported yet: two drafts on {draft.device.name!r}")
            streams.append(_stream(scenario, plan, i, list(targets), list(drafts)))
        except MisfitError as misfit:
            problems.append(Problem(f"{place}.{misfit.key}", misfit.text))
    both = sorted(set(targets) & set(drafts))
    problems += [
        Problem("assignments", f"not supported yet: {name!r} as target and edge draft at once") for name in both
    ]
    if problems:
        raise PlanError(f"plan for {plan.scenario}", problems)
    return Deployed(scenario, plan, tuple(streams), tuple(targets.values()), tuple(drafts.values()))


def _device(scenario: Scenario, name: str | None, key: str) -> Device:
    try:
        return scenario.device(name or "")
    except KeyError:
        there = ", ".join(device.name for device in scenario.devices)
        raise MisfitError(key, f"no device {name!r}; the scenario has {there}") from None


def _deployment(plan: Plan, device: str, model: str, key: str) -> Deployment:
    deployment = _deployments(Same(plan.deployments)).get((device, model))
    if deployment is None:
        raise MisfitError(key, f"the plan deploys no {model!r} on {device!r}; add it to `deployments`")
    return deployment


@lru_cache(maxsize=4)
def _deployments(deployments: Same[tuple[Deployment, ...]]) -> dict[tuple[str, str], Deployment]:
    # From the last to the first: of two alike the first stands.
    return {(one.device, one.model): one for one in reversed(deployments.thing)}


def _profile(device: Device, model: str, key: str) -> LatencyProfile:
    if model not in device.profiles:
        raise MisfitError(
            key, f"{device.name!r} has no profile for {model!r}; measure it with `dsd-plan profile device`"
        )
    return device.profiles[model]


def _workload(scenario: Scenario, name: str) -> Workload:
    try:
        return scenario.workload(name)
    except KeyError:
        there = ", ".join(workload.name for workload in scenario.workloads)
        raise MisfitError("workload", f"no workload {name!r}; the scenario has {there}") from None


def _count(device: Device, deployment: Deployment, key: str) -> int:
    if deployment.count > device.count:
        raise MisfitError(key, f"deploys {deployment.count} × {device.name!r}, but only {device.count} are there")
    if deployment.count > device.usable:
        counted = f"of {device.count} with available {device.available:g} only {device.usable} can be counted on"
        raise MisfitError(key, f"deploys {deployment.count} × {device.name!r}, but {counted}")
    return deployment.count


def _known_pool(
    scenario: Scenario, plan: Plan, assignment: Assignment, known: dict[tuple[str | None, ...], TargetPool]
) -> TargetPool:
    """The assignment's target, worked out once for all that share it; those that are at the edge alone share none."""
    if assignment.mode == "edge_only":
        return _target_pool(scenario, plan, assignment)
    draft = assignment.draft_model if assignment.mode == "fused" else None
    model = _workload(scenario, assignment.workload).target
    key = (assignment.target_device, model, "fused" if assignment.mode == "fused" else None, draft)
    if key not in known:
        known[key] = _target_pool(scenario, plan, assignment)
    return known[key]


def _target_pool(scenario: Scenario, plan: Plan, assignment: Assignment) -> TargetPool:
    device = _device(scenario, assignment.target_device, "target_device")
    workload = _workload(scenario, assignment.workload)
    copies = scenario.site(device.site).count
    if assignment.mode == "edge_only":
        model = needed(assignment.draft_model, "draft_model")
        _check_edge(assignment, device, workload, copies)
    else:
        model = workload.target
        if copies > 1:
            raise MisfitError("target_device", f"not supported yet: a target at site {device.site!r}, which has copies")
    deployment = _deployment(plan, device.name, model, "target_device")
    profile = in_the_long_run(_profile(device, model, "target_device"))
    fused_draft: str | None = None
    fused_profile: LatencyProfile | None = None
    if assignment.mode == "fused":
        fused_draft = needed(assignment.draft_model, "draft_model")
        fused_profile = in_the_long_run(_profile(device, fused_draft, "draft_model"))
        free = costs_nothing(fused_profile)
        beside = deployment if free else _deployment(plan, device.name, fused_draft, "draft_model")
        if beside.count != deployment.count:
            misfit = f"fused needs {fused_draft!r} on all {deployment.count} replicas of the target"
            raise MisfitError("draft_model", misfit)
    kv_tokens = _kv_tokens(scenario, plan, device, model, fused_draft)
    engine = engine_settings(device, kv_tokens)
    return TargetPool(
        device=device,
        model=model,
        profile=profile,
        surface=surface_of(profile),
        replicas=_count(device, deployment, "target_device") * copies,
        batch_cap=engine.sequences if engine else deployment.batch_cap or device.batch_cap or 64,
        kv_tokens=kv_tokens,
        fused_draft=fused_draft,
        fused_profile=fused_profile,
        fused_surface=None if fused_profile is None else surface_of(fused_profile),
        engine=engine,
        token_cap=device.token_cap,
        batching=deployment.batching,
    )


def _check_edge(assignment: Assignment, device: Device, workload: Workload, copies: int) -> None:
    """The edge alone answers where its users are, and each copy of a site for itself."""
    if device.site != workload.site:
        raise MisfitError(
            "target_device", f"{device.name!r} is at {device.site!r}, workload {workload.name!r} at {workload.site!r}"
        )
    if copies > 1 and assignment.routing != "random":
        raise MisfitError(
            "routing",
            f'found {assignment.routing!r}; with {copies} copies of site {device.site!r} edge_only needs "random": no '
            "session may choose among the devices of other copies",
        )


def _kv_tokens(scenario: Scenario, plan: Plan, device: Device, model: str, fused_draft: str | None) -> float | None:
    resident = [d.model for d in plan.deployments if d.device == device.name]
    weights_gib = sum(scenario.model(name).weights_gib or 0.0 for name in resident)
    free_gib = device.memory_gib - weights_gib
    if free_gib <= 0:
        raise MisfitError(
            "target_device",
            f"{' + '.join(resident)} need {weights_gib:.1f} GiB, {device.name!r} has {device.memory_gib:.1f}",
        )
    kv_mib = scenario.model(model).kv_mib_per_token
    if fused_draft is not None and kv_mib is not None:
        kv_mib += scenario.model(fused_draft).kv_mib_per_token or 0.0
    return None if not kv_mib else free_gib * MIB_PER_GIB / kv_mib


def _draft_pool(scenario: Scenario, plan: Plan, assignment: Assignment) -> DraftPool:
    device = _device(scenario, assignment.draft_device, "draft_device")
    workload = _workload(scenario, assignment.workload)
    if device.site != workload.site:
        raise MisfitError(
            "draft_device",
            f"{device.name!r} is at {device.site!r}, workload {workload.name!r} at {workload.site!r}",
        )
    model = needed(assignment.draft_model, "draft_model")
    deployment = _deployment(plan, device.name, model, "draft_device")
    weights_gib = scenario.model(model).weights_gib or 0.0
    if weights_gib > device.memory_gib:
        raise MisfitError(
            "draft_device",
            f"{model!r} needs {weights_gib:.1f} GiB, {device.name!r} has {device.memory_gib:.1f}",
        )
    profile = in_the_long_run(_profile(device, model, "draft_model"))
    copies = scenario.site(device.site).count
    count = _count(device, deployment, "draft_device")
    if assignment.draft_devices_per_session > count:
        raise MisfitError(
            "draft_devices_per_session",
            f"{assignment.draft_devices_per_session} draft devices for a session, but a site has only {count} × "
            f"{device.name!r}",
        )
    cap = deployment.batch_cap or device.batch_cap or 1
    return DraftPool(device, model, profile, surface_of(profile), count * copies, cap)


def _stream(scenario: Scenario, plan: Plan, index: int, targets: list[str], drafts: list[str]) -> Stream:
    assignment = plan.assignments[index]
    workload = _workload(scenario, assignment.workload)
    target_site = scenario.device(assignment.target_device).site
    if workload.allowed_sites is not None and target_site not in workload.allowed_sites:
        raise MisfitError("target_device", f"text of {workload.name!r} may not go to {target_site!r} (allowed_sites)")
    hops = route(scenario, workload.site, target_site)
    if hops is None:
        raise MisfitError("target_device", f"no route from {workload.site!r} to {target_site!r}; add a link")
    window, acceptance = 0, None
    if assignment.mode in ("fused", *AT_THE_EDGE):
        window, acceptance = speculation(scenario, assignment, workload)
    elif assignment.mode == "edge_only":
        # Plain decoding, by another model at the users' own site.
        assignment = replace(assignment, mode="target_only", draft_model=None, draft_device=None)
    at_the_edge = assignment.mode in AT_THE_EDGE
    try:
        requests, rows = requests_of(workload, plan.assignments, index, scenario.site(workload.site).count)
    except ValueError as error:
        raise MisfitError("share", str(error)) from None
    try:
        largest = largest_choice(assignment, acceptance, window)
    except ValueError as error:
        raise MisfitError("policy.largest", str(error)) from None
    return Stream(
        workload=workload,
        assignment=assignment,
        window=window,
        requests=requests,
        up=hops[0],
        down=hops[1],
        messages=messages_of(scenario, assignment, workload, acceptance if at_the_edge else None),
        target=targets.index(assignment.target_device),
        draft=drafts.index(assignment.draft_device or "") if at_the_edge else None,
        acceptance=acceptance,
        largest_window=largest,
        rows=rows,
    )
