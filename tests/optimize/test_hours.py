"""Sized at the peak, paid by the hour: whole devices over the hours of the day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.hours import at_peak, peak_of, peaks_apart, scaled, with_factors
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.candidates import plan_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.hours import Days
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
NIGHT_AND_DAY = (0.5,) * 12 + (2.0,) * 12
PLAIN = Candidate("chat", "target_only", "large", "gpu")


def given(commitment: str | None = "on_demand", **more: object) -> Scenario:
    asked = replace(chat(rate_per_s=10.0, tpot_p95_ms=34.0), hourly_load=NIGHT_AND_DAY)
    devices = (edge_box(count=12, step_ms=1.0), gpu(count=6, step_ms=25.0, commitment=commitment))
    return scenario(devices=devices, workloads=(asked,), **more)


def days(given: Scenario) -> Days:
    peak = at_peak(given)
    return Days(Confirmation(Evaluator(peak, stub_model.predict), observer(peak), lambda line: None))


def fewest(given: Scenario, factor: float, limit_ms: float) -> int:
    """GPUs that plain decoding needs at a multiple of the load as written."""
    at = with_factors(given, (factor,))
    for count in range(1, 7):
        plan = plan_of(at, Choice((PLAIN,), (("gpu", count),)))
        try:
            value = stub_model.predict(deploy(at, plan)).workload("chat").tpot_ms.p95
        except UnstableError:
            continue
        if value is not None and value <= limit_ms:
            return count
    raise AssertionError


def test_loads_of_every_kind_are_scaled() -> None:
    assert scaled(chat(rate_per_s=6.0), 2.0).requests.rate_per_s == 12.0  # type: ignore[union-attr]
    users = replace(chat(), requests=ClosedRequests(users=10, think_s=1.0, prompt_tokens=9, output_tokens=9))
    assert [scaled(users, factor).requests.users for factor in (0.25, 0.2, 0.0)] == [3, 2, 1]  # type: ignore[union-attr]
    arrivals = RequestTrace(np.arange(5.0), np.full(5, 9), np.full(5, 9))  # four gaps in four seconds
    recorded = replace(chat(), requests=arrivals)
    assert scaled(recorded, 3.0).rate_per_s == pytest.approx(3.0)
    assert scaled(replace(recorded, rate_per_s=7.0), 3.0).rate_per_s == pytest.approx(21.0)


def test_the_peak_is_each_workloads_own() -> None:
    peak = at_peak(given())
    assert peak_of(given()) == 2.0
    assert isinstance(peak.workloads[0].requests, PoissonRequests)
    assert peak.workloads[0].requests.rate_per_s == 20.0
    assert peak.workloads[0].hourly_load == (0.25,) * 12 + (1.0,) * 12
    assert at_peak(peak) == peak
    assert at_peak(scenario()) == scenario()
    morning, evening = (1.0,) * 12 + (3.0,) * 12, (3.0,) * 12 + (1.0,) * 12
    two = tuple(replace(chat(name=name), hourly_load=load) for name, load in (("a", morning), ("b", evening)))
    assert peaks_apart(scenario(workloads=two))
    assert not peaks_apart(scenario(workloads=(two[0], replace(two[1], hourly_load=morning), chat())))


def test_on_demand_devices_are_the_fewest_of_each_hour() -> None:
    """Half of 10 a second at night, twice by day: 12 hours on the fewest GPUs for each."""
    scene = given()
    least, most = fewest(scene, 0.5, 34.0), fewest(scene, 2.0, 34.0)
    assert least < most
    found = days(scene)
    choice = Choice((PLAIN,), (("gpu", most),))
    rows = found.of(choice)
    assert [row.hour for row in rows] == list(range(24))
    assert [row.devices["gpu"] for row in rows] == [least] * 12 + [most] * 12
    assert [row.load for row in rows] == [pytest.approx(0.25)] * 12 + [pytest.approx(1.0)] * 12
    assert [row.cost for row in rows] == [4.0 * least] * 12 + [4.0 * most] * 12
    assert all(row.kept and row.budget == "tpot_p95_ms" and row.workload == "chat" for row in rows)
    assert found.cost_per_month(choice) == pytest.approx(730.0 * 4.0 * (least + most) / 2)
    worst = max(row.tpot_p95_ms or 0.0 for row in rows)
    assert found.worst_p95_ms(choice)[1] == worst
    assert rows[0].budget_share == pytest.approx((rows[0].tpot_p95_ms or 0.0) / 34.0)


@pytest.mark.parametrize("commitment", [None, "owned", "reserved"])
def test_all_others_are_paid_around_the_clock(commitment: str | None) -> None:
    found = days(given(commitment))
    choice = Choice((PLAIN,), (("gpu", 5),))
    assert {row.devices["gpu"] for row in found.of(choice)} == {5}
    assert found.cost_per_month(choice) == pytest.approx(730.0 * 20.0)


def test_loads_are_rounded_up_to_a_twentieth_of_the_peak() -> None:
    asked = replace(chat(tpot_p95_ms=60.0), hourly_load=(0.501, 0.53, *(1.0,) * 22))
    scene = scenario(devices=(gpu(count=6, commitment="on_demand"),), workloads=(asked,))
    found = days(scene)
    seen = []

    def predict(deployed: object) -> object:
        seen.append(deployed.streams[0].requests.rate_per_s)  # type: ignore[attr-defined]
        return stub_model.predict(deployed)  # type: ignore[arg-type]

    found._confirmation.evaluator.predict = predict  # type: ignore[assignment]
    found.of(Choice((PLAIN,), (("gpu", 1),)))
    assert sorted(set(seen)) == pytest.approx([6.0 * 0.55, 6.0])


def study(given: Scenario) -> Study:
    peak = at_peak(given)
    return optimize(peak, stub_model.predict, observer(peak), agreements, PROVENANCE, peak=peak_of(given))


def test_the_cheapest_is_chosen_over_the_day() -> None:
    """At the peak edge boxes save GPUs and cost less; by the day, on-demand GPUs that sleep at night do."""
    boxes = edge_box(count=12, step_ms=1.0, cost_per_hour=2.0)
    asked = replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), hourly_load=(0.1,) * 20 + (1.0,) * 4)
    scene = scenario(
        rtt_ms=6.0,
        devices=(boxes, gpu(count=6, step_ms=25.0, commitment="on_demand")),
        workloads=(asked,),
        windows=(1, 2, 3, 4, 6),
        modes=("target_only", "distributed"),
    )
    constant = study(replace(scene, workloads=(replace(asked, hourly_load=None),)))
    daily = study(scene)
    assert constant.plan.assignments[0].mode == "distributed"
    assert daily.plan.assignments[0].mode == "target_only"
    assert constant.hours == ()
    chosen = next(option for option in daily.options if option.chosen)
    assert daily.hours == chosen.hours
    assert len(daily.hours) == 24
    assert chosen.cost_per_month == pytest.approx(730.0 * sum(row.cost for row in daily.hours) / 24)
    edge = next(option for option in daily.options if option.name == "draft at the edge")
    assert edge.cost_per_hour is not None
    assert chosen.cost_per_hour is not None
    assert edge.cost_per_hour < chosen.cost_per_hour  # at the peak
    assert edge.cost_per_month is not None
    assert edge.cost_per_month > (chosen.cost_per_month or 0.0)
    assert chosen.cost_per_month is not None
    a_month = edge.cost_per_month - chosen.cost_per_month
    assert f"an hour more over the day, {a_month:,.0f} a month" in edge.reason
    assert "A month costs" in daily.verdict.sentence
    assert edge.drafts_lost is not None
    assert edge.drafts_lost.peak == 1.0


def test_within_a_mode_too_the_cheapest_over_the_day_is_chosen() -> None:
    """At the peak owned GPUs cost less than rented ones; rented ones sleep at night. Brute force over all counts."""
    asked = replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), hourly_load=(0.1,) * 20 + (1.0,) * 4)
    scene = scenario(
        devices=(
            gpu(count=6, step_ms=25.0, name="owned", cost_per_hour=3.0, commitment="owned"),
            gpu(count=6, step_ms=25.0, name="rented", cost_per_hour=4.0, commitment="on_demand"),
        ),
        workloads=(asked,),
        modes=("target_only",),
    )
    at_peak_alone = study(replace(scene, workloads=(replace(asked, hourly_load=None),)))
    assert {d.device for d in at_peak_alone.plan.deployments} == {"owned"}
    found = study(scene)
    clock = days(scene)
    evaluator = Evaluator(at_peak(scene), stub_model.predict)
    least = min(
        clock.cost_per_hour(choice)
        for name in ("owned", "rented")
        for count in range(1, 7)
        for choice in [Choice((Candidate("chat", "target_only", "large", name),), ((name, count),))]
        if (evaluator.trial(choice).reading.get(("chat", "tpot_p95_ms")) or 1e9) <= 34.0
    )
    chosen = next(option for option in found.options if option.chosen)
    assert chosen.cost_per_month == pytest.approx(730.0 * least)
    assert {d.device for d in found.plan.deployments} == {"rented"}
    assert any(line.startswith("over the day ") for line in found.story)
    assert "the bound is of the cost at the peak" in found.bound_scope


def test_the_days_gain_is_of_the_days_plans() -> None:
    """Drafts on owned GPUs against plain decoding on rented ones: both at what they cost over the day."""
    asked = replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), hourly_load=(0.1,) * 20 + (1.0,) * 4)
    scene = scenario(
        devices=(
            gpu(count=6, step_ms=25.0, name="owned", cost_per_hour=3.0, commitment="owned"),
            gpu(count=6, step_ms=25.0, name="rented", cost_per_hour=4.0, commitment="on_demand"),
        ),
        workloads=(asked,),
        windows=(2, 4),
        modes=("target_only", "fused"),
    )
    found = study(scene)
    months = {option.name: option.cost_per_month for option in found.options}
    plain, fused = months["do nothing: plain decoding on the target"], months["draft beside the target"]
    assert plain is not None
    assert fused is not None
    best = min(months[option.name] or 1e9 for option in found.options if option.plan is not None)
    chosen = next(option for option in found.options if option.chosen)
    assert chosen.cost_per_month == pytest.approx(best)
    assert (found.verdict.answer == "yes") == (fused < plain)


def test_without_hours_a_month_is_730_of_them() -> None:
    found = study(scenario())
    for option in found.options:
        if option.plan is not None and option.cost_per_month is not None:
            assert option.cost_per_month == pytest.approx(730.0 * (option.cost_per_hour or 0.0))
            assert option.worst_hour_tpot_p95_ms is not None


def test_what_is_wrong_with_them_is_told() -> None:
    for load, text in (((1.0,) * 23, "found 23 factors"), ((0.0,) * 24, "found 0 in every hour")):
        (problem,) = scenario_problems(scenario(workloads=(replace(chat(), hourly_load=load),)))
        assert problem.place == "workloads[0].hourly_load"
        assert text in problem.text


def test_traffic_is_split_where_that_is_cheaper_over_the_day() -> None:
    """Two owned GPUs and two rented ones, of which one sleeps at night, cost less than four rented ones."""
    asked = replace(chat(rate_per_s=40.0, tpot_p95_ms=40.0), hourly_load=(0.5,) * 20 + (1.0,) * 4)
    scene = scenario(
        devices=(
            gpu(count=2, step_ms=25.0, name="owned", cost_per_hour=2.0, commitment="owned"),
            gpu(count=8, step_ms=25.0, name="rented", cost_per_hour=4.0, commitment="on_demand"),
        ),
        workloads=(asked,),
        modes=("target_only",),
    )
    found = study(scene)
    chosen = next(option for option in found.options if option.chosen)
    # 2 × 2 around the clock; of the rented ones one for 20 hours and two for 4.
    assert chosen.cost_per_month == pytest.approx(730.0 * (4.0 + 4.0 * (20 * 1 + 4 * 2) / 24))
    assert {d.device: d.count for d in found.plan.deployments} == {"owned": 2, "rented": 2}
    assert sum(a.share for a in found.plan.assignments) == pytest.approx(1.0)
