"""The same targets without any draft: what breaks, what would survive it, and what may be counted as saved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.domain.workload import Budgets
from dsd_plan.errors import InfeasibleError
from dsd_plan.optimize.alternatives.options import NOTHING_DRAFTS, NOTHING_TO_LOSE
from dsd_plan.optimize.choices.candidates import plan_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.drafts_lost import Survival
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
EDGE = Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4)
PLAIN = Candidate("chat", "target_only", "large", "gpu")


WITHOUT_FUSED = ("target_only", "distributed")


def given(
    degraded: float | None = None, gpus: int = 6, limit: float = 34.0, modes: tuple[str, ...] = WITHOUT_FUSED
) -> Scenario:
    asked = chat(rate_per_s=20.0, tpot_p95_ms=limit)
    if degraded is not None:
        asked = replace(asked, degraded_budgets=Budgets(tpot_p95_ms=degraded))
    return scenario(
        rtt_ms=6.0,
        devices=(edge_box(count=12, step_ms=1.0), gpu(count=gpus, step_ms=25.0, draft_step_ms=12.0)),
        workloads=(asked,),
        windows=(1, 2, 3, 4, 6),
        modes=modes,
    )


def survival(given: Scenario) -> Survival:
    return Survival(Confirmation(Evaluator(given, stub_model.predict), observer(given), lambda line: None))


def edge(gpus: int) -> Choice:
    return Choice((EDGE,), (("edge-box", 3), ("gpu", gpus)))


def study(given: Scenario) -> Study:
    return optimize(given, stub_model.predict, observer(given), agreements, PROVENANCE)


def plain_p95_ms(given: Scenario, gpus: int) -> float:
    plan = plan_of(given, Choice((PLAIN,), (("gpu", gpus),)))
    value = stub_model.predict(deploy(given, plan)).workload("chat").tpot_ms.p95
    assert value is not None
    return value


def test_what_saturates_and_by_how_much() -> None:
    """20 requests/s of 64 tokens on one GPU: 1,280 steps/s of 25 ms, 32 at once, is 1.000 of its time; each request
    adds 63 · .1 ms for its tokens and 200 · .03 ms for its prompt, together 20 · 12.3 ms a second, .246."""
    lost = survival(given()).of(edge(1))
    assert lost is not None
    assert not lost.survives
    assert lost.saturates == "gpu"
    assert lost.saturation == pytest.approx(1.246)
    assert lost.tpot_p95_ms is None
    assert "gpu saturates (1.25 of the work it can do)" in lost.sentence


@pytest.mark.parametrize("limit", [34.0, 40.0, 60.0])
def test_the_fewest_targets_that_survive(limit: float) -> None:
    scene = given(limit=limit)
    fewest = next(n for n in range(2, 7) if plain_p95_ms(scene, n) <= limit)
    lost = survival(scene).of(edge(1))
    assert lost is not None
    assert lost.targets == {"gpu": 1}
    assert lost.targets_needed == {"gpu": fewest}
    assert lost.extra_cost_per_hour == pytest.approx(4.0 * (fewest - 1))
    assert f"{fewest} gpu instead of 1 would survive" in lost.sentence


def test_one_that_survives_says_with_what() -> None:
    lost = survival(given()).of(edge(6))
    assert lost is not None
    assert lost.survives
    assert lost.targets_needed == {"gpu": 6}
    assert lost.extra_cost_per_hour == 0.0
    assert lost.worst_workload == "chat"
    assert lost.tpot_p95_ms == pytest.approx(plain_p95_ms(given(), 6))
    assert lost.broken == ()


def test_not_even_all_that_are_there() -> None:
    lost = survival(given(gpus=2, limit=28.0)).of(edge(2))
    assert lost is not None
    assert lost.targets_needed is None
    assert lost.extra_cost_per_hour is None
    assert [(b.scope, b.budget, b.limit) for b in lost.broken] == [("chat", "tpot_p95_ms", 28.0)]
    assert "not all targets that are there survive" in lost.sentence


def test_what_drafts_on_its_target_loses_nothing() -> None:
    assert survival(given()).of(Choice((PLAIN,), (("gpu", 3),))) is None
    found = study(scenario(rtt_ms=80.0, minimize="tpot"))
    row = next(option for option in found.options if option.name == "all drafts lost at peak")
    assert row.reason == NOTHING_TO_LOSE
    assert row.drafts_lost is None


def test_where_nothing_drafts_there_is_no_draft_to_lose() -> None:
    found = study(scenario(modes=("target_only",)))
    row = next(option for option in found.options if option.name == "all drafts lost at peak")
    assert row.reason == NOTHING_DRAFTS


def test_undecided_where_the_saving_is_gone_with_the_drafts() -> None:
    scene = given()
    found = study(scene)
    options = {option.name: option for option in found.options}
    edge_row, plain_row = options["draft at the edge"], options["do nothing: plain decoding on the target"]
    assert edge_row.chosen
    assert edge_row.drafts_lost is not None
    assert edge_row.drafts_lost.extra_cost_per_hour is not None
    assert edge_row.cost_per_hour is not None
    assert plain_row.cost_per_hour is not None
    assert edge_row.cost_per_hour < plain_row.cost_per_hour
    assert found.verdict.answer == "undecided"
    assert found.verdict.sentence.startswith("Undecided: drafting at clinic on 3 × edge-box with window 4 pays only ")
    counted = plain_row.cost_per_hour - edge_row.cost_per_hour - edge_row.drafts_lost.extra_cost_per_hour
    assert found.verdict.saves["cost_per_hour"] == pytest.approx(counted)
    assert counted == pytest.approx(-0.15)  # the boxes come on top of the GPUs that plain decoding needs
    assert "at which 0.15 an hour is lost against plain decoding" in found.verdict.sentence
    assert found.verdict.measure_next is not None
    assert "degraded_budgets" in found.verdict.measure_next


def test_a_plan_that_loses_nothing_is_taken_before_one_whose_saving_goes_with_its_drafts() -> None:
    """Fused on two GPUs saves two of the four that plain decoding needs, and has no drafts to lose."""
    found = study(given(modes=("target_only", "fused", "distributed")))
    rows = {row.name: row for row in found.options}
    fused, edge_row = rows["draft beside the target"], rows["draft at the edge"]
    assert found.verdict.answer == "yes"
    assert fused.chosen
    assert found.verdict.saves["cost_per_hour"] == pytest.approx(8.0)
    assert fused.cost_per_hour is not None
    assert edge_row.cost_per_hour is not None
    assert edge_row.cost_per_hour < fused.cost_per_hour
    assert edge_row.reason.endswith("an hour less, but only while its drafts are there")
    assert fused.reason.endswith("in the replay and still do when every draft is lost")
    assert any("saves only while its drafts are there" in line for line in found.story)
    assert found.bound_scope is not None
    assert "only while its drafts are there, was not chosen" in found.bound_scope


def test_yes_where_users_accept_what_is_left() -> None:
    found = study(given(degraded=80.0))
    assert found.verdict.answer == "yes"
    assert "the targets survive: chat: tpot_p95_ms" in found.verdict.sentence
    assert "for a degraded budget of 80" in found.verdict.sentence
    assert found.verdict.saves["cost_per_hour"] > 0.0


def test_the_row_is_judged_by_what_users_then_accept_and_pays_for_what_is_down() -> None:
    rows = {row.name: row for row in study(given(degraded=80.0)).options}
    row, drafting = rows["all drafts lost at peak"], rows["draft at the edge"]
    assert row.budgets is not None
    assert [(check.budget, check.limit, check.kept) for check in row.budgets] == [("tpot_p95_ms", 80.0, True)]
    assert row.predicted is not None
    assert row.budgets[0].predicted == row.predicted.workload("chat").tpot_ms.p95
    assert drafting.chosen
    assert row.cost_per_hour == drafting.cost_per_hour  # 12 boxes of .05 that do nothing now
    assert set(row.devices or {}) == {"gpu"}
    assert row.reason.endswith("; the lost drafts are still paid for")
    without = next(row for row in study(given()).options if row.name == "all drafts lost at peak")
    assert without.budgets is None


def test_a_plan_gets_the_targets_that_its_degraded_budgets_ask_for() -> None:
    """Without drafts one GPU saturates, and a second keeps 40 ms."""
    free, bound = study(given()), study(given(degraded=40.0))
    counts = [{d.device: d.count for d in found.plan.deployments} for found in (free, bound)]
    fewest = next(n for n in range(2, 7) if plain_p95_ms(given(), n) <= 40.0)
    assert counts[0]["gpu"] < counts[1]["gpu"] == fewest
    assert bound.plan.assignments[0].mode == "distributed"
    row = next(option for option in bound.options if option.chosen)
    assert row.drafts_lost is not None
    assert row.drafts_lost.survives
    assert any("that many are planned with" in line for line in bound.story)


def test_a_plan_that_cannot_keep_them_is_not_chosen() -> None:
    scene = given(degraded=34.0)
    found = study(scene)
    assert found.plan.assignments[0].mode == "target_only"
    assert found.verdict.answer == "no"
    # Four GPUs and the boxes (16.15) against four GPUs (16).
    assert "would raise cost by 0.9 %" in found.verdict.sentence
    # Plain decoding breaks its budget, and the edge that keeps it cannot lose its drafts.
    with pytest.raises(InfeasibleError, match=r"tpot_p95_ms with every draft lost allows 24"):
        study(
            replace(
                scene,
                devices=(edge_box(count=12, step_ms=1.0), gpu(count=2, step_ms=25.0, draft_step_ms=12.0)),
                workloads=(replace(chat(tpot_p95_ms=24.0), degraded_budgets=Budgets(tpot_p95_ms=24.0)),),
            )
        )


@pytest.mark.parametrize(
    ("degraded", "place"),
    [
        (Budgets(tpot_p95_ms=30.0), "tpot_p95_ms"),
        (Budgets(goodput_share=0.9), "goodput_share"),
        (Budgets(tpot_p95_ms=90.0, stall_share=0.1), "stall_share"),
    ],
)
def test_degraded_budgets_that_contradict(degraded: Budgets, place: str) -> None:
    asked = replace(chat(tpot_p95_ms=34.0), degraded_budgets=degraded)
    problems = scenario_problems(replace(scenario(), workloads=(asked,)))
    assert [problem.place for problem in problems] == [f"workloads[0].degraded_budgets.{place}"]


@pytest.mark.parametrize("minimize", ["energy", "tpot"])
def test_what_is_saved_in_energy_or_time_is_not_undone(minimize: str) -> None:
    """Capacity is undone by the loss of drafts; joules and milliseconds were saved while they were there."""
    scene = given()
    found = study(replace(scene, search=replace(scene.search, minimize=minimize)))
    row = next(option for option in found.options if option.chosen)
    assert row.name == "draft at the edge"
    assert found.verdict.answer == "yes"
    if minimize == "energy":
        assert "less energy a token" in found.verdict.sentence
        assert row.drafts_lost is not None
        assert not row.drafts_lost.survives  # it runs on few GPUs, and what these cost less is not counted
        assert "what is saved in cost and devices is counted with these" in found.verdict.sentence
        assert found.verdict.saves["cost_per_hour"] < 0.0


def test_yes_where_the_targets_survive_by_themselves() -> None:
    """Two GPUs with or without drafts, boxes that are there anyway: nothing is lost with them but time."""
    scene = scenario(
        rtt_ms=6.0,
        devices=(edge_box(count=12, step_ms=1.0, cost_per_hour=0.0), gpu(count=6, step_ms=25.0, draft_step_ms=40.0)),
        workloads=(chat(rate_per_s=3.0, tpot_p95_ms=60.0),),
        windows=(1, 2, 3, 4, 6),
        modes=WITHOUT_FUSED,
        minimize="tpot",
    )
    found = study(scene)
    row = next(option for option in found.options if option.chosen)
    assert row.name == "draft at the edge"
    assert row.drafts_lost is not None
    assert row.drafts_lost.survives
    assert found.verdict.answer == "yes"
    assert "with every draft lost at peak the targets survive: chat: tpot_p95_ms" in found.verdict.sentence
