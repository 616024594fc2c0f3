"""The draft model alone at the edge: plain decoding there, without a network, where its text will do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Site
from dsd_plan.domain.plan import Assignment, Deployment, Plan, Policy
from dsd_plan.domain.plan_checks import plan_misfits, plan_problems
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.errors import PlanError
from dsd_plan.model import predict
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.run import optimize
from dsd_plan.replay.run import replay
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
LISTED = ("target_only", "fused", "distributed", "edge_only")


def alone(count: int = 2, routing: str = "jsq", **more: object) -> Plan:
    assignment = Assignment(
        workload="chat", mode="edge_only", target_device="edge-box", draft_model="small", routing=routing, **more
    )
    return Plan(
        scenario="small",
        assignments=(assignment,),
        deployments=(Deployment(device="edge-box", model="small", count=count),),
    )


def study(given: Scenario) -> Study:
    return optimize(given, stub_model.predict, observer(given), agreements, PROVENANCE)


def test_it_is_plain_decoding_at_home() -> None:
    """A box alone: 4 ms a token; the first after 4 + 200 · .01 ms, and no way to anywhere."""
    given = scenario(workloads=(chat(rate_per_s=0.01),))
    assert plan_problems(alone()) == ()
    assert plan_misfits(given, alone()) == ()
    deployed = deploy(given, alone())
    (stream,), (pool,) = deployed.streams, deployed.targets
    assert (stream.up, stream.down, stream.draft) == ((), (), None)
    assert (pool.device.name, pool.model, pool.replicas) == ("edge-box", "small", 2)
    assert deployed.cost_per_hour == pytest.approx(0.10)
    assert deployed.plan.assignments[0].mode == "edge_only"
    seen = predict(deployed).workload("chat")
    assert seen.tpot_ms.mean == pytest.approx(4.0, rel=0.01)
    assert seen.ttft_ms.mean == pytest.approx(6.0, rel=0.01)
    played = replay(deployed, seed=1, requests=300, replications=2, run_all=map).workload("chat")
    assert played.tpot_ms.mean == pytest.approx(4.0, rel=0.01)
    assert played.ttft_ms.mean == pytest.approx(6.0, rel=0.01)


def test_each_copy_of_a_site_answers_for_itself() -> None:
    given = scenario(sites=(Site(name="clinic", count=10), Site(name="region")), workloads=(chat(rate_per_s=0.5),))
    deployed = deploy(given, alone(count=1, routing="random"))
    assert deployed.targets[0].replicas == 10
    assert deployed.cost_per_hour == pytest.approx(0.5)
    single = deploy(replace(given, sites=(Site(name="clinic"), Site(name="region"))), alone(count=1))
    ten, one = (predict(d).workload("chat") for d in (deployed, single))
    assert ten.requests_per_s == pytest.approx(10 * (one.requests_per_s or 0.0))
    assert ten.ttft_ms.mean == pytest.approx(one.ttft_ms.mean, rel=0.01)
    with pytest.raises(PlanError, match="with 10 copies of site 'clinic' edge_only needs"):
        deploy(given, alone(count=1))


def test_elsewhere_it_is_refused() -> None:
    given = scenario(devices=(edge_box(site="region"), gpu()))
    with pytest.raises(PlanError, match="is at 'region', workload 'chat' at 'clinic'"):
        deploy(given, alone())


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"window": 4}, "window"),
        ({"draft_device": "gpu"}, "draft_device"),
        ({"candidates": 2}, "candidates"),
        ({"policy": Policy(kind="threshold")}, "policy"),
    ],
)
def test_keys_that_mean_nothing(more: dict[str, object], key: str) -> None:
    assert f"assignments[0].{key}" in [problem.place for problem in plan_problems(alone(**more))]


def test_it_is_searched_only_where_it_is_listed() -> None:
    quiet = scenario(workloads=(chat(rate_per_s=2.0),))
    assert all(c.mode != "edge_only" for group in space_of(quiet).by_workload for c in group)
    given = replace(quiet, search=replace(quiet.search, modes=LISTED))
    found = study(given)
    row = next(option for option in found.options if option.name == "edge alone")
    assert row.chosen
    assert row.devices == {"edge-box": 1}
    assert row.drafts_lost is None
    assert row.engine is not None
    assert row.engine.today == "yes"
    assert found.verdict.answer == "no"
    assert found.verdict.sentence.startswith(
        "Do not speculate here: the edge alone, where the draft's own text will do, answers all requests for 0.05 an"
    )
    assert [option.name for option in found.options][4] == "edge alone"
    assert found.curves


def test_it_does_not_stand_for_speculation() -> None:
    """Where boxes are too slow for the budget, the verdict is of speculation as ever."""
    boxes = edge_box(count=1, step_ms=60.0)
    given = scenario(
        rtt_ms=80.0, devices=(boxes, gpu()), workloads=(chat(tpot_p95_ms=50.0),), minimize="tpot", modes=LISTED
    )
    found = study(given)
    row = next(option for option in found.options if option.name == "edge alone")
    assert not row.chosen
    assert "TPOT p95" in row.reason or "saturates" in row.reason
    assert found.verdict.answer == "yes"
    assert found.plan.assignments[0].mode == "fused"


def test_what_to_measure_next_is_what_that_choice_rests_on() -> None:
    """No acceptance is used where the draft answers alone: its own text and its step times are."""
    given = scenario(workloads=(chat(rate_per_s=2.0),), modes=LISTED)
    found = study(given)
    assert {a.mode for a in found.plan.assignments} == {"edge_only"}
    assert found.verdict.answer == "no"
    assert found.verdict.measure_next is not None
    assert "cceptance" not in found.verdict.measure_next
    assert found.verdict.measure_next.startswith("Score the draft's own answers against the target's ")
    assert "small on edge-box" in found.verdict.measure_next
    assert found.verdict.measurement is not None
    assert found.verdict.measurement.of == "step_times"


def test_it_needs_no_target_that_can_be_counted_on() -> None:
    """One GPU that is up half the time is none; the boxes answer all the same."""
    given = scenario(devices=(edge_box(), gpu(count=1, available=0.5)), workloads=(chat(rate_per_s=0.5),), modes=LISTED)
    found = study(given)
    assert found.plan.assignments[0].mode == "edge_only"
    assert found.verdict.answer == "no"
