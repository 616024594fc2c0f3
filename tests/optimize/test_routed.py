"""Sessions on the least busy draft device: taken where that is surely better and the replay says so, else left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Site
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.domain.workload import Budgets
from dsd_plan.errors import InfeasibleError
from dsd_plan.model import predict as predicted
from dsd_plan.optimize.alternatives.routed import routed_space
from dsd_plan.optimize.choices.candidates import plan_of, space_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.confirmation.observation import Observation
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
ASKED = replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), degraded_budgets=Budgets(tpot_p95_ms=80.0))
GIVEN = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=12, step_ms=2.0), gpu(count=6, step_ms=25.0, draft_step_ms=12.0)),
    workloads=(ASKED,),
    windows=(1, 2, 3, 4, 6),
    modes=("target_only", "distributed"),
)


def is_routed(plan: Plan) -> bool:
    return any(assignment.draft_routing == "jsq" for assignment in plan.assignments)


def predict(deployed: Deployed) -> Performance:
    """The stub's, to which routed draft devices are as good as twice as many."""
    if is_routed(deployed.plan):
        deployed = replace(deployed, drafts=tuple(replace(d, count=2 * d.count) for d in deployed.drafts))
    return stub_model.predict(deployed)


def observing(given: Scenario, slow: float) -> Callable[[Plan], Observation]:
    """What is replayed: `predict`, and `slow` times that where drafts are routed."""
    plain = observer(given)
    twice = replace(given, devices=tuple(replace(d, count=2 * d.count) for d in given.devices))
    routed = observer(twice, lambda plan: slow)

    def observe(plan: Plan) -> Observation:
        if not is_routed(plan):
            return plain(plan)
        more = tuple(
            replace(d, count=2 * d.count) if d.model == "small" else d for d in plan.deployments
        )  # fmt: skip
        return routed(replace(plan, deployments=more))

    return observe


def study(given: Scenario = GIVEN, slow: float = 1.0) -> Study:
    return optimize(given, predict, observing(given, slow), agreements, PROVENANCE)


def boxes(found: Study) -> int:
    return next(d.count for d in found.plan.deployments if d.model == "small")


def test_half_the_boxes_do_where_sessions_go_to_the_least_busy() -> None:
    at_random = optimize(GIVEN, stub_model.predict, observer(GIVEN), agreements, PROVENANCE)
    found = study()
    assert not is_routed(at_random.plan)
    assert is_routed(found.plan)
    assert boxes(found) == -(-boxes(at_random) // 2)
    assert found.verdict.answer == "yes"
    assert f"on {boxes(found)} × edge-box, each session on the one with the fewest," in found.verdict.sentence
    (line,) = [line for line in found.story if line.startswith("draft_routing jsq (each new session goes to ")]
    assert f"on {boxes(at_random)} × edge-box" in line
    assert "(draft_routing jsq, better here than a random one)" in found.bound_scope
    chosen = next(option for option in found.options if option.chosen)
    assert chosen.name == "draft at the edge"
    assert chosen.plan == found.plan
    # What lies around the decision is asked of routed plans, too.
    assert {tip.input for tip in found.tipping_points} >= {"rtt_ms", "load"}
    assert {curve.mode for curve in found.curves} == {"distributed", "target_only"}


def test_its_bound_is_that_of_routed_plans() -> None:
    found = study(replace(GIVEN, workloads=(replace(ASKED, degraded_budgets=None),)))
    assert is_routed(found.plan)
    assert found.optimality_gap == pytest.approx(0.0, abs=1e-9)


def test_it_is_left_where_the_replay_denies_it() -> None:
    found = study(slow=2.0)
    assert not is_routed(found.plan)
    assert any(line.startswith("draft_routing jsq: no better than ") for line in found.story)


def test_the_simpler_way_is_kept_where_the_model_sees_no_difference() -> None:
    found = optimize(GIVEN, stub_model.predict, observer(GIVEN), agreements, PROVENANCE)
    assert not is_routed(found.plan)
    assert "draft_routing jsq: no better around distributed, window 4 under the model" in found.story
    assert "(draft_routing jsq was tried around the best plan that drafts at the edge)" in found.bound_scope
    assert not any("draft_routing jsq" in line for line in found.story if "replayed" in line)


def test_it_may_be_what_keeps_a_budget_at_all() -> None:
    """A limit half-way between what two boxes can do at random, and as good as four."""
    few = replace(
        GIVEN,
        devices=(replace(GIVEN.devices[0], count=2), *GIVEN.devices[1:]),
        search=replace(GIVEN.search, modes=("distributed",)),
    )
    edge = [Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", w) for w in GIVEN.search.windows]
    least = []
    for routing in (None, "jsq"):
        choices = [Choice((replace(c, draft_routing=routing),), (("edge-box", 2), ("gpu", 6))) for c in edge]
        found = [Evaluator(few, predict).trial(choice).reading.get(("chat", "tpot_p95_ms")) for choice in choices]
        least.append(min(value for value in found if value is not None))
    assert least[1] < 0.95 * least[0]
    few = replace(few, workloads=(replace(ASKED, budgets=Budgets(tpot_p95_ms=sum(least) / 2.0)),))
    with pytest.raises(InfeasibleError):
        optimize(few, stub_model.predict, observer(few), agreements, PROVENANCE)
    assert is_routed(study(few).plan)


def test_nothing_is_routed_over_copies_of_a_site_or_to_a_single_device() -> None:
    space = space_of(GIVEN)
    assert routed_space(GIVEN, space) is not None
    copies = replace(GIVEN, sites=(Site(name="clinic", count=2), Site(name="region")))
    assert routed_space(copies, space_of(copies)) is None
    single = replace(GIVEN, devices=(replace(GIVEN.devices[0], count=1), *GIVEN.devices[1:]))
    assert routed_space(single, space_of(single)) is None
    fused = replace(GIVEN, search=replace(GIVEN.search, modes=("target_only", "fused")))
    assert routed_space(fused, space_of(fused)) is None


def test_the_model_takes_routed_sessions_for_even_ones() -> None:
    """What the search asks of the real model: the wait for a box is less than with boxes drawn at random."""
    edge = Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4)
    waits = []
    for routing in (None, "jsq"):
        choice = Choice((replace(edge, draft_routing=routing),), (("edge-box", 4), ("gpu", 3)))
        parts = predicted(deploy(GIVEN, plan_of(GIVEN, choice))).workload("chat").round_parts
        assert parts is not None
        waits.append(parts.wait_ms)
    assert waits[1] < waits[0]


def test_where_another_way_is_far_ahead_one_plan_with_drafts_routed_is_replayed_and_none_sought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = sys.modules[routed_space.__module__]
    monkeypatch.setattr(far, "FAR_BEHIND", 0.0)
    seen: list[Plan] = []
    observe = observing(GIVEN, 1.0)

    def counted(plan: Plan) -> Observation:
        seen.append(plan)
        return observe(plan)

    found = optimize(GIVEN, predict, counted, agreements, PROVENANCE)
    routed = next(row for row in found.options if row.name == "draft at the edge")
    assert routed.plan is not None
    assert is_routed(routed.plan)
    assert routed.plan in seen
    assert not any("replayed distributed" in line and "jsq" in line for line in found.story)
