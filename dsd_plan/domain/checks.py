"""Does a scenario make sense? What its parts cannot know alone: names that lead nowhere, parts that contradict.

Pure functions from a scenario to all of its problems; an empty tuple means that it can be planned for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from dsd_plan.domain.acceptance import DECLARED, AcceptanceCounts, AcceptanceLaw, TokenTrace, largest_window
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw
from dsd_plan.domain.decision_checks import decision_problems
from dsd_plan.domain.fleet import Device, FaultWindow, Link, ModelSpec
from dsd_plan.domain.link_profile import LinkProfile, link_values
from dsd_plan.domain.names import unknown_name
from dsd_plan.domain.ngrams import costs_nothing
from dsd_plan.domain.not_yet import SCENARIO, not_yet_problems
from dsd_plan.domain.profile_checks import law_problems
from dsd_plan.domain.scenario import Pair, Scenario, Search
from dsd_plan.domain.wire import vocabulary_of
from dsd_plan.domain.workload import RequestTrace, Workload
from dsd_plan.errors import Problem


def scenario_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """Everything that contradicts itself, leads nowhere, or is not supported yet; in the order of the file."""
    sites = {site.name for site in scenario.sites}
    models = {model.name: model for model in scenario.models}
    return (
        *_repeated("sites", [site.name for site in scenario.sites]),
        *_empty("sites", scenario.sites, "one [[sites]] with a name"),
        *_links(scenario, sites),
        *_repeated("models", [model.name for model in scenario.models]),
        *_empty("models", scenario.models, "one [[models]] with a name"),
        *_devices(scenario, sites, models),
        *_pairs(scenario, models),
        *_workloads(scenario, sites, models),
        *_faults(scenario),
        *_fleet_budgets(scenario),
        *_search(scenario),
        *decision_problems(scenario),
        *not_yet_problems(scenario, SCENARIO),
    )


def _dangling(place: str, kind: str, name: str, known: Collection[str]) -> Iterator[Problem]:
    if name not in known:
        yield Problem(place, unknown_name(kind, name, known))


def _repeated(kind: str, names: Sequence[str]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        first = seen.setdefault(name, index)
        if first < index:
            yield Problem(f"{kind}[{index}].name", f'"{name}" is already the name of {kind}[{first}]; give it another')


def _empty(place: str, things: Sequence[object], least: str) -> Iterator[Problem]:
    if not things:
        yield Problem(place, f"found none, expected at least {least}")


def _links(scenario: Scenario, sites: Collection[str]) -> Iterator[Problem]:
    for index, link in enumerate(scenario.links):
        place = f"links[{index}]"
        for end, name in enumerate(link.between):
            yield from _dangling(f"{place}.between[{end}]", "site", name, sites)
        if link.between[0] == link.between[1]:
            yield Problem(f"{place}.between", f'both ends are "{link.between[0]}"; a link joins two sites')
        yield from _delay(place, link)
        if link.loss >= 1:
            yield Problem(
                f"{place}.loss", "found 1, expected less than 1: a link that loses everything carries nothing"
            )
        if link.trace is not None:
            yield from _rtt_trace(f"{place}.trace", link)
        if link.profile is not None:
            yield from _link_profile(place, link, link.profile)


def _delay(place: str, link: Link) -> Iterator[Problem]:
    one_way = [key for key in ("up_ms", "down_ms") if getattr(link, key) is not None]
    ways = ["rtt_ms"] * (link.rtt_ms is not None) + [" and ".join(one_way)] * bool(one_way)
    ways += ["trace"] * (link.trace is not None)
    if not ways:
        yield Problem(place, "no delay; give rtt_ms (or up_ms and down_ms, or a profile)")
    elif len(ways) > 1:
        yield Problem(place, f"the delay is given {len(ways)} times, as {', '.join(ways)}; keep one")
    if len(one_way) == 1:
        missing = "down_ms" if one_way == ["up_ms"] else "up_ms"
        yield Problem(f"{place}.{missing}", f"missing beside {one_way[0]}; give both directions, or rtt_ms")


def _rtt_trace(place: str, link: Link) -> Iterator[Problem]:
    trace = link.trace
    if trace is not None and (not trace.at_s or len(trace.at_s) != len(trace.rtt_ms)):
        yield Problem(place, f"{len(trace.at_s)} times for {len(trace.rtt_ms)} round trips; give one of each, and some")
    elif trace is not None and (trace.at_s[0] != 0 or any(b <= a for a, b in pairwise(trace.at_s))):
        yield Problem(
            place, f"the times begin at {trace.at_s[0]:g} s; they must begin at 0 and rise: take the first off them all"
        )
    if link.jitter_cv:
        yield Problem(f"{place.removesuffix('trace')}jitter_cv", "a trace brings its own jitter; leave jitter_cv out")


def _link_profile(place: str, link: Link, profile: LinkProfile) -> Iterator[Problem]:
    """A link of a profile has its numbers and no others; the loader fills them in."""
    for key, value in link_values(profile).items():
        if getattr(link, key) != value:
            yield Problem(f"{place}.{key}", "is not what the profile says; let the profile give it")


def _devices(scenario: Scenario, sites: Collection[str], models: Mapping[str, ModelSpec]) -> Iterator[Problem]:
    yield from _repeated("devices", [device.name for device in scenario.devices])
    yield from _empty("devices", scenario.devices, "one [[devices]]")
    for index, device in enumerate(scenario.devices):
        place = f"devices[{index}]"
        yield from _dangling(f"{place}.site", "site", device.site, sites)
        if not device.profiles:
            yield Problem(
                f"{place}.profiles",
                "found none, expected at least one: a device may do what it has a profile for; add "
                '"<model>" = "<profile>.json" or { law = { step_ms = … } }',
            )
        yield from _profiles(models, place, device, {pair.draft for pair in scenario.pairs if pair.kind == "ngram"})


def _profiles(
    models: Mapping[str, ModelSpec], place: str, device: Device, tables: Collection[str]
) -> Iterator[Problem]:
    for name, profile in device.profiles.items():
        here = f'{place}.profiles["{name}"]'
        yield from _dangling(here, "model", name, models)
        if profile.model != name:
            yield Problem(
                here, f'the profile is of model "{profile.model}"; name it so in [[models]], or give another profile'
            )
        # A table in the text itself takes no time: the loader gave it a profile that says so.
        if profile.origin == "declared" and not profile.points and not (name in tables and costs_nothing(profile)):
            yield from law_problems(f"{here}.law", profile.fit.law)
        weights_gib = models[name].weights_gib if name in models else None
        if weights_gib is not None and weights_gib > device.memory_gib:
            yield Problem(
                here,
                f"the weights need {weights_gib:g} GiB, the device has {device.memory_gib:g} GiB of memory; "
                "correct weights_gib or memory_gib, or take the profile away",
            )


def _pairs(scenario: Scenario, models: Collection[str]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], int] = {}
    for index, pair in enumerate(scenario.pairs):
        place = f"pairs[{index}]"
        if pair.kind != "ngram":  # a table in the text itself is no model
            yield from _dangling(f"{place}.draft", "model", pair.draft, models)
        yield from _dangling(f"{place}.target", "model", pair.target, models)
        first = seen.setdefault((pair.draft, pair.target), index)
        if first < index:
            yield Problem(place, f'"{pair.draft}" + "{pair.target}" is already pairs[{first}]; keep one of them')
        if isinstance(pair.acceptance, AcceptanceLaw):
            yield from acceptance_law_problems(f"{place}.acceptance", pair.acceptance)
        else:
            yield from _recorded(place, pair)
        if pair.wire == "topk" and pair.k is None:
            yield Problem(f"{place}.k", 'missing; `wire = "topk"` needs to know how many candidates travel')
        if pair.wire in ("ids_q", "distributions") and vocabulary_of(scenario, pair) is None:
            yield Problem(
                f"{place}.wire",
                f'"{pair.wire}" sends a probability for every token of the vocabulary; give `vocabulary` '
                f'in [[models]] of "{pair.target}"',
            )
        if pair.wire != "topk" and pair.k is not None:
            yield Problem(f"{place}.k", f'means nothing with `wire = "{pair.wire}"`; leave it out')


def acceptance_law_problems(place: str, law: AcceptanceLaw) -> Iterator[Problem]:
    """A declared acceptance is one rate or one survival curve, and survival never rises."""
    if (law.per_token is None) == (law.survival is None):
        found = "found neither" if law.per_token is None else "found both"
        yield Problem(place, f"{found}, expected either per_token or survival")
    if law.survival is None:
        return
    if not law.survival:
        yield Problem(
            f"{place}.survival", "found an empty list, expected P(first i proposals all accepted) for i = 1, 2, …"
        )
    for i in range(1, len(law.survival)):
        before, now = law.survival[i - 1], law.survival[i]
        if now > before:
            yield Problem(
                f"{place}.survival[{i}]",
                f"found {now:g} after {before:g}; P(first {i + 1} all accepted) cannot exceed P(first {i})",
            )


def _recorded(place: str, pair: Pair) -> Iterator[Problem]:
    if isinstance(pair.acceptance, AcceptanceLaw):
        return
    if isinstance(pair.acceptance, AcceptanceCounts) and not pair.acceptance.reached:
        yield Problem(
            f"{place}.acceptance",
            "the counters tell totals, and not how far rounds got: no window can be computed from them; record a "
            "trace, or declare { per_token = … }, which assumes that tokens are accepted independently",
        )
    if isinstance(pair.acceptance, BetaLaw | MarkovLaw):
        held, proposal = "law was fitted to", pair.acceptance.proposal
    else:
        held, proposal = "trace holds", pair.acceptance.metadata.proposal
    if pair.wire == "ids" and proposal == "sampled":
        yield Problem(
            f"{place}.acceptance",
            f"the {held} sampled proposals, which need the draft's probabilities at the target, and `wire` sends "
            "token ids alone; record it with argmax proposals, or let `wire` send more",
        )


def _workloads(scenario: Scenario, sites: Collection[str], models: Collection[str]) -> Iterator[Problem]:
    islands = _islands(scenario)
    yield from _repeated("workloads", [workload.name for workload in scenario.workloads])
    yield from _empty("workloads", scenario.workloads, "one [[workloads]]")
    for index, workload in enumerate(scenario.workloads):
        place = f"workloads[{index}]"
        yield from _dangling(f"{place}.site", "site", workload.site, sites)
        yield from _dangling(f"{place}.target", "model", workload.target, models)
        for at, name in enumerate(workload.allowed_sites or ()):
            yield from _dangling(f"{place}.allowed_sites[{at}]", "site", name, sites)
        if workload.allowed_sites == ():
            yield Problem(f"{place}.allowed_sites", "found an empty list; name a site, or leave it out for all of them")
        yield from _targets_in_reach(scenario, islands, place, workload)
        yield from _requests(scenario, place, workload)
        yield from _task(scenario, place, workload)
        if workload.budgets.goodput_share is not None and not workload.budgets.limits():
            yield Problem(
                f"{place}.budgets.goodput_share", "has no latency budget to be a share of; add one, such as tpot_p95_ms"
            )


def _targets_in_reach(
    scenario: Scenario, islands: Mapping[str, int], place: str, workload: Workload
) -> Iterator[Problem]:
    able = [device for device in scenario.devices if workload.target in device.profiles]
    if not able:
        yield Problem(
            f"{place}.target", f'no device has a profile for "{workload.target}"; add one to a [devices.profiles]'
        )
        return
    allowed = [d for d in able if workload.allowed_sites is None or d.site in workload.allowed_sites]
    where = ", ".join(sorted({f'"{device.site}"' for device in able}))
    if not allowed:
        yield Problem(f"{place}.allowed_sites", f'"{workload.target}" runs only at {where}, which is not allowed')
    elif workload.site in islands and islands[workload.site] not in {islands.get(device.site) for device in allowed}:
        yield Problem(
            f"{place}.site",
            f'no links lead from "{workload.site}" to where "{workload.target}" runs ({where}); add one',
        )


def _islands(scenario: Scenario) -> dict[str, int]:
    """A number for each site, the same where links join two; needs no delays, which may be missing."""
    beside: dict[str, list[str]] = {site.name: [] for site in scenario.sites}
    for link in scenario.links:
        for a, b in (link.between, link.between[::-1]):
            beside.setdefault(a, []).append(b)
    island: dict[str, int] = {}
    for number, start in enumerate(beside):
        frontier = [] if start in island else [start]
        while frontier:
            here = frontier.pop()
            if island.setdefault(here, number) == number:
                frontier += [site for site in beside[here] if site not in island]
    return island


def _is_instant(requests: RequestTrace) -> bool:
    return bool(requests.arrival_s[-1] <= requests.arrival_s[0])


def without_rate(scenario: Scenario) -> Iterator[Problem]:
    """Recordings that have no rate: what is asked of a load over time cannot be asked of them."""
    for index, workload in enumerate(scenario.workloads):
        if isinstance(workload.requests, RequestTrace) and _is_instant(workload.requests):
            yield Problem(
                f"workloads[{index}].requests",
                "the trace needs requests at two different times to have a rate; as it is, `dsd-plan replay --whole` "
                "plays it",
            )


def _requests(scenario: Scenario, place: str, workload: Workload) -> Iterator[Problem]:
    requests = workload.requests
    if not isinstance(requests, RequestTrace):
        if workload.rate_per_s is not None:
            yield Problem(
                f"{place}.rate_per_s", "rescales a recorded trace, and `requests` is not one; leave it out here"
            )
        return
    if requests.arrival_s.size == 0:
        yield Problem(f"{place}.requests", "the trace has no requests; record some")
    elif workload.rate_per_s is not None and _is_instant(requests):
        yield Problem(f"{place}.rate_per_s", "rescales a rate, and the trace has none: its requests come all at once")
    if any(site.name == workload.site and site.count > 1 for site in scenario.sites):
        yield Problem(
            f"{place}.requests",
            f'not supported yet: a recorded trace at a site with copies ("{workload.site}"); give rate_per_s or users',
        )


def _task(scenario: Scenario, place: str, workload: Workload) -> Iterator[Problem]:
    if workload.task is None:
        return
    for pair in scenario.pairs:
        if pair.target != workload.target or isinstance(pair.acceptance, DECLARED):
            continue
        tasks = [] if pair.acceptance.task is None else np.unique(pair.acceptance.task).tolist()
        if workload.task not in tasks:
            text = unknown_name("task", workload.task, tasks)
            yield Problem(f"{place}.task", f'in the trace of "{pair.draft}" + "{pair.target}" {text}')


def _faults(scenario: Scenario) -> Iterator[Problem]:
    devices = {device.name: device for device in scenario.devices}
    joined = {frozenset(link.between) for link in scenario.links}
    for index, fault in enumerate(scenario.faults):
        place = f"faults[{index}]"
        yield from _fault_keys(place, fault)
        if fault.between is not None and frozenset(fault.between) not in joined:
            yield Problem(f"{place}.between", f'no link joins "{fault.between[0]}" and "{fault.between[1]}"')
        if fault.device is not None:
            yield from _dangling(f"{place}.device", "device", fault.device, devices)
            count = devices[fault.device].count if fault.device in devices else None
            if fault.index is not None and count is not None and fault.index >= count:
                yield Problem(f"{place}.index", f'found {fault.index}; "{fault.device}" has 0 to {count - 1}')


def _fault_keys(place: str, fault: FaultWindow) -> Iterator[Problem]:
    wanted = "between" if fault.kind in ("link_down", "slow_link") else "device"
    needed = {wanted, *(["factor"] if fault.kind.startswith("slow") else [])}
    for key in ("between", "device", "factor"):
        given = getattr(fault, key) is not None
        if given != (key in needed):
            yield Problem(f"{place}.{key}", f'{"means nothing" if given else "missing"} with `kind = "{fault.kind}"`')
    if fault.hold_s is not None and fault.kind != "link_down":
        yield Problem(f"{place}.hold_s", f'means nothing with `kind = "{fault.kind}"`')


def _fleet_budgets(scenario: Scenario) -> Iterator[Problem]:
    if scenario.budgets.cost_per_hour == 0:
        yield Problem("budgets.cost_per_hour", "found 0, expected a number above 0; leave it out for no limit")
    devices = {device.name for device in scenario.devices}
    for name in scenario.budgets.power_w or {}:
        yield from _dangling(f'budgets.power_w["{name}"]', "device", name, devices)


def _search(scenario: Scenario) -> Iterator[Problem]:
    search = scenario.search
    for key, values in (("modes", search.modes), ("windows", search.windows)):
        if not values:
            yield Problem(f"search.{key}", "found an empty list; name one, or leave it out for the default")
        for index, value in enumerate(values):
            if value in values[:index]:
                yield Problem(f"search.{key}[{index}]", f"{value} is listed twice")
    covered = [_covered_window(pair) for pair in scenario.pairs]
    most = max((limit for limit in covered if limit is not None), default=None)
    # The default reaches past short evidence on purpose: what was not measured is skipped, pair by pair.
    if search.windows == Search().windows or most is None or None in covered:
        return
    if most == 0 and all(isinstance(pair.acceptance, AcceptanceCounts) for pair in scenario.pairs):
        text = (
            "the acceptance of every pair is counters that tell no positions, so no window can be played; make a law "
            "of them with `dsd-plan trace fit COUNTERS --assume-independent -o LAW`, or record a trace"
        )
        yield Problem("search.windows", text)
        return
    for index, window in enumerate(search.windows):
        if window > most:
            yield Problem(
                f"search.windows[{index}]",
                f"acceptance is known for windows up to {most}, found {window}; record larger ones or leave it out",
            )


def _covered_window(pair: Pair) -> int | None:
    if isinstance(pair.acceptance, TokenTrace):
        return max(pair.acceptance.match.size - 1, 0)
    return largest_window(pair.acceptance)
