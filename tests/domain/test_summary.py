"""What a study keeps of its scenario, and what `check` tells of it: hand-counted numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dsd_plan.domain.coverage import coverage
from dsd_plan.domain.fleet import Link, RttTrace, Site
from dsd_plan.domain.scenario import InputFile, Search
from dsd_plan.domain.summary import acceptance_summary, requests_summary, summary
from dsd_plan.domain.workload import ClosedRequests
from tests.domain.clinic import REQUESTS, ROUNDS, SCENARIO, TOKENS, measured, part, point

MEASURED = measured(
    point(1, 1, 100), point(8, 1, 100), point(1, 5, 100), point(8, 5, 200), point(1, 100, 0, phase="prefill")
)


def test_summary_is_json_and_keeps_the_keys_of_the_file() -> None:
    scenario = replace(
        SCENARIO,
        links=part(SCENARIO.links, rtt_ms=None, trace=RttTrace(at_s=(0.0, 1.0), rtt_ms=(10.0, 30.0))),
        inputs=(InputFile("a.toml", "00"),),
    )
    told = json.loads(json.dumps(summary(scenario), allow_nan=False))
    assert list(told) == [
        *("name", "sites", "links", "models", "devices", "pairs", "workloads"),
        *("faults", "budgets", "search", "present", "inputs"),
    ]
    assert told["links"][0]["trace"] == {"samples": 2, "mean_rtt_ms": 20.0}
    assert told["devices"][0]["batch_cap"] is None
    assert told["devices"][0]["profiles"]["small"]["origin"] == "declared"
    assert told["devices"][0]["profiles"]["small"]["fit"]["law"]["step_ms"] == 7.0
    assert told["workloads"][0]["requests"] == {
        "kind": "poisson",
        "rate_per_s": 2.0,
        "prompt_tokens": 100,
        "output_tokens": 50,
    }
    assert told["inputs"] == [{"path": "a.toml", "sha256": "00"}]


def test_a_measured_profile_is_told_by_its_grid() -> None:
    devices = part(SCENARIO.devices, 1, profiles=SCENARIO.devices[1].profiles | {"big": MEASURED})
    told = summary(replace(SCENARIO, devices=devices))["devices"][1]["profiles"]["big"]
    assert (told["points"], told["samples"]) == (5, 150)
    assert told["decode"] == {"batch": [1, 8], "new_tokens": [1, 5], "context_tokens": [100, 200]}
    assert told["prefill"] == {"batch": [1], "new_tokens": [100], "context_tokens": [0]}


def test_a_token_trace_is_told_by_counts_and_survival() -> None:
    told = acceptance_summary(TOKENS)
    assert (told["kind"], told["tokens"], told["requests"], told["tasks"]) == ("token trace", 8, 2, ["chat", "code"])
    assert told["match_rate"] == 6 / 8
    # 1 1 0 1 0 1 1 1 holds one whole round of window 7: two accepted, then a miss.
    assert told["survival"] == [1, 1, 0, 0, 0, 0, 0]


def test_a_round_trace_is_told_by_counts_and_survival() -> None:
    told = acceptance_summary(ROUNDS)
    assert (told["rounds"], told["proposed"], told["accepted"]) == (3, 11, 5)
    # Accepted at least 1, 2, 3, 4 of those that proposed so many: 2/3, 1/3, 1/3, 1/2; survival never rises.
    assert told["survival"] == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3])


def test_a_request_trace_is_told_by_rate_and_lengths() -> None:
    told = requests_summary(REQUESTS)
    assert (told["requests"], told["span_s"], told["rate_per_s"]) == (3, 4.0, 0.5)
    assert told["prompt_tokens"]["mean"] == 110.0
    assert told["output_tokens"]["p50"] == 6.0


def test_a_route_goes_by_the_shortest_round_trip_and_counts_losses() -> None:
    scenario = replace(
        SCENARIO,
        sites=(*SCENARIO.sites, Site(name="hub")),
        links=(
            Link(between=("clinic", "region"), rtt_ms=40.0),
            Link(between=("clinic", "hub"), rtt_ms=10.0, loss=0.5),
            Link(between=("hub", "region"), up_ms=4.0, down_ms=6.0),
        ),
    )
    (told,) = coverage(scenario)
    (found,) = told.routes
    assert found.sites == ("clinic", "hub", "region")
    # 10 + 10 of round trips, and each of the two messages over the lossy link is sent again once: 2 × 10 × 0.5/0.5.
    assert found.rtt_ms == pytest.approx(40.0)


def test_steps_say_where_the_profile_ends() -> None:
    corners = [point(batch, new, context) for batch in (1, 8) for new in (1, 5) for context in (100, 200)]
    whole = measured(*corners, point(1, 100, 0, phase="prefill"))
    devices = part(SCENARIO.devices, 1, profiles=SCENARIO.devices[1].profiles | {"big": whole}, batch_cap=8)
    workloads = part(
        SCENARIO.workloads, requests=ClosedRequests(users=4, think_s=1.0, prompt_tokens=100, output_tokens=100)
    )
    scenario = replace(SCENARIO, devices=devices, workloads=workloads, search=Search(windows=(2, 6)))
    (told,) = coverage(scenario)
    target = told.profiles[0]
    assert (target.device, target.role, target.points) == ("gpu", "target", 9)
    known = {(step.step, step.window): (step.alone, step.full) for step in target.steps}
    assert known["prefill", None] == ("measured", "extrapolated")
    assert known["decode", None] == ("measured", "measured")
    assert known["verify", 2] == ("interpolated", "interpolated")
    assert known["verify", 6] == ("extrapolated", "extrapolated")
    assert [(p.device, p.role) for p in told.profiles[1:]] == [
        ("gpu", "draft beside the target"),
        ("box", "edge draft"),
    ]
    assert {step.alone for step in told.profiles[2].steps} == {"declared"}


def test_windows_past_the_evidence_are_null() -> None:
    (told,) = coverage(replace(SCENARIO, search=Search(windows=(3, 4))))
    known, unknown = told.pairs[0].windows
    assert known.survival == pytest.approx(0.4)
    assert known.tokens_per_round == pytest.approx(1 + 0.7 + 0.5 + 0.4)
    assert (unknown.survival, unknown.tokens_per_round) == (None, None)
    assert json.loads(json.dumps(told.to_dict()))["pairs"][0]["windows"][1]["window"] == 4
