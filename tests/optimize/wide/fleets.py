"""Fleets of many sites, drawn at random: a store with boxes and a chat each, GPUs of several types in a few regions."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

from dsd_plan.domain.fleet import Device, Link, Site
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import Workload
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def fleet(stores: int, types: int, *, seed: int = 0, rate_per_s: float = 1.0, **search: Any) -> Scenario:
    """`types` kinds of GPU over up to three regions; every store is linked to one region."""
    rng = random.Random(seed)
    regions = [f"region{k}" for k in range(min(types, 3))]
    sites = [Site(name=name) for name in regions]
    links = [Link(between=pair, rtt_ms=rng.uniform(10.0, 30.0)) for pair in pairwise(regions)]
    devices: list[Device] = []
    workloads: list[Workload] = []
    for k in range(types):
        speed = rng.uniform(0.7, 1.4)
        devices.append(_gpu(f"gpu{k}", regions[k % len(regions)], speed, rng.randint(3, 8), rng))
    for store in range(stores):
        name = f"store{store}"
        sites.append(Site(name=name))
        links.append(Link(between=(name, rng.choice(regions)), rtt_ms=rng.uniform(5.0, 80.0), jitter_cv=0.1))
        devices.append(edge_box(site=name, name=f"box{store}", count=rng.randint(1, 4), step_ms=rng.uniform(2.0, 6.0)))
        limits = {"tpot_p95_ms": rng.uniform(60.0, 120.0), "ttft_p95_ms": rng.uniform(500.0, 1500.0)}
        workloads.append(chat(name, rate_per_s * rng.uniform(0.3, 1.7), f"chat{store}", **limits))
    return scenario(
        sites=tuple(sites),
        links=tuple(links),
        devices=tuple(devices),
        workloads=tuple(workloads),
        **{"minimize": "cost", **search},
    )


def _gpu(name: str, site: str, speed: float, count: int, rng: random.Random) -> Device:
    cost = round(4.0 / speed * rng.uniform(0.85, 1.15), 2)
    made = gpu(count=count, name=name, step_ms=20.0 * speed, draft_step_ms=1.5 * speed, cost_per_hour=cost)
    return replace(made, site=site)
