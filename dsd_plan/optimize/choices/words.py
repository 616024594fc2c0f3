"""Numbers in sentences: three significant digits; plans in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.choices.candidates import site_copies
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts

MOST_NAMED = 8
"""Workloads that a plan in a few words names."""


def number(value: float | None) -> str:
    """Three significant digits, without an exponent; a dash where it is not known."""
    if value is None:
        return "–"
    if abs(value) >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(share: float) -> str:
    """A share in per cent, to two significant digits and no finer than a tenth."""
    return f"{100.0 * share:.1f} %" if abs(share) < 0.1 else f"{100.0 * share:.0f} %"


def count_words(scenario: Scenario, device: str, count: int) -> str:
    """Devices over all copies of their site, from `count` at each: "14 × edge-box (7 a site)"."""
    copies = site_copies(scenario, scenario.device(device))
    return f"{count * copies:,} × {device}" + (f" ({count:,} a site)" if copies > 1 else "")


def counts_words(scenario: Scenario, counts: Counts) -> str:
    """All devices of a plan: "14 × edge-box (7 a site), 4 × h100"."""
    return ", ".join(count_words(scenario, name, count) for name, count in counts)


def in_parts(candidate: Candidate, words: Callable[[Candidate], str]) -> str:
    """What `words` says of a candidate; where its traffic is split of each part, behind its share."""
    if candidate.rest is None:
        return words(candidate)
    return " and ".join(f"{percent(share)} {words(part)}" for part, share in candidate.parts)


def _way(candidate: Candidate) -> str:
    return (
        candidate.mode.replace("_", " ")
        + (f", window {candidate.window}" if candidate.window is not None else "")
        + (f" on {candidate.paths} paths" if candidate.paths > 1 else "")
        + routing_words(candidate)
    )


def routing_words(candidate: Candidate) -> str:
    """How a session gets its draft device, where not at random."""
    return "" if candidate.draft_routing is None else f", draft_routing {candidate.draft_routing}"


def _way_on(candidate: Candidate) -> str:
    return f"{_way(candidate)} on {candidate.target_device}"


def _same_ways(candidate: Candidate) -> bool:
    """Whether only the devices tell the parts of split traffic apart."""
    return candidate.rest is not None and _way(candidate.head) == _way(candidate.rest)


def plan_words(choice: Choice) -> str:
    """Modes and windows in a few words: "distributed, window 4"."""
    ways = [in_parts(c, _way_on if _same_ways(c) else _way) for c in choice.candidates]
    if len(set(ways)) == 1:
        return ways[0]
    if len(ways) > MOST_NAMED:
        return "; ".join(f"{way} for {number}" for way, number in Counter(ways).most_common())
    return "; ".join(f"{c.workload} {way}" for c, way in zip(choice.candidates, ways, strict=True))
