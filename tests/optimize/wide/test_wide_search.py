"""Plans for many workloads: kept by the printed model, near the bound, as good as the search that lists all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.workload import Budgets
from dsd_plan.errors import InfeasibleError
from dsd_plan.model import predict
from dsd_plan.optimize.alternatives.options import NAMES, Outcome, option_of
from dsd_plan.optimize.choices import candidates
from dsd_plan.optimize.choices.candidates import Space, WideSpace, space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation.confirm import MARGIN_OF_MANY, Confirmation
from dsd_plan.optimize.confirmation.hours import Days
from dsd_plan.optimize.confirmation.observation import Observation
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.verdict.infeasible import why_infeasible
from tests.optimize.brute_force import keeps_budgets
from tests.optimize.wide.fleets import fleet


@pytest.mark.parametrize("minimize", ["cost", "devices", "tpot", "energy"])
def test_a_plan_for_forty_stores_keeps_every_budget(minimize: str) -> None:
    given = fleet(40, 5, seed=1, rate_per_s=1.5, minimize=minimize)
    space = space_of(given)
    assert isinstance(space, WideSpace)
    found = search(Judge(Evaluator(given, predict)), space)
    assert found.best is not None
    assert found.best.trial.performance is not None
    assert keeps_budgets(given, found.best.trial.performance)
    assert found.bound is not None
    if minimize in ("cost", "devices"):
        assert found.gap is not None
        assert found.gap < 0.25  # forty stores fill few replicas, and whole ones are bought


def test_each_mode_is_a_space_of_its_own() -> None:
    given = fleet(14, 2, seed=2)
    judge = Judge(Evaluator(given, predict))
    space = space_of(given)
    plain = search(judge, space.purely("target_only"))
    beside = search(judge, space.purely("fused"))
    assert plain.best is not None
    assert beside.best is not None
    assert set(plain.best.choice.modes) == {"target_only"}
    assert set(beside.best.choice.modes) == {"fused"}
    any_mode = search(judge, space, [plain.best.choice, beside.best.choice])
    assert any_mode.best is not None
    assert any_mode.best.objective <= min(plain.best.objective, beside.best.objective)


@pytest.mark.parametrize("seed", [5, 6, 8, 9])
def test_it_is_about_as_good_as_the_search_that_lists_candidates(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fleet(12, 2, seed=seed, rate_per_s=2.0, windows=(2, 4), modes=("target_only", "fused"))
    wide = search(Judge(Evaluator(given, predict)), space_of(given))
    monkeypatch.setattr(candidates, "MANY_WORKLOADS", 100)
    listed = space_of(given)
    assert isinstance(listed, Space)
    one_by_one = search(Judge(Evaluator(given, predict)), listed)
    assert wide.best is not None
    assert one_by_one.best is not None
    assert wide.best.objective <= one_by_one.best.objective * 1.1


def test_who_cannot_be_served_is_named() -> None:
    given = fleet(12, 2, seed=7)
    hopeless = replace(given.workloads[3], budgets=Budgets(tpot_p95_ms=0.5))
    given = replace(given, workloads=(*given.workloads[:3], hopeless, *given.workloads[4:]))
    evaluator = Evaluator(given, predict)
    space = space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, Judge(evaluator).lens)
    assert isinstance(error, InfeasibleError)
    assert hopeless.name in str(error)


def test_a_mode_without_a_plan_does_not_blame_profiles_that_are_there() -> None:
    given = fleet(12, 2, seed=2)
    outcome = Outcome(NAMES["distributed"], space_of(given).purely("distributed"), None)
    plain = search(Judge(Evaluator(given, predict)), space_of(given).purely("target_only")).best
    assert plain is not None
    assert plain.trial.performance is not None
    confirmation = Confirmation(Evaluator(given, predict), lambda plan: Observation(plain.trial.performance), print)
    chosen = confirmation.confirmed(plain.choice)
    days = Days(confirmation)
    assert "keeps every budget" in option_of(confirmation, outcome, chosen, days).reason


def test_a_replay_that_breaks_budgets_is_learnt_from_and_asking_again_costs_nothing() -> None:
    given = fleet(64, 6, seed=1, rate_per_s=1.5, windows=(2, 4), modes=("target_only", "fused"))
    observed: list[Plan] = []
    slow: dict[str, float] = {}

    def observe(plan: Plan) -> Observation:
        seen = predict(deploy(given, plan))
        if not observed:
            room = {w.name: (w.budgets.tpot_p95_ms or 0.0) / tpot_p95(seen, w.name) for w in given.workloads}
            slow.update({name: 1.02 * room[name] for name in sorted(room, key=lambda name: room[name])[:3]})
        observed.append(plan)
        slower = tuple(
            replace(w, tpot_ms=replace(w.tpot_ms, p95=slow[w.name] * tpot_p95(seen, w.name))) if w.name in slow else w
            for w in seen.workloads
        )
        return Observation(replace(seen, workloads=slower))

    told: list[str] = []
    confirmation, space = Confirmation(Evaluator(given, predict), observe, told.append), space_of(given)
    confirmed = confirmation.best(space, "any mode")
    assert confirmed is not None
    assert confirmed.judged.kept
    assert "broken" in told[0]
    assert "kept" in told[-1]
    assert len(observed) == len(told) > 1
    asked = confirmation.evaluator.calls
    tightened = replace(confirmation.lens, slack=-MARGIN_OF_MANY * (len(observed) - 1))
    again = search(Judge(confirmation.evaluator, tightened), space).best
    assert again is not None
    assert again.choice == confirmed.choice
    assert confirmation.evaluator.calls == asked


def tpot_p95(performance: Performance, workload: str) -> float:
    found = performance.workload(workload).tpot_ms.p95
    assert found is not None
    return found
