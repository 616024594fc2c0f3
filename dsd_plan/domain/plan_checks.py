"""Does a plan make sense, alone and in its scenario? What it means there is `deployed.deploy`'s business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from dsd_plan.domain.names import unknown_name
from dsd_plan.domain.ngrams import with_ngrams
from dsd_plan.domain.not_yet import PLAN, not_yet_problems
from dsd_plan.domain.plan import Assignment, Plan, Policy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import Problem

SHARE_TOLERANCE = 1e-9
"""Shares written as decimals must still sum to 1."""


def plan_problems(plan: Plan) -> tuple[Problem, ...]:
    """Everything in a plan that contradicts itself or is not supported yet."""
    return (
        *_assignments(plan),
        *_shares(plan),
        *_deployments(plan),
        *not_yet_problems(plan, PLAN),
    )


def plan_misfits(scenario: Scenario, plan: Plan) -> tuple[Problem, ...]:
    """Names in a plan that its scenario does not have, and workloads that nobody serves."""
    return tuple(_misfits(scenario, plan))


def _assignments(plan: Plan) -> Iterator[Problem]:
    if not plan.assignments:
        yield Problem("assignments", "found none, expected one a workload")
    for index, assignment in enumerate(plan.assignments):
        place = f"assignments[{index}]"
        yield from _draft_keys(place, assignment)
        yield from _paths(place, assignment)
        yield from _policy(f"{place}.policy", assignment)
        if assignment.share == 0:
            yield Problem(f"{place}.share", "found 0; take the assignment away, or give it a share")


def _draft_keys(place: str, assignment: Assignment) -> Iterator[Problem]:
    if assignment.mode == "edge_only":
        yield from _edge_keys(place, assignment)
        return
    speculates = assignment.mode != "target_only"
    for key in ("draft_model", "draft_device", "window"):
        given = getattr(assignment, key) is not None
        if speculates and not given:
            yield Problem(f"{place}.{key}", f'missing; mode "{assignment.mode}" needs it')
        if given and not speculates:
            yield Problem(f"{place}.{key}", "means nothing in mode target_only; leave it out")
    if assignment.mode == "fused" and assignment.draft_device not in (None, assignment.target_device):
        yield Problem(
            f"{place}.draft_device",
            f'found "{assignment.draft_device}"; in mode fused the draft runs on the target device '
            f'("{assignment.target_device}")',
        )


def _edge_keys(place: str, assignment: Assignment) -> Iterator[Problem]:
    """Edge alone: the draft model answers by itself, on the device that `target_device` names."""
    if assignment.draft_model is None:
        yield Problem(f"{place}.draft_model", 'missing; mode "edge_only" needs it: the model that answers')
    if assignment.draft_device not in (None, assignment.target_device):
        yield Problem(
            f"{place}.draft_device",
            f'found "{assignment.draft_device}"; in mode edge_only the draft model answers on target_device '
            f'("{assignment.target_device}")',
        )
    if assignment.window is not None:
        yield Problem(f"{place}.window", "means nothing in mode edge_only; leave it out")


def _paths(place: str, assignment: Assignment) -> Iterator[Problem]:
    paths, devices = assignment.candidates, assignment.draft_devices_per_session
    if assignment.mode in ("target_only", "edge_only") and paths > 1:
        yield Problem(f"{place}.candidates", f"means nothing in mode {assignment.mode}; leave it out")
    if assignment.mode == "pipelined" and paths > 1:
        yield Problem(
            f"{place}.candidates",
            f"found {paths}; in mode pipelined the draft goes on along one path: leave it out, or use distributed",
        )
    if devices > 1 and assignment.mode not in ("distributed", "pipelined"):
        yield Problem(f"{place}.draft_devices_per_session", f"means nothing in mode {assignment.mode}; leave it out")
    elif devices > paths:
        yield Problem(
            f"{place}.draft_devices_per_session",
            f"found {devices}, more than the {paths} candidate paths that they would share; at most one a path",
        )


def _policy(place: str, assignment: Assignment) -> Iterator[Problem]:
    policy, window = assignment.policy, assignment.window
    if policy.kind == "static":
        given = [field.name for field in fields(Policy) if getattr(policy, field.name) != field.default]
        for name in given:
            yield Problem(f"{place}.{name}", 'means nothing with kind "static", which keeps the window; leave it out')
        return
    if assignment.mode in ("target_only", "edge_only"):
        yield Problem(place, f"means nothing in mode {assignment.mode}; leave it out")
    if policy.shrink_below > policy.grow_above:
        yield Problem(
            f"{place}.shrink_below", f"found {policy.shrink_below}, more than grow_above ({policy.grow_above})"
        )
    if policy.largest is not None and policy.largest < policy.smallest:
        yield Problem(f"{place}.largest", f"found {policy.largest}, less than smallest ({policy.smallest})")
    if window is not None and not policy.smallest <= window <= (policy.largest or window):
        yield Problem(place, f"windows {policy.smallest}–{policy.largest or '…'} do not hold the first one ({window})")


def _shares(plan: Plan) -> Iterator[Problem]:
    shares: dict[str, float] = {}
    for assignment in plan.assignments:
        shares[assignment.workload] = shares.get(assignment.workload, 0.0) + assignment.share
    for workload, total in shares.items():
        if abs(total - 1.0) > SHARE_TOLERANCE:
            yield Problem("assignments", f'the shares of "{workload}" sum to {total:.6g}, expected 1')


def _deployments(plan: Plan) -> Iterator[Problem]:
    if not plan.deployments:
        yield Problem("deployments", "found none, expected one for every model that runs on a device")
    seen: dict[tuple[str, str], int] = {}
    for index, deployment in enumerate(plan.deployments):
        first = seen.setdefault((deployment.device, deployment.model), index)
        if first < index:
            yield Problem(
                f"deployments[{index}]",
                f'"{deployment.model}" on "{deployment.device}" is already deployments[{first}]; add up their counts',
            )


def _misfits(scenario: Scenario, plan: Plan) -> Iterator[Problem]:
    scenario = with_ngrams(scenario)
    devices = {device.name: device for device in scenario.devices}
    models = {model.name for model in scenario.models}
    workloads = {workload.name for workload in scenario.workloads}
    if plan.scenario != scenario.name:
        yield Problem(
            "scenario",
            f'the plan is for "{plan.scenario}", the scenario is "{scenario.name}"; where it is meant for this one, '
            f'write "scenario": "{scenario.name}" in the plan',
        )
    for index, assignment in enumerate(plan.assignments):
        place = f"assignments[{index}]"
        if assignment.workload not in workloads:
            yield Problem(f"{place}.workload", unknown_name("workload", assignment.workload, workloads))
        for key in ("target_device", "draft_device"):
            name = getattr(assignment, key)
            if name is not None and name not in devices:
                yield Problem(f"{place}.{key}", unknown_name("device", name, devices))
        if assignment.draft_model is not None and assignment.draft_model not in models:
            yield Problem(f"{place}.draft_model", unknown_name("model", assignment.draft_model, models))
    for name in sorted(workloads - {assignment.workload for assignment in plan.assignments}):
        yield Problem("assignments", f'nobody serves workload "{name}"; assign it')
    for index, deployment in enumerate(plan.deployments):
        place = f"deployments[{index}]"
        if deployment.model not in models:
            yield Problem(f"{place}.model", unknown_name("model", deployment.model, models))
        if deployment.device not in devices:
            yield Problem(f"{place}.device", unknown_name("device", deployment.device, devices))
        elif deployment.model in models and deployment.model not in devices[deployment.device].profiles:
            yield Problem(f"{place}.model", f'"{deployment.device}" has no profile for "{deployment.model}"')
        elif deployment.count > devices[deployment.device].count:
            count = devices[deployment.device].count
            yield Problem(f"{place}.count", f'found {deployment.count}; "{deployment.device}" is there {count} times')
