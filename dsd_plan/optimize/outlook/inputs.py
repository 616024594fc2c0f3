"""The inputs that a decision hangs on, each with where it is now, how far it is searched, and how to move it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.scenario import Scenario
from dsd_plan.model.input_errors import scaled
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.variation import (
    first_accepted,
    matched_law,
    route_rtt_ms,
    with_acceptance,
    with_load,
    with_rtt,
)
from dsd_plan.optimize.outlook.contenders import Explorer
from dsd_plan.optimize.outlook.ground import ACCEPTANCE_RANGE, RTT_RANGE_MS
from dsd_plan.optimize.search.rivals import Rival, device_types

LOAD_RANGE = (0.1, 10.0)
STEP_TIME_RANGE = (0.25, 4.0)
PRICE_FACTORS = (0.1, 10.0)
MOST_ACCEPTED = 0.99

Change = Callable[[Deployed], Deployed]


@dataclass(frozen=True, slots=True)
class Moved:
    """A scenario's price list, and what becomes of its deployments, with one input moved."""

    scenario: Scenario
    change: Change | None
    """None: only prices differ, so that the model is not asked again."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input on its own axis; all others are held."""

    name: str
    scope: str
    """A workload's name, or "fleet"."""
    of: str | None
    """The draft whose acceptance it is, or the device type whose step time or price."""
    now: float
    searched: tuple[float, float]
    by_ratio: bool
    at: Callable[[float], Moved]
    target: str | None = None
    """The model that accepts, of an acceptance."""


def inputs_of(explorer: Explorer, rivals: Sequence[Rival]) -> tuple[Input, ...]:
    """Round trip of each workload, acceptance of each pair, load, and each device type's step times and price."""
    scenario = explorer.scenario
    found: list[Input] = []
    for workload in scenario.workloads:
        found += _rtt(explorer, rivals, workload.name)
    found += _acceptances(explorer, rivals)
    scope = FLEET if len(scenario.workloads) > 1 else scenario.workloads[0].name

    def at_load(value: float) -> Moved:
        return Moved(scenario, lambda deployed: with_load(deployed, value))

    found.append(Input("load", scope, None, 1.0, LOAD_RANGE, True, at_load))
    found += [_step_time(scenario, name) for name in device_types(scenario, rivals)]
    found += [price for name in device_types(scenario, rivals) for price in _price(scenario, name)]
    return tuple(found)


def _streams(explorer: Explorer, rivals: Sequence[Rival], workload: str) -> list[Stream]:
    """Of every rival's start, the workload's (first) stream."""
    found = []
    for rival in rivals:
        streams = explorer.deployed(rival.start).streams
        found.append(next(stream for stream in streams if stream.workload.name == workload))
    return found


def _rtt(explorer: Explorer, rivals: Sequence[Rival], workload: str) -> list[Input]:
    now_ms = next((route_rtt_ms(s) for s in _streams(explorer, rivals, workload) if s.up), None)
    if now_ms is None:
        return []
    searched = (min(RTT_RANGE_MS[0], now_ms), max(RTT_RANGE_MS[1], 2.0 * now_ms))

    def at(value: float) -> Moved:
        return Moved(explorer.scenario, lambda deployed: with_rtt(deployed, workload, value))

    return [Input("rtt_ms", workload, None, now_ms, searched, searched[0] > 0.0, at)]


def _acceptances(explorer: Explorer, rivals: Sequence[Rival]) -> list[Input]:
    """Of each pair that some rival gives a workload: it moves in all of them together, for it belongs to the pair."""
    scenario, pairs = explorer.scenario, dict[tuple[str, str], Stream]()
    drafted: dict[tuple[str, str], list[str]] = {}
    for rival in rivals:
        for stream in explorer.deployed(rival.start).streams:
            draft, workload = stream.assignment.draft_model, stream.workload
            if draft is not None and stream.acceptance is not None:
                pairs.setdefault((draft, workload.target), stream)
                drafted.setdefault((draft, workload.target), []).append(workload.name)
    windows = 1 + max((c.window or 0 for rival in rivals for family in rival.families for c in family), default=0)
    found = []
    for (draft, target), stream in pairs.items():
        names = tuple(w.name for w in scenario.workloads if w.name in drafted[draft, target])
        scope = names[0] if len(names) == 1 else FLEET
        assert stream.acceptance is not None
        now = first_accepted(stream.acceptance, windows)
        searched = (min(ACCEPTANCE_RANGE[0], now), max(ACCEPTANCE_RANGE[1], now))
        at = partial(accepted_at, scenario, names, draft, windows)
        found.append(Input("acceptance", scope, draft, now, searched, False, at, target))
    return found


def accepted_at(
    scenario: Scenario,
    workloads: Sequence[str],
    draft: str | None,
    windows: int,
    first: float,
    *,
    added: bool = False,
) -> Moved:
    """The first proposal of `draft` is accepted with chance `first` in these workloads, later ones in proportion.

    `added`: by `first` more often than today, each workload from where it is.
    """

    def change(deployed: Deployed) -> Deployed:
        for stream in deployed.streams:
            mine = stream.workload.name in workloads and stream.assignment.draft_model == draft
            if mine and stream.acceptance is not None:
                here = first_accepted(stream.acceptance, windows) if added else 0.0
                law = matched_law(stream.acceptance, windows, min(here + first, MOST_ACCEPTED) if added else first)
                deployed = with_acceptance(deployed, stream.workload.name, law)
        return deployed

    return Moved(scenario, change)


def _step_time(scenario: Scenario, device: str) -> Input:
    """Multiple of what every step on this device type takes today, the draft's and the target's alike."""

    def at(value: float) -> Moved:
        return Moved(scenario, lambda deployed: with_step_time(deployed, device, value))

    return Input("step_time", FLEET, device, 1.0, STEP_TIME_RANGE, True, at)


def with_step_time(deployed: Deployed, device: str, factor: float) -> Deployed:
    """Every step on this device type takes `factor` times as long."""
    targets = tuple(
        pool
        if pool.device.name != device
        else replace(
            pool,
            surface=scaled(pool.surface, factor),
            fused_surface=None if pool.fused_surface is None else scaled(pool.fused_surface, factor),
        )
        for pool in deployed.targets
    )
    drafts = tuple(
        pool if pool.device.name != device else replace(pool, surface=scaled(pool.surface, factor))
        for pool in deployed.drafts
    )
    return replace(deployed, targets=targets, drafts=drafts)


def _price(scenario: Scenario, device: str) -> list[Input]:
    """Where prices matter: they are minimized, or limited."""
    now = scenario.device(device).cost_per_hour
    dearest = max(other.cost_per_hour for other in scenario.devices)
    matters = scenario.search.minimize == "cost" or scenario.budgets.cost_per_hour is not None
    if not matters or dearest <= 0.0:
        return []
    low, high = PRICE_FACTORS
    searched = (low * now, high * now) if now > 0.0 else (0.0, dearest)

    def at(value: float) -> Moved:
        devices = tuple(
            replace(other, cost_per_hour=value) if other.name == device else other for other in scenario.devices
        )
        return Moved(replace(scenario, devices=devices), None)

    return [Input("cost_per_hour", FLEET, device, now, searched, now > 0.0, at)]
