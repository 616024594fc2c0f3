"""What runs today, what re-prompting costs, and devices that cannot all be counted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.errors import PlanError
from dsd_plan.optimize.alternatives.engines import engine_of, reprompting
from dsd_plan.optimize.choices.candidates import cost_per_hour, full_counts, plan_of, space_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.test_heads import plan, with_head

EDGE = Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4)
SCENE = scenario(links=(Link(between=("clinic", "region"), rtt_ms=20.0, uplink_mbps=8.0),))


def edge_plan() -> Plan:
    return plan_of(SCENE, Choice((EDGE,), (("edge-box", 6), ("gpu", 2))))


def test_what_runs_today() -> None:
    plain = Plan(
        scenario="small",
        assignments=(Assignment(workload="chat", mode="target_only", target_device="gpu"),),
        deployments=(Deployment(device="gpu", model="large", count=2),),
    )
    assert engine_of(SCENE, plain).today == "yes"
    assert engine_of(SCENE, plan("small")).engines == ("vLLM", "SGLang", "llama.cpp")
    assert engine_of(with_head(SCENE), plan("eagle")).engines == ("vLLM", "SGLang")
    edge = engine_of(SCENE, edge_plan())
    assert edge.today == "with re-prompting"
    assert "no released engine keeps a session's KV" in edge.sentence


def test_what_sending_the_context_again_costs() -> None:
    """200 prompt tokens and half of 64: 232 tokens, 928 bytes, .928 ms at 8 Mbit/s. Prefilling 237 takes
    20 + 237 · .03 ms; the verification of 5 tokens, 20 + 5 · .1 ms, is made either way. Half a block is 8 · .03 ms."""
    predicted = stub_model.predict(deploy(SCENE, edge_plan()))
    (row,) = reprompting(SCENE, edge_plan(), predicted)
    assert row.context_tokens == 232.0
    assert row.bytes_per_round == 928.0
    assert row.uplink_ms_per_round == pytest.approx(0.928)
    assert row.prefill_ms_per_round == pytest.approx(237 * 0.03 - 0.5)
    assert row.cached_prefill_ms_per_round == pytest.approx(0.24)
    parts = predicted.workload("chat").round_parts
    assert parts is not None
    assert row.round_ms == pytest.approx(
        parts.draft_ms + parts.uplink_ms + parts.wait_ms + parts.verify_ms + parts.downlink_ms
    )
    assert reprompting(SCENE, plan("small"), None) == ()


def test_of_recordings_the_mean_is_over_rounds() -> None:
    """Answers of 10 and 30 tokens after prompts of 100 and 200: (10 · 105 + 30 · 215) / 40."""
    trace = RequestTrace(np.array([0.0, 1.0]), np.array([100, 200]), np.array([10, 30]))
    given = replace(SCENE, workloads=(replace(chat(), requests=trace),))
    (row,) = reprompting(given, edge_plan(), None)
    assert row.context_tokens == pytest.approx((10 * 105 + 30 * 215) / 40)
    assert row.round_ms is None


def test_devices_that_can_be_counted_on() -> None:
    """Of 24 at .9, 21 can be planned with; so that 10 work, 12 are paid for."""
    box = edge_box(count=24, available=0.9)
    assert box.usable == 21
    assert [box.paid_for(n) for n in (1, 9, 10, 21)] == [2, 10, 12, 24]
    assert edge_box(count=10, available=0.7).usable == 7  # 10 · .7 is a little less in binary
    assert edge_box(count=5).paid_for(5) == 5
    given = scenario(devices=(box, gpu()))
    assert dict(full_counts(given, (EDGE,))) == {"edge-box": 21, "gpu": 3}
    counts = (("edge-box", 10), ("gpu", 2))
    assert cost_per_hour(given, counts) == pytest.approx(12 * 0.05 + 2 * 4.0)
    deployed = deploy(given, plan_of(given, Choice((EDGE,), counts)))
    assert deployed.cost_per_hour == pytest.approx(cost_per_hour(given, counts))
    assert deployed.drafts[0].count == 10
    with pytest.raises(PlanError, match=r"of 24 with available 0\.9 only 21 can be counted on"):
        deploy(given, plan_of(given, Choice((EDGE,), (("edge-box", 22), ("gpu", 2)))))


def test_one_that_may_be_missing_is_left_out() -> None:
    space = space_of(scenario(devices=(edge_box(count=1, available=0.9), gpu())))
    assert all(c.mode != "distributed" for group in space.by_workload for c in group)
    assert any("of 1 with `available` 0.9 none can be counted on" in note for note in space.notes)
