"""The search against brute force over every plan, on random small scenarios."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.fleet import Device, Link, Site
from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.domain.workload import Workload
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.search.search import search
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan, keeps_budgets
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario

MOST_ABOVE_BEST = 1.005
"""The search may be worse than brute force by at most 0.5 %, of which the ties of four digits are a part."""

WAYS = {
    "as it comes": {},
    "best first": {"exhaustive_choices": 0},
    "one workload at a time": {"exhaustive_choices": 0, "most_combinations": 0},
}


@st.composite
def scenarios(draw: st.DrawFn, minimize: str, ahead: bool = False) -> Scenario:
    boxes = draw(st.integers(1, 3))
    devices: list[Device] = [
        edge_box(count=boxes, step_ms=draw(st.sampled_from([1.0, 3.0, 8.0]))),
        gpu(count=draw(st.integers(1, 3)), step_ms=draw(st.sampled_from([8.0, 20.0, 40.0]))),
    ]
    workloads: list[Workload] = [
        chat(rate_per_s=draw(st.sampled_from([1.0, 8.0, 20.0])), tpot_p95_ms=draw(st.sampled_from([12.0, 25.0, 60.0])))
    ]
    sites, links = [Site(name="clinic"), Site(name="region")], [Link(between=("clinic", "region"), rtt_ms=10.0)]
    if draw(st.booleans()):
        sites.append(Site(name="ward"))
        links.append(Link(between=("ward", "region"), rtt_ms=draw(st.sampled_from([2.0, 30.0, 120.0]))))
        devices.append(edge_box("ward", "ward-box", count=draw(st.integers(1, 2)), cost_per_hour=0.3))
        workloads.append(
            chat("ward", draw(st.sampled_from([2.0, 10.0])), "notes", ttft_p95_ms=draw(st.sampled_from([90.0, 400.0])))
        )
    budgets = FleetBudgets(
        cost_per_hour=draw(st.sampled_from([None, 4.2, 9.0])),
        energy_j_per_token=draw(st.sampled_from([None, 1.0, 3.0])),
        power_w=draw(st.sampled_from([None, None, {"gpu": 350.0}, {"edge-box": 15.0, "gpu": 480.0}])),
    )
    return scenario(
        rtt_ms=10.0,
        per_token=draw(st.sampled_from([0.4, 0.8])),
        devices=tuple(devices),
        workloads=tuple(workloads),
        sites=tuple(sites),
        links=tuple(links),
        budgets=budgets,
        windows=(1, 3),
        modes=("target_only", "distributed", "pipelined") if ahead else ("target_only", "fused", "distributed"),
        minimize=minimize,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("minimize", ["cost", "devices", "energy", "tpot"])
@settings(max_examples=15)
@given(data=st.data())
def test_search_is_as_good_as_brute_force(minimize: str, way: str, data: st.DataObject) -> None:
    given_scenario = data.draw(scenarios(minimize))
    best = best_plan(given_scenario, stub_model.predict)
    judge = Judge(Evaluator(given_scenario, stub_model.predict))
    found = search(judge, space_of(given_scenario), **WAYS[way])
    assert (found.best is None) == (best is None)
    if best is None or found.best is None:
        return
    assert found.best.trial.performance is not None
    assert keeps_budgets(given_scenario, found.best.trial.performance)
    assert best.objective <= found.best.objective * (1 + 1e-9)
    assert found.best.objective <= best.objective * MOST_ABOVE_BEST
    if found.bound is not None:
        assert found.bound <= best.objective * MOST_ABOVE_BEST


@pytest.mark.parametrize("minimize", ["cost", "energy", "tpot"])
@settings(max_examples=8)
@given(data=st.data())
def test_drafts_that_go_on_ahead_are_searched_where_modes_are_named(minimize: str, data: st.DataObject) -> None:
    given_scenario = data.draw(scenarios(minimize, ahead=True))
    best = best_plan(given_scenario, stub_model.predict)
    found = search(Judge(Evaluator(given_scenario, stub_model.predict)), space_of(given_scenario))
    assert (found.best is None) == (best is None)
    if best is not None and found.best is not None:
        assert best.objective * (1 - 1e-9) <= found.best.objective <= best.objective * MOST_ABOVE_BEST


def test_a_search_that_runs_out_of_predictions_keeps_an_honest_bound() -> None:
    """Cut short at once: whatever was found, the bound stays below the optimum."""
    given_scenario = scenario(
        devices=(edge_box(count=20), gpu(count=4)), workloads=(chat(rate_per_s=40.0, tpot_p95_ms=30.0),)
    )
    whole = search(Judge(Evaluator(given_scenario, stub_model.predict)), space_of(given_scenario))
    cut = search(
        Judge(Evaluator(given_scenario, stub_model.predict)),
        space_of(given_scenario),
        exhaustive_choices=0,
        most_calls=0,
    )
    assert whole.best is not None
    assert cut.bound is not None
    assert cut.bound <= whole.best.objective
    assert whole.gap == 0.0


def test_the_same_scenario_gives_the_same_plan() -> None:
    one, other = (search(Judge(Evaluator(scenario(), stub_model.predict)), space_of(scenario())).best for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.key == other.key
    assert one.trial.plan == other.trial.plan
