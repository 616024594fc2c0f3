"""A large plan predicted in parts that share no device and no thin link: a change leaves most of them alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from math import isfinite

from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.performance import DevicePerformance, Performance, WorkloadPerformance
from dsd_plan.errors import UnstableError
from dsd_plan.model.predict import fleet_totals
from dsd_plan.optimize.choices.side_by_side import RunAll, one_by_one

Parts = dict[Hashable, Performance]
"""By what the plan says of the part."""


MANY_STREAMS = 100
"""Of parts to be predicted, from which on they are worked out side by side: a process of its own takes time, too."""


def predict_in_parts(
    deployed: Deployed, predict: Callable[[Deployed], Performance], known: Parts, run_all: RunAll = one_by_one
) -> Performance:
    """What `predict` says of the whole plan, asked only for parts that are not `known` yet; they are added.

    The scenario must be the same for all that is known. Many streams are worked out by `run_all`. Raises as `predict`
    does.
    """
    parts = [part_of(deployed, members) for members in parts_of(deployed)]
    keys = [(part.plan.assignments, part.plan.deployments) for part in parts]
    new = [(key, part) for key, part in zip(keys, parts, strict=True) if key not in known]
    if sum(len(part.streams) for _, part in new) < MANY_STREAMS:
        run_all = one_by_one
    answers = run_all([partial(_predicted, predict, part) for _, part in new], lambda done: None)
    known.update({key: answer for (key, _), answer in zip(new, answers, strict=True) if answer is not None})
    for (_, part), answer in zip(new, answers, strict=True):
        if answer is None:
            predict(part)  # raises
    return _together(deployed, [known[key] for key in keys])


def _predicted(predict: Callable[[Deployed], Performance], part: Deployed) -> Performance | None:
    """None where the part has no steady state: such an error cannot be sent from one process to another."""
    try:
        return predict(part)
    except UnstableError:
        return None


def parts_of(deployed: Deployed) -> tuple[tuple[int, ...], ...]:
    """Streams that share a target, a draft pool, a thin link or a workload, directly or through others."""
    leader = list(range(len(deployed.streams)))

    def of(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    first: dict[Hashable, int] = {}
    for index, stream in enumerate(deployed.streams):
        for shared in _shared(stream):
            leader[of(index)] = of(first.setdefault(shared, index))
    groups: dict[int, list[int]] = {}
    for index in range(len(leader)):
        groups.setdefault(of(index), []).append(index)
    return tuple(map(tuple, groups.values()))


def around(deployed: Deployed, workloads: frozenset[str]) -> Deployed:
    """The parts of a plan that hold these workloads."""
    mine = [part for part in parts_of(deployed) if any(deployed.streams[i].workload.name in workloads for i in part)]
    return part_of(deployed, tuple(sorted(index for part in mine for index in part)))


def _shared(stream: Stream) -> list[Hashable]:
    shared: list[Hashable] = [("target", stream.target), ("workload", stream.workload.name)]
    if stream.draft is not None:
        shared.append(("draft", stream.draft))
    shared += [("link", hop.link, hop.outward) for hop in (*stream.up, *stream.down) if isfinite(hop.mbps)]
    return shared


def part_of(deployed: Deployed, members: tuple[int, ...]) -> Deployed:
    """The plan of these streams alone, which is whole where they are a union of parts."""
    streams = [deployed.streams[index] for index in members]
    targets = sorted({stream.target for stream in streams})
    drafts = sorted({stream.draft for stream in streams if stream.draft is not None})
    used = {deployed.targets[t].device.name for t in targets} | {deployed.drafts[d].device.name for d in drafts}
    plan = replace(
        deployed.plan,
        assignments=tuple(stream.assignment for stream in streams),
        deployments=tuple(one for one in deployed.plan.deployments if one.device in used),
    )
    return Deployed(
        deployed.scenario,
        plan,
        tuple(
            replace(s, target=targets.index(s.target), draft=None if s.draft is None else drafts.index(s.draft))
            for s in streams
        ),
        tuple(deployed.targets[t] for t in targets),
        tuple(deployed.drafts[d] for d in drafts),
    )


def _together(deployed: Deployed, found: list[Performance]) -> Performance:
    by_name: dict[str, WorkloadPerformance] = {w.name: w for part in found for w in part.workloads}
    by_device: dict[str, DevicePerformance] = {d.name: d for part in found for d in part.devices}
    names = dict.fromkeys(stream.workload.name for stream in deployed.streams)
    workloads = tuple(by_name[name] for name in names)
    devices = tuple(by_device[name] for name in deployed.replicas_used() if name in by_device)
    return Performance(
        source="model",
        workloads=workloads,
        devices=devices,
        fleet=fleet_totals(deployed, workloads, devices),
        notes=tuple(dict.fromkeys(note for part in found for note in part.notes)),
    )
