"""A workload's traffic is split between two ways where that is better, and only where its text may go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Device, Link, Site
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import FleetBudgets, Objective, Scenario
from dsd_plan.domain.study import Study
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.optimize.alternatives.splitting import SPLIT
from dsd_plan.optimize.choices.candidates import Space, full_counts, plan_of, space_of
from dsd_plan.optimize.choices.choice import Candidate, Choice, compatible
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge, Judged
from dsd_plan.optimize.run import optimize
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.search.split import MOST_PREDICTIONS, Splits, search_splits, split_between, splittable
from dsd_plan.optimize.search.split_work import light, relaxed_start, split_bound
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan, keeps_budgets, objective
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.split_force import best_split
from tests.optimize.stub_replay import observer
from tests.optimize.test_study import PROVENANCE

TENTHS = tuple(step / 10 for step in range(1, 10))
PLAIN = "do nothing: plain decoding on the target"


def big(count: int = 4, cost: float = 10.0) -> Device:
    return gpu(count=count, name="big", cost_per_hour=cost)


def little(count: int = 4, cost: float = 3.0, site: str = "region") -> Device:
    device = gpu(count=count, name="little", step_ms=30.0, cost_per_hour=cost)
    return replace(device, batch_cap=8, site=site)


def two_gpus(rate_per_s: float = 40.0, **more: object) -> Scenario:
    """Three of the big ones carry it, or two with three little ones, which is cheaper."""
    return scenario(
        devices=(big(), little()),
        workloads=(chat(rate_per_s=rate_per_s, tpot_p95_ms=60.0),),
        modes=("target_only",),
        **more,
    )


def one_edge_box() -> Scenario:
    """Drafts at the edge relieve the targets, but the only box carries a part of the traffic."""
    return scenario(
        rtt_ms=4.0,
        per_token=0.85,
        devices=(edge_box(count=1), slow()),
        workloads=(chat(rate_per_s=8.0, tpot_p95_ms=90.0),),
        modes=("target_only", "distributed"),
        windows=(2, 4),
    )


def slow() -> Device:
    return replace(gpu(count=8, step_ms=40.0, cost_per_hour=10.0), batch_cap=4)


def study(asked: Scenario) -> Study:
    return optimize(asked, stub_model.predict, observer(asked), agreements, PROVENANCE)


def shares(plan: Plan) -> list[tuple[str, str, float]]:
    return [(a.mode, a.target_device, a.share) for a in plan.assignments]


def test_two_device_types_together_are_cheaper_than_either_alone() -> None:
    asked = two_gpus()
    whole, split = best_plan(asked, stub_model.predict), best_split(asked, stub_model.predict, TENTHS)
    found = study(asked)
    assert whole is not None
    assert split is not None
    assert (whole.objective, split.objective) == (30.0, 29.0)
    assert found.predicted.fleet.cost_per_hour == pytest.approx(29.0)
    assert shares(found.plan) == [("target_only", "big", 0.8), ("target_only", "little", 0.2)]
    assert {d.device: d.count for d in found.plan.deployments} == {"big": 2, "little": 3}
    (chosen,) = (option for option in found.options if option.chosen)
    assert (chosen.name, chosen.plan) == (PLAIN, found.plan)
    assert "Decode plainly (80 % on big, 20 % on little)" in found.verdict.sentence
    assert any("80 % target only on big and 20 % target only on little beats" in line for line in found.story)
    assert {curve.share for curve in found.curves} == {1.0}
    # Plain decoding in one part is no other mode: what changes the decision is that nothing keeps the budget.
    assert {tip.becomes for tip in found.tipping_points} <= {None, "a budget breaks"}


def test_as_many_as_the_edge_carries_draft_there_and_the_others_decode_plainly() -> None:
    asked = one_edge_box()
    whole, split = best_plan(asked, stub_model.predict), best_split(asked, stub_model.predict, TENTHS)
    found = study(asked)
    assert whole is not None
    assert split is not None
    assert (whole.objective, split.objective) == (60.0, 50.05)
    assert found.predicted.fleet.cost_per_hour == pytest.approx(50.05)
    assert [mode for mode, _, _ in shares(found.plan)] == ["distributed", "target_only"]
    assert sum(share for _, _, share in shares(found.plan)) == pytest.approx(1.0)
    (chosen,) = (option for option in found.options if option.chosen)
    assert chosen.name == SPLIT
    assert "drafting at clinic on 1 × edge-box with window 4 for 35 % of the requests, plainly on gpu for 65 %" in (
        found.verdict.sentence
    )
    drawn = found.curves[0]
    assert (drawn.mode, drawn.share) == ("distributed", found.plan.assignments[0].share)
    # Without its drafts everything decodes on the same targets: one stream, not two.
    lost = next(option for option in found.options if option.name == "all drafts lost at peak")
    assert lost.plan is not None
    assert shares(lost.plan) == [("target_only", "gpu", 1.0)]


def test_where_no_device_type_alone_carries_the_load_both_together_do() -> None:
    asked = replace(two_gpus(36.0), devices=(big(count=2), little(count=4)))
    assert best_plan(asked, stub_model.predict) is None
    split = best_split(asked, stub_model.predict, TENTHS)
    assert split is not None
    found = study(asked)
    assert found.predicted.fleet.cost_per_hour == pytest.approx(split.objective)
    assert {name for _, name, _ in shares(found.plan)} == {"big", "little"}


def test_where_splitting_cannot_help_the_plan_is_the_one_without_it() -> None:
    """One little GPU is enough: nothing is cheaper, and the bound says so without a prediction."""
    asked = two_gpus(2.0)
    found = study(asked)
    assert shares(found.plan) == [("target_only", "little", 1.0)]
    assert "splitting traffic: nothing to gain, no split of it can be below 3" in found.story
    assert "no plan that splits a workload's traffic (`share`) does better either" in found.bound_scope
    assert found.optimality_gap == 0.0


def test_with_one_device_type_nothing_is_tried() -> None:
    asked = scenario(devices=(gpu(),), modes=("target_only", "fused"))
    space = space_of(asked)
    assert isinstance(space, Space)
    assert not splittable(space)
    found = study(asked)
    assert not any("splitting" in line for line in found.story)
    assert "no workload has two ways on different devices" in found.bound_scope


def test_text_is_split_only_between_places_where_it_may_go() -> None:
    """The little GPUs stand where chat's text may not go: what was 29 with them is 30 without."""
    asked = replace(
        two_gpus(),
        sites=(Site(name="clinic"), Site(name="region"), Site(name="abroad")),
        links=(*two_gpus().links, Link(between=("clinic", "abroad"), rtt_ms=20.0)),
        devices=(big(), little(site="abroad")),
    )
    assert {name for _, name, _ in shares(study(asked).plan)} == {"big", "little"}
    kept = replace(asked.workloads[0], allowed_sites=("clinic", "region"))
    found = study(replace(asked, workloads=(kept,)))
    assert shares(found.plan) == [("target_only", "big", 1.0)]
    assert found.predicted.fleet.cost_per_hour == pytest.approx(30.0)


def test_closed_users_are_split_into_whole_ones() -> None:
    users = ClosedRequests(users=90, think_s=0.5, prompt_tokens=200, output_tokens=64)
    asked = replace(two_gpus(), workloads=(replace(chat(tpot_p95_ms=26.0), requests=users),))
    asked = replace(asked, devices=(big(count=2), little(count=12, cost=1.0)))
    found = _around_best(asked)
    if found is not None:
        for _, _, share in shares(found.trial.plan):
            assert share * 90 == pytest.approx(round(share * 90), abs=1e-6)


def test_the_head_of_a_split_is_the_part_that_speculates_else_the_larger_one() -> None:
    plain, away = (
        Candidate("chat", "target_only", "large", "gpu"),
        Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4),
    )
    other = replace(plain, target_device="little")
    assert split_between(plain, away, 0.9).parts == ((away, 0.1), (plain, 0.9))
    assert split_between(plain, other, 0.3).parts == ((other, 0.7), (plain, 0.3))
    split = split_between(plain, away, 0.9)
    assert split.devices == ("gpu", "edge-box")
    assert (split.way, split.served) == ("distributed+target_only", "distributed and target only")
    assert split_between(plain, other, 0.3).served == "target_only"
    assert split.head == away


def test_parts_that_cannot_stand_side_by_side_are_no_split() -> None:
    """A device type would verify for the one part and draft for the other."""
    verifies = Candidate("chat", "target_only", "large", "box")
    drafts = Candidate("chat", "distributed", "large", "gpu", "small", "box", 4)
    assert not compatible((split_between(verifies, drafts, 0.5),))


def test_a_plan_of_a_split_has_an_assignment_a_part_and_each_device_once() -> None:
    asked = one_edge_box()
    plain = Candidate("chat", "target_only", "large", "gpu")
    away = Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4)
    split = split_between(away, plain, 0.35)
    plan = plan_of(asked, Choice((split,), full_counts(asked, (split,))))
    assert shares(plan) == [("distributed", "gpu", 0.35), ("target_only", "gpu", 0.65)]
    assert {(d.device, d.model, d.count) for d in plan.deployments} == {("gpu", "large", 8), ("edge-box", "small", 1)}
    assert len(deploy(asked, plan).streams) == 2


def test_work_is_that_of_all_requests_and_proportional_to_the_share() -> None:
    asked = two_gpus()
    judge = Judge(Evaluator(asked, stub_model.predict))
    alone = light(judge, Candidate("chat", "target_only", "large", "big"))
    assert alone is not None
    # 40/s × (63 steps × (20/32 + .1) ms + 20/32 + 200 × .03 ms of prompt) on each replica.
    assert alone.work == {"big": pytest.approx(40 * (63 * (20 / 32 + 0.1) + 20 / 32 + 6.0) / 1000, rel=1e-6)}


@st.composite
def scenarios(draw: st.DrawFn, minimize: Objective) -> Scenario:
    modes = draw(st.sampled_from([("target_only",), ("target_only", "distributed"), ("target_only", "fused")]))
    one = replace(
        big(draw(st.integers(1, 3)), draw(st.sampled_from([4.0, 10.0]))), batch_cap=draw(st.sampled_from([4, 32]))
    )
    other = little(draw(st.integers(1, 4)), draw(st.sampled_from([1.0, 3.0])))
    budget = draw(st.sampled_from([None, 25.0]))
    return scenario(
        rtt_ms=draw(st.sampled_from([2.0, 20.0])),
        per_token=draw(st.sampled_from([0.6, 0.9])),
        devices=(one, other, edge_box(count=draw(st.integers(1, 3)))),
        workloads=(
            chat(
                rate_per_s=draw(st.sampled_from([4.0, 10.0, 20.0, 40.0])),
                tpot_p95_ms=draw(st.sampled_from([40.0, 60.0, 120.0])),
            ),
        ),
        modes=modes,
        windows=(2, 4),
        budgets=FleetBudgets(cost_per_hour=budget),
        minimize=minimize,
    )


def _around_best(asked: Scenario) -> Judged | None:
    space = space_of(asked)
    assert isinstance(space, Space)
    evaluator = Evaluator(asked, stub_model.predict)
    judge = Judge(evaluator)
    best = search(judge, space).best
    tried = [trial.choice for trial in evaluator.trials()]
    starts = (best.choice,) if best is not None else tuple(tried[-1:])
    return search_splits(judge, Splits(space.by_workload, starts=starts))


@pytest.mark.parametrize("minimize", ["cost", "energy", "tpot", "devices"])
@settings(max_examples=10)
@given(data=st.data())
def test_what_is_found_keeps_every_budget_and_nothing_beats_the_bound(minimize: Objective, data: st.DataObject) -> None:
    """Better than the best unsplit plan, few predictions, and the bound is below what brute force finds of splits."""
    asked = data.draw(scenarios(minimize))
    space = space_of(asked)
    assert isinstance(space, Space)
    evaluator = Evaluator(asked, stub_model.predict)
    judge = Judge(evaluator)
    whole = search(judge, space).best
    starts = (whole.choice,) if whole is not None else tuple(t.choice for t in evaluator.trials()[-1:])
    before = evaluator.calls
    found = search_splits(judge, Splits(space.by_workload, starts=starts))
    assert evaluator.calls - before <= MOST_PREDICTIONS
    if found is not None:
        plan = found.trial.plan
        deployed = deploy(asked, plan)
        performance = stub_model.predict(deployed)
        assert keeps_budgets(asked, performance)
        assert len(plan.assignments) == 2
        if whole is not None:
            assert objective(asked, deployed, performance) < whole.objective
    truth, bound = best_split(asked, stub_model.predict, (0.2, 0.5, 0.8)), split_bound(judge, space)
    assert bound is not None
    if truth is not None:
        assert bound <= truth.objective * (1.0 + 1e-6)
        if minimize in ("cost", "devices"):
            best = min(judged.objective for judged in (whole, found) if judged is not None)
            assert best <= truth.objective * 1.005


@pytest.mark.parametrize("minimize", ["cost", "tpot"])
@settings(max_examples=6)
@given(data=st.data())
def test_of_two_workloads_either_or_both_are_split(minimize: Objective, data: st.DataObject) -> None:
    """Around the best plan, plain decoding and what splitting at will gives: as good as brute force in quarters."""
    one = replace(big(data.draw(st.integers(1, 2))), batch_cap=data.draw(st.sampled_from([4, 8])))
    asked = scenario(
        devices=(one, little(data.draw(st.integers(1, 2)))),
        workloads=(
            chat(rate_per_s=data.draw(st.sampled_from([4.0, 10.0])), tpot_p95_ms=90.0),
            chat("region", data.draw(st.sampled_from([4.0, 10.0])), "jobs", tpot_p95_ms=120.0),
        ),
        modes=("target_only",),
        minimize=minimize,
    )
    space = space_of(asked)
    assert isinstance(space, Space)
    judge = Judge(Evaluator(asked, stub_model.predict))
    whole, guessed = search(judge, space).best, relaxed_start(judge, space)
    starts = (*(() if whole is None else (whole.choice,)), *(() if guessed is None else (guessed,)))
    found = search_splits(judge, Splits(space.by_workload, starts=starts)) if starts else None
    truth = best_split(asked, stub_model.predict, (0.25, 0.5, 0.75))
    if truth is not None:
        assert min(judged.objective for judged in (whole, found) if judged is not None) <= truth.objective * 1.01


def test_a_guess_sends_each_workload_where_most_of_it_would_go() -> None:
    """40 a second keep 2.1 of the big ones busy: filled to .8, these three are cheaper than any with little ones."""
    judge = Judge(Evaluator(two_gpus(), stub_model.predict))
    space = space_of(two_gpus())
    assert isinstance(space, Space)
    guessed = relaxed_start(judge, space)
    assert guessed is not None
    assert [candidate.target_device for candidate in guessed.candidates] == ["big"]
