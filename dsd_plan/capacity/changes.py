"""The same plan with one device more or one less of a type."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.capacity.breaking import SATURATION, Loads, any_excess, excess_of
from dsd_plan.domain.capacity import OneLess, OneMore
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.budgets import Limit
from dsd_plan.optimize.choices.evaluate import Predict

WHOLE = 1.0 - 1e-9
"""Share from which on a workload is taken to run there wholly."""


def device_types(plan: Plan) -> tuple[str, ...]:
    """Device types that the plan deploys, in its order."""
    return tuple(dict.fromkeys(deployment.device for deployment in plan.deployments))


def not_used(scenario: Scenario, plan: Plan) -> tuple[str, ...]:
    """Device types of the scenario that could run a model of the plan, and are not in it."""
    models, types = {deployment.model for deployment in plan.deployments}, device_types(plan)
    return tuple(
        device.name for device in scenario.devices if device.name not in types and models & set(device.profiles)
    )


def deployed_count(plan: Plan, device: str) -> int:
    """Devices of a type that the plan uses, at each copy of their site; models share them from the first on."""
    return max(deployment.count for deployment in plan.deployments if deployment.device == device)


def with_devices(scenario: Scenario, plan: Plan, device: str, more: int) -> tuple[Scenario, Plan]:
    """`more` devices of a type, with the models that are on all of them; what has to be bought counts as being there.

    With fewer, a model that is left with none is not deployed.
    """
    count = deployed_count(plan, device)

    def changed(own: int) -> int:
        return own + more if more > 0 and own == count else min(own, count + more)

    deployments = tuple(
        replace(deployment, count=changed(deployment.count)) if deployment.device == device else deployment
        for deployment in plan.deployments
        if deployment.device != device or changed(deployment.count) > 0
    )
    there = scenario.device(device)
    enough = replace(there, count=max(there.count, there.paid_for(count + more), 1))
    devices = tuple(enough if one.name == device else one for one in scenario.devices)
    return replace(scenario, devices=devices), replace(plan, deployments=deployments)


def one_more(
    scenario: Scenario, plan: Plan, device: str, limits: tuple[Limit, ...], load: float | None, predict: Predict
) -> OneMore:
    """What one more device of a type buys; `load` is what the plan carries as it is."""
    there = scenario.device(device)
    copies = scenario.site(there.site).count
    count = deployed_count(plan, device) + 1
    carried = Loads(deploy(*with_devices(scenario, plan, device, 1)), predict).edge(any_excess(limits)).load
    gain = None if carried is None or load is None else carried - load
    # Of devices that are there for a part of the time only, more than one may have to be paid for.
    cost = there.cost_per_hour * copies * (there.paid_for(count) - there.paid_for(count - 1))
    return OneMore(
        device=device,
        count=count,
        to_buy=there.paid_for(count) > there.count,
        load=carried,
        gain=gain,
        cost_per_hour=cost,
        gain_per_cost=gain / cost if gain is not None and cost > 0.0 else None,
    )


def one_less(
    scenario: Scenario, plan: Plan, device: str, limits: tuple[Limit, ...], kept_now: frozenset[Limit], predict: Predict
) -> OneLess:
    """What is left when one device of a type is lost; `kept_now` are the budgets that hold with all of them."""
    left = deployed_count(plan, device) - 1
    try:
        if left == 0:
            reason = f"the only {device} is lost: {_all(_served_by(plan, device))} not served"
            return _nothing(device, left, limits, kept_now, reason)
        loads = Loads(deploy(*with_devices(scenario, plan, device, -1)), predict)
    except PlanError as error:
        return _nothing(device, left, limits, kept_now, "; ".join(problem.text for problem in error.problems))
    now = loads.answer(1.0)
    broken = [str(limit) for limit in limits if limit in kept_now and excess_of(limit)(now) > 0.0]
    if isinstance(now, UnstableError):
        broken.append(SATURATION)
    return OneLess(device=device, count=left, load=loads.edge(any_excess(limits)).load, broken=tuple(broken))


def _nothing(device: str, left: int, limits: tuple[Limit, ...], kept: frozenset[Limit], reason: str) -> OneLess:
    broken = (*(str(limit) for limit in limits if limit in kept), SATURATION)
    return OneLess(device=device, count=left, load=0.0, broken=broken, reason=reason)


def _served_by(plan: Plan, device: str) -> list[str]:
    """Workloads that run on a device type; where that is a part of their traffic, with its share."""
    shares: dict[str, float] = {}
    for a in plan.assignments:
        if device in (a.target_device, a.draft_device):
            shares[a.workload] = shares.get(a.workload, 0.0) + a.share
    return [name if share > WHOLE else f"{100.0 * share:.3g} % of {name}" for name, share in shares.items()]


def _all(names: list[str]) -> str:
    every = list(dict.fromkeys(names))
    return f"{', '.join(every)} {'is' if len(every) == 1 else 'are'}"
