"""Every contradiction that a scenario can hold is found where it is, and a scenario that makes sense has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceCounts, AcceptanceLaw
from dsd_plan.domain.acceptance_laws import BetaLaw
from dsd_plan.domain.checks import scenario_problems, unknown_name
from dsd_plan.domain.fleet import FaultWindow, Link, RttTrace, Site
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import FleetBudgets, Scenario, Search
from dsd_plan.domain.workload import Budgets, RequestTrace
from tests.domain.clinic import METADATA, PLAN, REQUESTS, ROUNDS, SCENARIO, TOKENS, part

S = SCENARIO
TOTALS = AcceptanceCounts(metadata=METADATA, rounds=10, accepted=20, window=5)


def with_pair(**changes: Any) -> Scenario:
    return replace(S, pairs=part(S.pairs, **changes))


def with_link(**changes: Any) -> Scenario:
    return replace(S, links=part(S.links, **changes))


def with_workload(**changes: Any) -> Scenario:
    return replace(S, workloads=part(S.workloads, **changes))


def with_device(index: int, **changes: Any) -> Scenario:
    return replace(S, devices=part(S.devices, index, **changes))


def with_fault(**changes: Any) -> Scenario:
    return replace(S, faults=(FaultWindow(at_s=1.0, for_s=1.0, **changes),))


SPOILT: list[tuple[str, Scenario, str]] = [
    ("sites[2].name", replace(S, sites=(*S.sites, Site(name="clinic"))), "already the name of sites[0]"),
    ("sites", replace(S, sites=()), "at least one"),
    ("models[2].name", replace(S, models=(*S.models, S.models[0])), "already the name of models[0]"),
    ("devices[2].name", replace(S, devices=(*S.devices, S.devices[0])), "already the name of devices[0]"),
    ("workloads[1].name", replace(S, workloads=S.workloads * 2), "already the name of workloads[0]"),
    ("workloads", replace(S, workloads=()), "at least one"),
    ("pairs[1]", replace(S, pairs=S.pairs * 2), "already pairs[0]"),
    ("links[0].between[0]", with_link(between=("clinc", "region")), 'did you mean "clinic"?'),
    ("links[0].between", with_link(between=("clinic", "clinic")), "joins two sites"),
    ("links[0]", with_link(rtt_ms=None), "no delay; give rtt_ms"),
    ("links[0]", with_link(up_ms=1.0, down_ms=2.0), "given 2 times, as rtt_ms, up_ms and down_ms"),
    ("links[0].down_ms", with_link(rtt_ms=None, up_ms=1.0), "missing beside up_ms"),
    ("links[0].up_ms", with_link(rtt_ms=None, down_ms=1.0), "missing beside down_ms"),
    ("links[0].loss", with_link(loss=1.0), "less than 1"),
    ("links[0].trace", with_link(rtt_ms=None, trace=RttTrace(at_s=(), rtt_ms=())), "give one of each"),
    ("links[0].trace", with_link(rtt_ms=None, trace=RttTrace(at_s=(1.0,), rtt_ms=(5.0,))), "begin at 0 and rise"),
    (
        "links[0].trace",
        with_link(rtt_ms=None, trace=RttTrace(at_s=(0.0, 2.0, 1.0), rtt_ms=(5.0, 5.0, 5.0))),
        "begin at 0 and rise",
    ),
    (
        "links[0].jitter_cv",
        with_link(rtt_ms=None, trace=RttTrace(at_s=(0.0,), rtt_ms=(1.0,)), jitter_cv=0.1),
        "leave jitter_cv out",
    ),
    ("devices[0].site", with_device(0, site="regoin"), 'did you mean "region"?'),
    ("devices[0].profiles", with_device(0, profiles={}), "expected at least one"),
    (
        'devices[0].profiles["tiny"]',
        with_device(0, profiles={"tiny": declared_profile("box", "tiny", StepLaw(step_ms=1.0))}),
        'no model is called "tiny"; there is "big", "small"',
    ),
    (
        'devices[0].profiles["small"]',
        with_device(0, profiles={"small": declared_profile("box", "big", StepLaw(step_ms=1.0))}),
        'the profile is of model "big"',
    ),
    ('devices[0].profiles["small"]', with_device(0, memory_gib=1.5), "need 2 GiB, the device has 1.5 GiB"),
    (
        'devices[0].profiles["small"].law',
        with_device(0, profiles={"small": declared_profile("box", "small", StepLaw(step_ms=0.0))}),
        "a step would take no time",
    ),
    ("pairs[0].draft", with_pair(draft="smal"), 'did you mean "small"?'),
    ("pairs[0].target", with_pair(target="bigger"), 'did you mean "big"?'),
    (
        "pairs[0].acceptance",
        with_pair(acceptance=AcceptanceCounts(metadata=METADATA, proposed=10, accepted=7)),
        "the counters tell totals, and not how far rounds got",
    ),
    ("pairs[0].k", with_pair(k=3), 'means nothing with `wire = "ids"`'),
    ("pairs[0].k", with_pair(wire="topk"), "how many candidates"),
    ("pairs[0].acceptance", with_pair(acceptance=AcceptanceLaw()), "found neither"),
    ("pairs[0].acceptance", with_pair(acceptance=AcceptanceLaw(per_token=0.5, survival=(0.5,))), "found both"),
    ("pairs[0].acceptance.survival", with_pair(acceptance=AcceptanceLaw(survival=())), "empty list"),
    (
        "pairs[0].acceptance.survival[2]",
        with_pair(acceptance=AcceptanceLaw(survival=(0.7, 0.5, 0.6))),
        "found 0.6 after 0.5",
    ),
    (
        "pairs[0].acceptance",
        with_pair(acceptance=replace(TOKENS, metadata=replace(METADATA, proposal="sampled"))),
        "record it with argmax proposals",
    ),
    ("workloads[0].site", with_workload(site="nowhere"), 'there is "clinic", "region"'),
    ("workloads[0].target", with_workload(target="biig"), 'did you mean "big"?'),
    ("workloads[0].target", replace(S, devices=S.devices[:1]), 'no device has a profile for "big"'),
    ("workloads[0].allowed_sites", with_workload(allowed_sites=()), "empty list"),
    ("workloads[0].allowed_sites", with_workload(allowed_sites=("clinic",)), "is not allowed"),
    ("workloads[0].allowed_sites[1]", with_workload(allowed_sites=("region", "moon")), 'no site is called "moon"'),
    ("workloads[0].site", replace(S, links=()), 'no links lead from "clinic" to where "big" runs ("region")'),
    ("workloads[0].rate_per_s", with_workload(rate_per_s=3.0), "rescales a recorded trace"),
    (
        "workloads[0].requests",
        with_workload(requests=RequestTrace(np.zeros(0), np.ones(0, int), np.ones(0, int))),
        "has no requests",
    ),
    (
        "workloads[0].rate_per_s",
        with_workload(requests=RequestTrace(np.zeros(3), np.ones(3, int), np.ones(3, int)), rate_per_s=2.0),
        "the trace has none",
    ),
    (
        "workloads[0].requests",
        replace(with_workload(requests=REQUESTS), sites=part(S.sites, count=2)),
        "a site with copies",
    ),
    (
        "workloads[0].task",
        replace(with_workload(task="cod"), pairs=part(S.pairs, acceptance=TOKENS)),
        'did you mean "code"?',
    ),
    ("workloads[0].budgets.goodput_share", with_workload(budgets=Budgets(goodput_share=0.9)), "no latency budget"),
    ("faults[0].between", with_fault(kind="link_down"), "missing"),
    ("faults[0].between", with_fault(kind="link_down", between=("clinic", "moon")), "no link joins"),
    ("faults[0].factor", with_fault(kind="slow_device", device="box"), "missing"),
    ("faults[0].factor", with_fault(kind="device_down", device="box", factor=2.0), "means nothing"),
    ("faults[0].device", with_fault(kind="device_down", device="bx"), 'did you mean "box"?'),
    ("faults[0].index", with_fault(kind="device_down", device="box", index=4), '"box" has 0 to 3'),
    ('budgets.power_w["bx"]', replace(S, budgets=FleetBudgets(power_w={"bx": 1.0})), 'did you mean "box"?'),
    ("budgets.cost_per_hour", replace(S, budgets=FleetBudgets(cost_per_hour=0.0)), "leave it out for no limit"),
    ("search.modes", replace(S, search=Search(modes=())), "empty list"),
    ("search.windows", replace(S, search=Search(windows=())), "empty list"),
    ("search.windows[1]", replace(S, search=Search(windows=(2, 2))), "2 is listed twice"),
    ("search.windows[1]", replace(S, search=Search(windows=(3, 4))), "windows up to 3, found 4"),
    (
        "search.windows",
        replace(S, pairs=part(S.pairs, acceptance=TOTALS), search=Search(windows=(3, 4))),
        "counters that tell no positions, so no window can be played; make a law of them with `dsd-plan trace fit",
    ),
]


def test_what_makes_sense_has_no_problems() -> None:
    assert scenario_problems(S) == ()
    assert scenario_problems(with_pair(acceptance=TOKENS)) == ()
    assert scenario_problems(with_workload(requests=REQUESTS, rate_per_s=3.0)) == ()
    assert PLAN.scenario == S.name


@pytest.mark.parametrize(("place", "spoilt", "says"), SPOILT, ids=[f"{p}: {t}"[:60] for p, _, t in SPOILT])
def test_a_contradiction_is_found_in_its_place(place: str, spoilt: Scenario, says: str) -> None:
    found = [problem for problem in scenario_problems(spoilt) if problem.place == place]
    assert any(says in problem.text for problem in found), scenario_problems(spoilt)


def test_all_problems_are_found_at_once() -> None:
    spoilt = replace(with_link(loss=1.0), name="x", search=Search(windows=()), workloads=part(S.workloads, site="moon"))
    assert {problem.place for problem in scenario_problems(spoilt)} >= {
        "links[0].loss",
        "search.windows",
        "workloads[0].site",
    }


def test_default_windows_may_reach_past_the_evidence() -> None:
    assert S.search.windows[-1] == 12
    assert scenario_problems(with_pair(acceptance=ROUNDS)) == ()


def test_a_window_is_listed_when_one_pair_covers_it() -> None:
    short, long = S.pairs[0], replace(S.pairs[0], draft="big", target="small", acceptance=AcceptanceLaw(per_token=0.5))
    assert scenario_problems(replace(S, pairs=(short, long), search=Search(windows=(3, 9)))) == ()


def test_a_token_trace_covers_windows_shorter_than_itself() -> None:
    scenario = with_pair(acceptance=TOKENS)
    assert scenario_problems(replace(scenario, search=Search(windows=(7,)))) == ()
    (problem,) = scenario_problems(replace(scenario, search=Search(windows=(8,))))
    assert "windows up to 7, found 8" in problem.text


def test_reach_is_judged_through_several_links() -> None:
    far = replace(
        S,
        sites=(*S.sites, Site(name="hub")),
        links=(Link(between=("hub", "clinic"), rtt_ms=1.0), Link(between=("hub", "region"), rtt_ms=1.0)),
    )
    assert scenario_problems(far) == ()


def test_a_law_has_no_tasks() -> None:
    assert scenario_problems(with_workload(task="anything")) == ()


def test_a_long_list_of_names_is_cut() -> None:
    assert unknown_name("site", "zzz", [f"site-{i:02}" for i in range(20)]).endswith('"site-07" and 12 more')


def test_thousands_of_sites_are_checked_in_one_pass() -> None:
    sites = tuple(Site(name=f"s{i}") for i in range(3000))
    links = tuple(Link(between=(f"s{i}", f"s{i + 1}"), rtt_ms=1.0) for i in range(2999))
    workloads = tuple(replace(S.workloads[0], name=f"w{i}", site=f"s{i}") for i in range(3000))
    devices = part(part(S.devices, 0, site="s0"), 1, site="s2999")
    assert scenario_problems(replace(S, sites=sites, links=links, workloads=workloads, devices=devices)) == ()


@pytest.mark.parametrize("proposal", ["argmax", "sampled", None])
def test_a_fitted_law_of_sampled_proposals_needs_more_than_ids(proposal: Literal["argmax", "sampled"] | None) -> None:
    law = BetaLaw(a=2.0, b=1.0, largest_window=12, measured_window=12, proposal=proposal)
    told = [p.text for p in scenario_problems(with_pair(acceptance=law)) if p.place == "pairs[0].acceptance"]
    assert len(told) == (proposal == "sampled")
    assert all("the law was fitted to sampled proposals" in text for text in told)
    wider = scenario_problems(with_pair(acceptance=law, wire="topk", k=8))
    assert not [p for p in wider if p.place == "pairs[0].acceptance"]
