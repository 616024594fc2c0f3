"""What is short at a load: every resource is doubled in turn, and the one that helps most is the bottleneck.

A share of utilisation would not do: a batching target is busy long before it is full, and a budget may break by
round trips that no device can shorten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf

from dsd_plan.capacity.breaking import Answer, Loads, any_excess
from dsd_plan.domain.capacity import Bottleneck, Why
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.network import Hop
from dsd_plan.domain.plan import Plan
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.budgets import Limit, quantity_of
from dsd_plan.optimize.choices.evaluate import Predict

HELPS = 0.02
"""Share of the distance to its limit, or of its value, by which doubling must better a quantity to count as help."""
MAIN_PART = 0.5
"""Share of what doubling a target's replicas helps from which on its memory or its batch cap alone is the reason."""
LIFTED = 256
"""How many times as much there is of what is lifted out of the way."""

Change = Callable[[Deployed, int], Deployed]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something of which there could be more."""

    name: str
    why: Why
    more: Change
    """The deployment with so many times as much of it."""
    parts: tuple[tuple[Why, Change], ...] = ()
    """What more of it brings with it and may be the whole reason."""


def resources_of(deployed: Deployed) -> tuple[Resource, ...]:
    """Target pools, draft pools and links with a bandwidth."""
    found = []
    for index, target in enumerate(deployed.targets):
        parts: list[tuple[Why, Change]] = [("batch_cap", _more_batch(index))]
        if target.kv_tokens is not None:
            parts.insert(0, ("kv_memory", _more_memory(index)))
        found.append(Resource(target.device.name, "compute", _more_replicas(index), tuple(parts)))
    found += [
        Resource(draft.device.name, "draft_device", _more_drafts(index)) for index, draft in enumerate(deployed.drafts)
    ]
    return (*found, *_links(deployed))


def _more_replicas(index: int) -> Change:
    def more(deployed: Deployed, times: int) -> Deployed:
        targets = list(deployed.targets)
        targets[index] = replace(targets[index], replicas=targets[index].replicas * times)
        return replace(
            deployed, targets=tuple(targets), plan=_more_deployed(deployed, targets[index].device.name, times)
        )

    return more


def _more_deployed(deployed: Deployed, device: str, times: int) -> Plan:
    """The plan with as many: power is that of every device deployed."""
    return replace(
        deployed.plan,
        deployments=tuple(
            replace(found, count=found.count * times) if found.device == device else found
            for found in deployed.plan.deployments
        ),
    )


def _more_batch(index: int) -> Change:
    def more(deployed: Deployed, times: int) -> Deployed:
        targets = list(deployed.targets)
        targets[index] = replace(targets[index], batch_cap=targets[index].batch_cap * times)
        return replace(deployed, targets=tuple(targets))

    return more


def _more_memory(index: int) -> Change:
    def more(deployed: Deployed, times: int) -> Deployed:
        targets = list(deployed.targets)
        tokens = targets[index].kv_tokens
        targets[index] = replace(targets[index], kv_tokens=None if tokens is None else tokens * times)
        return replace(deployed, targets=tuple(targets))

    return more


def _more_drafts(index: int) -> Change:
    def more(deployed: Deployed, times: int) -> Deployed:
        drafts = list(deployed.drafts)
        drafts[index] = replace(drafts[index], count=drafts[index].count * times)
        return replace(deployed, drafts=tuple(drafts), plan=_more_deployed(deployed, drafts[index].device.name, times))

    return more


def _links(deployed: Deployed) -> Iterator[Resource]:
    """Each direction of a link with a bandwidth that the plan uses, as "from → to"."""
    seen = set()
    for stream in deployed.streams:
        for hop in (*stream.up, *stream.down):
            if hop.mbps < inf and (hop.link, hop.outward) not in seen:
                seen.add((hop.link, hop.outward))
                first, second = deployed.scenario.links[hop.link].between
                name = f"{first} → {second}" if hop.outward else f"{second} → {first}"
                yield Resource(name, "link", _wider(hop.link, hop.outward))


def _wider(link: int, outward: bool) -> Change:
    def widened(hops: tuple[Hop, ...], times: int) -> tuple[Hop, ...]:
        return tuple(
            hop._replace(mbps=hop.mbps * times) if (hop.link, hop.outward) == (link, outward) else hop for hop in hops
        )

    def more(deployed: Deployed, times: int) -> Deployed:
        streams = tuple(replace(s, up=widened(s.up, times), down=widened(s.down, times)) for s in deployed.streams)
        return replace(deployed, streams=streams)

    return more


@dataclass(frozen=True, slots=True)
class Short:
    """The resource that is short; None where doubling none helps."""

    resource: Resource | None
    why: Why


def short_at(loads: Loads, load: float, limit: Limit | None, predict: Predict) -> Short:
    """What is short at a load for one budget, or for a steady state (`limit` None)."""
    deployed = loads.at(load)
    before = loads.answer(load)

    def better(change: Change) -> float:
        return _gain(before, _asked(change(deployed, 2), predict), limit)

    gains = [(better(resource.more), resource) for resource in resources_of(deployed)]
    best, resource = max(gains, key=lambda pair: pair[0], default=(0.0, None))
    if resource is None or best <= HELPS:
        return _short_of_part(deployed, better)
    parts = [(better(change), why) for why, change in resource.parts]
    for gain, why in parts:
        if gain >= MAIN_PART * best:
            return Short(resource, why)
    return Short(resource, resource.why)


def _short_of_part(deployed: Deployed, better: Callable[[Change], float]) -> Short:
    """Where more devices do not help: what more of a device's own would, such as memory for a single request."""
    gains = [(better(change), why, of) for of in resources_of(deployed) for why, change in of.parts]
    best, why, resource = max(gains, key=lambda gain: gain[0], default=(0.0, None, None))
    return Short(None, "nothing_shared") if why is None or best <= HELPS else Short(resource, why)


def _asked(deployed: Deployed, predict: Predict) -> Answer:
    try:
        return predict(deployed)
    except UnstableError as error:
        return error


def _gain(before: Answer, after: Answer, limit: Limit | None) -> float:
    """By what share a quantity got better; a steady state instead of none is worth more than any latency."""
    if isinstance(after, UnstableError):
        if isinstance(before, UnstableError) and before.device == after.device:
            return 1.0 - after.saturation / before.saturation
        # Another device is in the way next: this one was first, and no longer is.
        return 1.0 if isinstance(before, UnstableError) else -1.0
    if isinstance(before, UnstableError):
        return 2.0
    if limit is None:
        return 0.0
    was, now = (quantity_of(answer, limit.scope, limit.quantity) for answer in (before, after))
    if was is None or now is None or was <= 0.0:
        return 0.0
    return (now - was) / max(1.0 - was, 1e-9) if limit.at_least else 1.0 - now / was


class Doubled:
    """The deployment with twice as much of a resource, under growing load; what was asked for one budget serves all."""

    def __init__(self, deployed: Deployed, predict: Predict) -> None:
        self._deployed = deployed
        self._predict = predict
        self._known: dict[str, Loads] = {}

    def bottleneck(self, short: Short, limits: tuple[Limit, ...]) -> Bottleneck:
        """What is short, with the load that twice as much of it would carry."""
        if short.resource is None:
            return Bottleneck(name=None, why=short.why, load_if_doubled=None)
        name = short.resource.name
        if name not in self._known:
            self._known[name] = Loads(short.resource.more(self._deployed, 2), self._predict)
        held = self._known[name].edge(any_excess(limits)).load
        return Bottleneck(name=name, why=short.why, load_if_doubled=held)
