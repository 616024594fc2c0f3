"""What may be chosen: the ways to serve one workload, and how many replicas of each device type to deploy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from dsd_plan.domain.acceptance import for_task, largest_window
from dsd_plan.domain.candidate_paths import recorded_paths, with_candidates
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.not_yet import DEFAULT_MODES
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Routing
from dsd_plan.domain.scenario import Mode, Pair, Scenario
from dsd_plan.domain.workload import Workload
from dsd_plan.errors import PlanError
from dsd_plan.optimize.choices.budgets import MANY_WORKLOADS
from dsd_plan.optimize.choices.choice import (
    EDGE_MODES,
    SIMPLEST_FIRST,
    SPECULATIVE,
    Candidate,
    Choice,
    Counts,
    compatible,
)


@dataclass(frozen=True, slots=True)
class Space:
    """Candidates of every workload, in the scenario's order, and what was left out and why."""

    by_workload: tuple[tuple[Candidate, ...], ...]
    notes: tuple[str, ...] = ()
    must: frozenset[Mode] = frozenset()
    """Modes of which at least one workload has to run in one; empty: no such wish."""

    def of_kinds(self, kinds: tuple[str, ...]) -> Space:
        """Without drafts of other kinds."""
        groups = tuple(
            tuple(c for c in group if c.draft_model is None or c.kind in kinds) for group in self.by_workload
        )
        return Space(groups, self.notes, self.must)

    def purely(self, mode: Mode) -> Space:
        """Every workload in `mode`; those that cannot, plainly on a target."""
        groups = []
        for group in self.by_workload:
            same = tuple(c for c in group if c.mode == mode)
            groups.append(same or tuple(c for c in group if c.mode == "target_only"))
        return Space(tuple(groups), self.notes, frozenset({mode}))

    def partly(self, mode: Mode) -> Space:
        """At least one workload in `mode`, the others in it or plainly on a target."""
        groups = tuple(tuple(c for c in group if c.mode in ("target_only", mode)) for group in self.by_workload)
        return Space(groups, self.notes, frozenset({mode}))

    def speculating(self) -> Space:
        """At least one workload speculates, each in its own way."""
        return Space(self.by_workload, self.notes, SPECULATIVE)

    def holds(self, chosen: tuple[Candidate, ...]) -> bool:
        """Whether these candidates are this space's, one a workload, and may be deployed together."""
        return (
            len(chosen) == len(self.by_workload)
            and all(candidate in group for candidate, group in zip(chosen, self.by_workload, strict=True))
            and self.admits(chosen)
        )

    def admits(self, chosen: tuple[Candidate, ...]) -> bool:
        """Whether these candidates, one a workload, can be deployed together and keep the wish for a mode."""
        return compatible(chosen) and (not self.must or any(c.mode in self.must for c in chosen))

    def combinations(self) -> Iterator[tuple[Candidate, ...]]:
        """Every joint assignment that the space admits."""
        return (chosen for chosen in product(*self.by_workload) if self.admits(chosen))

    @property
    def size(self) -> int:
        """Joint assignments, those that cannot be deployed together counted too."""
        total = 1
        for group in self.by_workload:
            total *= len(group)
        return total


@dataclass(frozen=True, slots=True)
class WideSpace:
    """A space too large to be listed: every workload in any of `modes`, or plainly where none of them can serve it."""

    workloads: int
    modes: tuple[Mode, ...]
    notes: tuple[str, ...] = ()
    must: frozenset[Mode] = frozenset()
    """Modes of which at least one workload has to run in one; empty: no such wish."""

    @property
    def by_workload(self) -> tuple[tuple[Candidate, ...], ...]:
        """No candidate is listed."""
        return ((),) * self.workloads

    def purely(self, mode: Mode) -> WideSpace:
        """Every workload in `mode`; those that cannot, plainly on a target."""
        return replace(self, modes=(mode,), must=frozenset({mode}))

    def partly(self, mode: Mode) -> WideSpace:
        """Each workload in `mode` or plainly on a target."""
        return replace(self, modes=("target_only", mode), must=frozenset({mode}))

    def speculating(self) -> WideSpace:
        """Each workload speculates in its own way."""
        return replace(self, modes=tuple(mode for mode in self.modes if mode in SPECULATIVE), must=SPECULATIVE)

    def holds(self, chosen: tuple[Candidate, ...]) -> bool:
        """Whether a whole plan of these candidates is this space's."""
        whole = len(chosen) == self.workloads and all(c.mode in (*self.modes, "target_only") for c in chosen)
        return whole and (not self.must or any(c.mode in self.must for c in chosen))


AnySpace = Space | WideSpace


def searched_modes(scenario: Scenario) -> tuple[Mode, ...]:
    """The modes that are searched, the simplest first.

    `pipelined` takes a hundred times as long to predict as the others: it is searched in full where some of the default
    are left out, and of few workloads.
    """
    asked = scenario.search.modes
    slow = set(DEFAULT_MODES) <= set(asked) or len(scenario.workloads) >= MANY_WORKLOADS
    return tuple(mode for mode in SIMPLEST_FIRST if mode in asked and not (slow and mode == "pipelined"))


def tried_ahead(scenario: Scenario) -> bool:
    """Whether `pipelined` is not searched in full, but tried around the best plans of the other modes."""
    return set(DEFAULT_MODES) <= set(scenario.search.modes) and len(scenario.workloads) < MANY_WORKLOADS


def space_of(scenario: Scenario) -> AnySpace:
    """Every candidate that can be deployed in `scenario`, and notes on what the search leaves out."""
    notes: list[str] = []
    unsearched = "pipelined" in scenario.search.modes and "pipelined" not in searched_modes(scenario)
    if unsearched and not tried_ahead(scenario):
        notes.append(
            f"mode pipelined is left out of the search: predicting it takes long; it is tried of fewer than "
            f"{MANY_WORKLOADS} workloads"
        )
    if len(scenario.workloads) >= MANY_WORKLOADS:
        if "edge_only" in scenario.search.modes:
            notes.append("mode edge_only is left out of the search: not among so many workloads")
        modes = tuple(mode for mode in searched_modes(scenario) if mode != "edge_only")
        return WideSpace(len(scenario.workloads), modes, tuple(notes))
    groups = []
    for workload in scenario.workloads:
        kept = []
        for family in _families(scenario, workload, notes):
            reason = _misfit(scenario, family[0])
            if reason is None:
                kept += family
            else:
                notes.append(f"{workload.name}, {family[0].mode}: {reason}")
        groups.append(tuple(dict.fromkeys(kept)))
    return Space(tuple(groups), tuple(dict.fromkeys(notes)))


def _families(scenario: Scenario, workload: Workload, notes: list[str]) -> Iterator[list[Candidate]]:
    """Candidates that differ in nothing but the window: they can be deployed all or none."""
    modes = searched_modes(scenario)
    devices = [device for device in scenario.devices if device.usable]
    notes += [
        f"{device.name} is left out: of {device.count} with `available` {device.available:g} none can be counted on"
        for device in scenario.devices
        if not device.usable
    ]
    for target in devices:
        if workload.target not in target.profiles:
            continue
        if "target_only" in modes:
            yield [Candidate(workload.name, "target_only", workload.target, target.name)]
        for pair in scenario.pairs:
            if pair.target != workload.target:
                continue
            for paths in recorded_paths(for_task(pair.acceptance, workload.task)):
                yield from _speculating(scenario, workload, target, pair, paths, notes)
    # The edge alone needs no target.
    for pair in scenario.pairs if "edge_only" in modes else ():
        if pair.target == workload.target and pair.kind == "model":
            yield from _edge_alone(devices, workload, pair)


def _speculating(
    scenario: Scenario, workload: Workload, target: Device, pair: Pair, paths: int, notes: list[str]
) -> Iterator[list[Candidate]]:
    modes = searched_modes(scenario)
    windows = _windows(scenario, workload, pair, paths, notes)
    if "fused" in modes and pair.draft in target.profiles and windows:
        names = (pair.target, target.name, pair.draft, target.name)
        yield [Candidate(workload.name, "fused", *names, window, pair.kind, paths) for window in windows]
    for draft in scenario.devices if pair.kind == "model" else ():
        if (
            not draft.usable
            or draft.site != workload.site
            or draft.name == target.name
            or pair.draft not in draft.profiles
        ):
            continue
        for mode in EDGE_MODES:
            # A draft that goes on ahead guesses one token more than it proposed.
            known = windows if mode == "distributed" else _guessed(pair, workload, paths, windows)
            names = (pair.target, target.name, pair.draft, draft.name)
            # What goes on ahead goes on along one path.
            if mode in modes and known and (mode == "distributed" or paths == 1):
                yield [Candidate(workload.name, mode, *names, window, paths=paths) for window in known]


def ahead_of(scenario: Scenario, candidate: Candidate) -> tuple[Candidate, ...]:
    """A candidate that drafts at the edge along one path, going on ahead: at every window that it may have there."""
    if candidate.mode != "distributed" or candidate.paths > 1:
        return ()
    workload = scenario.workload(candidate.workload)
    pair = scenario.pair(candidate.draft_model or "", candidate.target_model)
    windows = _guessed(pair, workload, 1, _windows(scenario, workload, pair, 1, []))
    return tuple(replace(candidate, mode="pipelined", window=window) for window in windows)


def with_ahead(scenario: Scenario, space: Space) -> Space:
    """The space with every way to draft at the edge also going on ahead."""
    groups = []
    for group in space.by_workload:
        twins = [twin for candidate in group for twin in ahead_of(scenario, candidate)]
        groups.append(tuple(dict.fromkeys((*group, *twins))))
    return replace(space, by_workload=tuple(groups))


def _guessed(pair: Pair, workload: Workload, paths: int, windows: tuple[int, ...]) -> tuple[int, ...]:
    limit = largest_window(with_candidates(for_task(pair.acceptance, workload.task), paths))
    return tuple(window for window in windows if limit is None or window + 1 <= limit)


def _edge_alone(devices: Iterable[Device], workload: Workload, pair: Pair) -> Iterator[list[Candidate]]:
    for device in devices:
        if device.site == workload.site and pair.draft in device.profiles:
            yield [Candidate(workload.name, "edge_only", pair.draft, device.name)]


def _windows(scenario: Scenario, workload: Workload, pair: Pair, paths: int, notes: list[str]) -> tuple[int, ...]:
    limit = largest_window(with_candidates(for_task(pair.acceptance, workload.task), paths))
    asked = sorted(set(scenario.search.windows))
    if limit is not None and asked and asked[-1] > limit:
        notes.append(
            f"windows above {limit} are left out for {pair.draft} + {pair.target}: "
            "its acceptance was not measured beyond"
        )
        asked = [window for window in asked if window <= limit]
    return tuple(asked)


def _misfit(scenario: Scenario, candidate: Candidate) -> str | None:
    """Why the candidate cannot be deployed even alone, or None."""
    counts = full_counts(scenario, (candidate,))
    try:
        deploy(scenario, plan_of(scenario, Choice((candidate,), counts)))
    except PlanError as error:
        return "; ".join(problem.text for problem in error.problems)
    return None


def full_counts(scenario: Scenario, chosen: Iterable[Candidate]) -> Counts:
    """Everything that is there of each device type the candidates run on."""
    used = {name for candidate in chosen for name in candidate.devices}
    return tuple((device.name, device.usable) for device in scenario.devices if device.name in used)


def with_count(counts: Counts, device: str, count: int) -> Counts:
    """The same counts but for one device type."""
    return tuple((name, count if name == device else known) for name, known in counts)


def site_copies(scenario: Scenario, device: Device) -> int:
    """Copies of the device's site: each holds `count` devices of its own."""
    return scenario.site(device.site).count


def cost_per_hour(scenario: Scenario, counts: Counts) -> float:
    """Price of every deployed replica over all copies of its site; equals `Deployed.cost_per_hour`."""
    total = 0.0
    for name, count in counts:
        device = scenario.device(name)
        total += device.cost_per_hour * device.paid_for(count) * site_copies(scenario, device)
    return total


def device_total(scenario: Scenario, counts: Counts) -> int:
    """Deployed replicas over all copies of their sites."""
    return sum(count * site_copies(scenario, scenario.device(name)) for name, count in counts)


def plan_of(scenario: Scenario, choice: Choice) -> Plan:
    """The plan that says this choice."""
    counts = dict(choice.counts)
    deployed: dict[tuple[str, str], Deployment] = {}
    for candidate, _ in choice.parts:
        target = candidate.target_device
        models = [candidate.target_model]
        if candidate.mode == "fused" and candidate.draft_model is not None and candidate.kind != "ngram":
            models.append(candidate.draft_model)
        for model in models:
            deployed[target, model] = Deployment(device=target, model=model, count=counts[target])
        if candidate.mode in EDGE_MODES and candidate.draft_device and candidate.draft_model:
            device = scenario.device(candidate.draft_device)
            # A draft device drafts one window at a time; a cap meant for batches must be taken back.
            cap = 1 if device.batch_cap not in (None, 1) else None
            deployed[device.name, candidate.draft_model] = Deployment(
                device=device.name, model=candidate.draft_model, count=counts[device.name], batch_cap=cap
            )
    order = {device.name: index for index, device in enumerate(scenario.devices)}
    return Plan(
        scenario=scenario.name,
        assignments=tuple(
            Assignment(
                workload=candidate.workload,
                mode=candidate.mode,
                share=share,
                target_device=candidate.target_device,
                draft_model=candidate.target_model if candidate.mode == "edge_only" else candidate.draft_model,
                draft_device=candidate.draft_device,
                window=candidate.window,
                candidates=candidate.paths,
                routing=_routing(scenario, candidate),
                draft_routing=candidate.draft_routing,
            )
            for candidate, share in choice.parts
        ),
        deployments=tuple(sorted(deployed.values(), key=lambda d: (order[d.device], d.model))),
    )


def _routing(scenario: Scenario, candidate: Candidate) -> Routing:
    """The edge alone at copies of a site: none may take the load of another."""
    copies = site_copies(scenario, scenario.device(candidate.target_device))
    return "random" if candidate.mode == "edge_only" and copies > 1 else "jsq"
