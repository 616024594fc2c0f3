"""Nothing is handed out on the model's word alone, and nothing is lost to its pessimism."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.choices.candidates import WideSpace, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation import confirm as confirming
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.observation import Observation, Observe
from dsd_plan.optimize.search.search import Found, search
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

GIVEN = scenario(
    devices=(edge_box(count=8), gpu(count=6)),
    workloads=(chat(rate_per_s=30.0, tpot_p95_ms=30.0),),
    modes=("target_only",),
)


def confirm(given: Scenario, observe: Observe) -> tuple[Confirmed | None, Confirmation, list[str]]:
    story: list[str] = []
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observe, story.append)
    return confirmation.best(space_of(given), "plain"), confirmation, story


def replicas(confirmed: Confirmed | None) -> int:
    assert confirmed is not None
    return dict(confirmed.choice.counts)["gpu"]


def with_limit(tpot_p95_ms: float) -> Scenario:
    return scenario(
        devices=GIVEN.devices,
        workloads=(chat(rate_per_s=30.0, tpot_p95_ms=tpot_p95_ms),),
        modes=GIVEN.search.modes,
    )


def always(factor: float) -> Callable[[Plan], float]:
    return lambda plan: factor


def test_a_model_that_is_right_is_believed_after_one_replay() -> None:
    generous = with_limit(60.0)
    best, confirmation, story = confirm(generous, observer(generous))
    assert best is not None
    assert best.judged.kept
    assert len(confirmation.observed) == 1
    assert "kept; model off by at most 0.0%" in story[0]


def test_an_optimistic_model_is_corrected_and_the_search_goes_on() -> None:
    honest, _, _ = confirm(GIVEN, observer(GIVEN))
    best, confirmation, story = confirm(GIVEN, observer(GIVEN, always(1.12)))
    assert replicas(best) > replicas(honest)
    assert best is not None
    seen = best.observed.pooled.workload("chat").tpot_ms.p95
    assert seen is not None
    assert seen <= 30.0
    assert len(confirmation.observed) > 1
    assert any("broken; model off by at most 12.0%" in line for line in story)


def test_no_plan_is_handed_out_that_only_the_model_keeps() -> None:
    best, _, _ = confirm(GIVEN, observer(GIVEN, always(3.0)))
    assert best is None


def test_a_cheaper_plan_that_the_model_misjudges_narrowly_is_given_a_second_look() -> None:
    """Under the model the plan with one replica less misses its budget by 4 %; the model is 5 % too slow."""
    honest, confirmation, _ = confirm(GIVEN, observer(GIVEN))
    assert honest is not None
    fewer = replace(honest.choice, counts=(("gpu", replicas(honest) - 1),))
    limit = confirmation.judge(fewer).trial.reading["chat", "tpot_p95_ms"]
    assert limit is not None
    tight = with_limit(limit / 1.04)
    believed, _, _ = confirm(tight, observer(tight))
    assert replicas(believed) == replicas(honest)
    best, _, story = confirm(tight, observer(tight, always(0.95)))
    assert replicas(best) == replicas(honest) - 1
    assert any("misses a budget narrowly under the model" in line for line in story)


def test_a_replay_without_a_steady_state_is_a_broken_budget() -> None:
    inside = observer(GIVEN)
    smallest, _, _ = confirm(GIVEN, inside)
    unknown = Quantiles()

    def observe(plan: Plan) -> Observation:
        seen = inside(plan)
        if plan.deployments[0].count > replicas(smallest):
            return seen
        workloads = tuple(replace(w, tpot_ms=unknown, ttft_ms=unknown, e2e_ms=unknown) for w in seen.pooled.workloads)
        return Observation(replace(seen.pooled, workloads=workloads, steady=False))

    best, _, story = confirm(GIVEN, observe)
    assert replicas(best) > replicas(smallest)
    assert any("no steady state, broken" in line for line in story)


def test_a_plan_is_replayed_once() -> None:
    asked: list[Plan] = []
    inside = observer(GIVEN, always(1.1))

    def observe(plan: Plan) -> Observation:
        asked.append(plan)
        return inside(plan)

    _, confirmation, _ = confirm(GIVEN, observe)
    confirmation.best(space_of(GIVEN), "again")
    assert len(asked) == len({repr(plan) for plan in asked})


def test_a_plan_is_found_that_only_the_models_pessimism_hides() -> None:
    """Under the model every plan misses the budget by 4 % or more; replays are 5 % faster."""
    least = Confirmation(Evaluator(GIVEN, stub_model.predict), observer(GIVEN), str).evaluator.trial(
        Choice((space_of(GIVEN).by_workload[0][0],), (("gpu", 6),))
    )
    value = least.reading["chat", "tpot_p95_ms"]
    assert value is not None
    tight = with_limit(value / 1.04)
    nothing, _, _ = confirm(tight, observer(tight))
    assert nothing is None
    best, _, story = confirm(tight, observer(tight, always(0.95)))
    assert best is not None
    assert best.judged.kept
    assert any("no plan keeps every budget under the model" in line for line in story)


def test_budgets_of_many_are_tightened_after_each_replay_that_broke_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given = scenario()
    best = search(Judge(Evaluator(given, stub_model.predict), PLAIN), space_of(given)).best
    tightened = []

    def broken_each_time(judge: Judge, *_: object) -> Found:
        tightened.append(-judge.lens.slack)
        return Found(best, None, "")

    monkeypatch.setattr(confirming, "search", broken_each_time)
    monkeypatch.setattr(Confirmation, "_accepts", lambda *_: False)
    told: list[str] = []
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given), told.append)
    assert confirmation.best(WideSpace(1, ("target_only",)), "target only") is None
    assert tightened == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04])
    assert told == ["target only: gave up after 5 replays without a plan that keeps its budgets in the replay"]
    tightened.clear()
    assert confirmation.best(space_of(given), "any mode") is None
    assert tightened == [0.0] * confirming.MOST_REPLAYS
