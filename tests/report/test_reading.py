"""What the page leads with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.performance import Interval
from dsd_plan.domain.study import Agreement, BudgetCheck, LoadCurve, LoadPoint, Option, VerdictKind
from dsd_plan.report.reading import (
    best_known,
    busy_devices,
    chosen_curve,
    declared_parts,
    holds_between,
    key_metric,
    knee_of,
    option_limit,
    origin_of,
    rests_on_declaration,
    tightest,
    worst_first,
)
from tests.report.studies import full_study, measured_study, plan_of, tiny_study


def curve(*points: tuple[float, float, float | None]) -> LoadCurve:
    """(load, saturation, TPOT p95)."""
    return LoadCurve(
        workload="chat",
        mode="fused",
        window=4,
        points=tuple(
            LoadPoint(load=load, saturation=s, ttft_p95_ms=None, tpot_mean_ms=None, tpot_p95_ms=ms)
            for load, s, ms in points
        ),
    )


def agreement(metric: str, error: float, verdict: VerdictKind) -> Agreement:
    return Agreement(
        workload="chat",
        metric=metric,
        predicted=1 + error,
        observed=Interval(point=1.0, low=0.99, high=1.01),
        relative_error=error,
        tolerance=0.05,
        verdict=verdict,
    )


def check(budget: str, limit: float, value: float, kept: bool) -> BudgetCheck:
    return BudgetCheck(scope="chat", budget=budget, limit=limit, predicted=value, replayed=None, kept=kept)


def test_a_limit_holds_up_to_the_last_point_before_it_breaks() -> None:
    points = curve((0.5, 0.2, 30.0), (1.0, 0.4, 40.0), (1.5, 0.6, 50.0), (2.0, 0.8, 44.0))
    assert holds_between(points, "tpot_p95_ms", 45.0) == (1.0, 1.5)
    assert holds_between(points, "tpot_p95_ms", 60.0) == (2.0, None)
    assert holds_between(points, "tpot_p95_ms", 20.0) == (None, 0.5)


def test_an_option_is_judged_by_its_own_budgets_where_it_has_some() -> None:
    study = replace(tiny_study(), budgets=(check("tpot_p95_ms", 34.0, 35.5, False),))
    usual = Option(name="draft at the edge", chosen=False, plan=None, predicted=None)
    lost = replace(usual, budgets=(check("tpot_p95_ms", 80.0, 35.5, True),))
    assert option_limit(study, usual, "chat", "tpot_p95_ms") == 34.0
    assert option_limit(study, lost, "chat", "tpot_p95_ms") == 80.0
    assert option_limit(study, replace(usual, budgets=()), "chat", "tpot_p95_ms") is None


def test_answers_of_one_token_break_no_limit_between_tokens_until_they_saturate() -> None:
    ended = LoadPoint(load=1.0, saturation=0.4, ttft_p95_ms=100.0, tpot_mean_ms=None, tpot_p95_ms=None)
    beyond = replace(ended, load=2.0, saturation=1.1, ttft_p95_ms=None)
    points = replace(curve((1.0, 0.4, 30.0)), points=(ended, beyond))
    assert holds_between(points, "tpot_p95_ms", 45.0) == (1.0, 2.0)
    assert holds_between(replace(points, points=(ended,)), "tpot_p95_ms", 45.0) == (1.0, None)


def test_a_limit_breaks_where_there_is_no_steady_state() -> None:
    assert holds_between(curve((1.0, 0.5, 30.0), (2.0, 1.1, None)), "tpot_p95_ms", 45.0) == (1.0, 2.0)


def test_the_knee_lies_where_saturation_is_one() -> None:
    assert knee_of(curve((1.0, 0.5, 30.0), (3.0, 1.5, None))) == pytest.approx(2.0)
    assert knee_of(curve((1.0, 0.5, 30.0), (1.5, 0.9, 30.0))) is None


def test_disagreement_comes_first_then_what_is_nearest_to_its_tolerance() -> None:
    rows = (
        agreement("a", 0.01, "agrees"),
        agreement("b", -0.04, "agrees"),
        agreement("c", 0.02, "undecided"),
        agreement("d", 0.015, "disagrees"),
    )
    assert [row.metric for row in worst_first(rows)] == ["d", "b", "c", "a"]


def test_the_tightest_budget_is_the_broken_one_else_the_one_with_least_to_spare() -> None:
    kept = (check("ttft_p95_ms", 800.0, 400.0, True), check("tpot_p95_ms", 45.0, 44.0, True))
    floor = check("goodput_share", 0.95, 0.951, True)
    broken = check("e2e_p95_ms", 100.0, 101.0, False)
    assert tightest(kept) == kept[1]
    assert tightest((*kept, floor)) == floor
    assert tightest((*kept, floor, broken)) == broken
    assert tightest(()) is None


def test_the_key_metric_is_the_first_budget_that_a_curve_can_show() -> None:
    key = key_metric(full_study())
    assert key is not None
    assert (key.metric, key.limit) == ("tpot_p95_ms", 45.0)
    without = key_metric(tiny_study())
    assert without is not None
    assert (without.metric, without.limit) == ("tpot_p95_ms", None)


def test_the_chosen_curve_has_the_plans_mode_and_window() -> None:
    study = full_study()
    other = replace(study.curves[2], window=7)
    found = chosen_curve(replace(study, curves=(other, *study.curves)), "chat")
    assert found is study.curves[2]


def test_the_model_speaks_where_the_replay_found_no_steady_state() -> None:
    study = full_study()
    assert best_known(study) is study.replayed
    assert best_known(replace(study, replayed=replace(study.replayed, steady=False))) is study.predicted


def test_a_number_is_known_no_better_than_what_went_into_it() -> None:
    study = full_study()
    workload = study.replayed.workloads[0]
    assert origin_of(study, study.plan, workload, "tpot_p95_ms") == "declared"
    said = replace(workload, origin={"tpot_ms": "interpolated", "ttft_ms": "extrapolated"})
    assert origin_of(study, study.plan, said, "tpot_p95_ms") == "interpolated"
    assert origin_of(study, study.plan, said, "ttft_ms.mean") == "extrapolated"
    assert origin_of(study, study.plan, said, "e2e_p95_ms") == "extrapolated"


def test_a_declaration_shows_even_where_the_numbers_say_nothing() -> None:
    study = full_study()
    silent = replace(study.replayed.workloads[0], origin=None)
    assert origin_of(study, study.plan, silent, "tpot_p95_ms") == "declared"
    measured = measured_study()
    assert not rests_on_declaration(measured, measured.plan)
    assert origin_of(measured, measured.plan, silent, "tpot_p95_ms") is None


def test_a_declared_acceptance_counts_for_plans_that_speculate() -> None:
    study = measured_study()
    law = replace(study.acceptance[0], source="declared law")
    study = replace(study, acceptance=(law,))
    assert rests_on_declaration(study, plan_of("fused", 4))
    assert not rests_on_declaration(study, plan_of("target_only", None))
    assert "acceptance" in declared_parts(study)[0]


def test_a_busy_machine_is_found_out() -> None:
    study = full_study()
    busy = replace(study.profiles[0], method={"contention": True})
    assert busy_devices(study) == []
    assert busy_devices(replace(study, profiles=(busy,))) == ["edge-box"]
