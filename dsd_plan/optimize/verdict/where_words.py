"""Where a plan drafts, on what, with which window, and for which share of the requests: the subject of a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.alternatives.case import listed
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.objective import MOST_NAMED
from dsd_plan.optimize.choices.words import count_words, percent


def where_words(scenario: Scenario, choice: Choice) -> str:
    """Where to draft, on what, with which window: "Draft at clinic on 3 × edge-box with window 5"."""
    counts = dict(choice.counts)
    speculating = [c for c in choice.candidates if c.mode != "target_only"]
    if len(choice.candidates) > MOST_NAMED:
        return f"Draft {_how_many(speculating, len(choice.candidates))}"
    places = list(dict.fromkeys((_place(scenario, c, counts), c.window) for c in speculating))
    if choice.splits:
        return "Draft " + listed([_parts(scenario, c, counts) for c in speculating])
    if len(places) == 1:
        place, window = places[0]
        which = (
            "" if len(speculating) == len(choice.candidates) else f" for {listed([c.workload for c in speculating])}"
        )
        return f"Draft {place} with window {window}{which}"
    return "Draft " + listed(
        [f"{_place(scenario, c, counts)} with window {c.window} for {c.workload}" for c in speculating]
    )


def _parts(scenario: Scenario, candidate: Candidate, counts: Mapping[str, int]) -> str:
    """One workload of a plan that splits traffic: each part with its share."""

    def words(part: Candidate) -> str:
        if part.mode == "target_only":
            return f"plainly on {part.target_device}"
        return f"{_place(scenario, part, counts)} with window {part.window}"

    whose = f" of {candidate.workload}" if len(scenario.workloads) > 1 else " of the requests"
    if candidate.rest is None:
        return f"{words(candidate)} for {candidate.workload}"
    return (
        f"{words(candidate.head)} for {percent(candidate.share)}{whose}, "
        f"{words(candidate.rest)} for {percent(1.0 - candidate.share)}"
    )


def plainly_words(choice: Choice) -> str:
    """Where plain decoding splits traffic: on which devices, with which shares."""
    split = [
        f"{whose}{percent(candidate.share)} on {candidate.target_device}, "
        f"{percent(1.0 - candidate.share)} on {candidate.rest.target_device}"
        for candidate in choice.candidates
        if candidate.rest is not None
        for whose in ["" if len(choice.candidates) == 1 else f"{candidate.workload} "]
    ]
    return f" ({'; '.join(split)})" if split else ""


def _how_many(speculating: list[Candidate], workloads: int) -> str:
    """Of many workloads: "beside the target for 210 of 300 workloads (windows 2–4) and at the edge for 12 …"."""
    words = []
    for mode, where in (
        ("fused", "beside the target"),
        ("distributed", "at the edge"),
        ("pipelined", "at the edge, going on ahead,"),
    ):
        windows = [c.window for c in speculating if c.mode == mode and c.window is not None]
        if windows:
            low, high = min(windows), max(windows)
            spread = f"window {low}" if low == high else f"windows {low}–{high}"
            words.append(f"{where} for {len(windows)} of {workloads} workloads ({spread})")
    return listed(words)


def _place(scenario: Scenario, candidate: Candidate, counts: Mapping[str, int]) -> str:
    if candidate.mode == "fused" or candidate.draft_device is None:
        return f"beside the target on {candidate.target_device}"
    site = scenario.site(scenario.device(candidate.draft_device).site)
    where = site.name if site.count == 1 else f"each of {site.count} × {site.name}"
    ahead = ", going on ahead," if candidate.mode == "pipelined" else ""
    devices = count_words(scenario, candidate.draft_device, counts[candidate.draft_device])
    routed = "" if candidate.draft_routing is None else ", each session on the one with the fewest,"
    return f"at {where} on {devices}{routed}{ahead}"
