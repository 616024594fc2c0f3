"""What a user is told when no plan keeps every budget."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.domain.study import Provenance
from dsd_plan.errors import InfeasibleError, ScenarioError
from dsd_plan.model import predict
from dsd_plan.optimize.choices.budgets import Limit
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation.closer import Replays
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.observation import Observation
from dsd_plan.optimize.run import optimize
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.verdict.infeasible import _Relief, enough, why_infeasible
from dsd_plan.optimize.verdict.physical import rounded_down
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan
from tests.optimize.small_scenarios import chat, gpu, scenario
from tests.optimize.stub_replay import observer, scaled

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})


def why(given: Scenario) -> InfeasibleError:
    evaluator, space = Evaluator(given, stub_model.predict), space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, PLAIN)
    assert isinstance(error, InfeasibleError)
    return error


def with_tpot_p95(given: Scenario, limit: float) -> Scenario:
    workload = replace(given.workloads[0], budgets=replace(given.workloads[0].budgets, tpot_p95_ms=limit))
    return replace(given, workloads=(workload,))


def test_the_nearest_miss_is_the_least_that_would_do() -> None:
    given = scenario(workloads=(chat(rate_per_s=20.0, tpot_p95_ms=5.0),))
    error = why(given)
    assert error.budget == "chat: tpot_p95_ms"
    assert error.limit == 5.0
    assert error.nearest > 5.0
    assert best_plan(with_tpot_p95(given, error.nearest * 1.001), stub_model.predict) is not None
    assert best_plan(with_tpot_p95(given, error.nearest * 0.98), stub_model.predict) is None
    assert f"raise chat: tpot_p95_ms from 5 to {enough(error.nearest, at_least=False)} " in str(error)


@pytest.mark.parametrize(("value", "at_least", "text"), [
    (147.4498, False, "147.5"), (147.4, False, "147.4"), (0.95, True, "0.95"), (0.95004, True, "0.95"),
    (0.949996, True, "0.9499"), (12345.1, False, "12,350"), (0.0, False, "0"), (4.563e-17, True, "4.563e-17"),
])  # fmt: skip
def test_a_budget_set_to_what_is_advised_is_kept(value: float, at_least: bool, text: str) -> None:
    assert enough(value, at_least) == text


def test_what_would_do_is_what_the_replay_says() -> None:
    """Replays are 10 % slower than the model: a budget raised to what the model says would still be broken."""
    given = scenario(workloads=(chat(rate_per_s=20.0, tpot_p95_ms=5.0),))
    evaluator = Evaluator(given, stub_model.predict)
    confirmation = Confirmation(evaluator, observer(given, lambda plan: 1.1), lambda line: None)
    error = why_infeasible(evaluator, space_of(given), PLAIN, confirmation.corrected_by)
    assert isinstance(error, InfeasibleError)
    assert error.nearest == pytest.approx(1.1 * why(given).nearest)


def test_the_nearest_plan_is_told_as_replayed_not_as_the_model_hoped() -> None:
    """Drafting beside the target is the nearest under the model, and three times as slow in the replay."""
    given = scenario(
        devices=(gpu(count=3, step_ms=20.0),),
        workloads=(chat(rate_per_s=8.0, tpot_p95_ms=5.0),),
        modes=("target_only", "fused"),
    )

    def factor(plan: Plan) -> float:
        return 3.0 if plan.assignments[0].mode == "fused" else 1.0

    nearest = {
        mode: why(replace(given, search=replace(given.search, modes=(mode,)))).nearest
        for mode in ("target_only", "fused")
    }
    assert nearest["fused"] < nearest["target_only"] < 3.0 * nearest["fused"]
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given, factor), lambda line: None)
    error = why_infeasible(confirmation.evaluator, space_of(given), PLAIN, confirmation.corrected_by)
    assert isinstance(error, InfeasibleError)
    assert error.nearest == pytest.approx(nearest["target_only"], rel=0.02)


def test_a_price_that_is_too_low_is_named_with_the_price_that_would_do() -> None:
    given = scenario(
        workloads=(chat(rate_per_s=20.0),), budgets=FleetBudgets(cost_per_hour=3.0), modes=("target_only",)
    )
    error = why(given)
    assert error.budget == "fleet: cost_per_hour"
    dearer = best_plan(replace(given, budgets=FleetBudgets()), stub_model.predict)
    assert dearer is not None
    assert error.nearest == pytest.approx(dearer.objective)


@pytest.mark.parametrize("minimize", ["tpot", "devices", "energy"])
def test_the_least_price_that_would_do_is_told_whatever_is_minimized(minimize: str) -> None:
    given = scenario(
        workloads=(chat(rate_per_s=8.0),),
        budgets=FleetBudgets(cost_per_hour=3.0),
        modes=("target_only", "fused"),
        minimize=minimize,
    )
    cheapest = replace(given, budgets=FleetBudgets(), search=replace(given.search, minimize="cost"))
    best = best_plan(cheapest, stub_model.predict)
    assert best is not None
    assert why(given).nearest == pytest.approx(best.objective)


def test_two_budgets_that_only_give_way_together_are_both_named() -> None:
    given = scenario(
        workloads=(chat(rate_per_s=30.0, tpot_p95_ms=5.0),),
        budgets=FleetBudgets(cost_per_hour=3.0),
        modes=("target_only",),
    )
    text = str(why(given))
    assert "cost_per_hour from 3 to" in text
    assert "tpot_p95_ms from 5 to" in text


def test_more_devices_are_advised_where_they_would_do() -> None:
    given = scenario(
        devices=(gpu(count=1),), workloads=(chat(rate_per_s=30.0, tpot_p95_ms=40.0),), modes=("target_only",)
    )
    text = str(why(given))
    larger = replace(given, devices=(replace(given.devices[0], count=8),))
    best = best_plan(larger, stub_model.predict)
    assert best is not None
    assert f"have {best.plan.deployments[0].count} × gpu instead of 1" in text


def test_a_load_that_nothing_can_bear_names_the_saturated_device() -> None:
    error = why(scenario(devices=(gpu(count=1),), workloads=(chat(rate_per_s=5000.0),)))
    assert error.budget == "gpu: saturation"
    assert error.limit == 1.0
    assert error.nearest > 1.0
    load = re.search(r"lower the load to ([\d.]+) of today's", str(error))
    assert load is not None
    assert 0.5 / error.nearest < float(load[1]) < 1.0 / error.nearest


@pytest.mark.parametrize("minimize", ["cost", "energy"])
def test_energy_that_nobody_knows_is_a_fault_of_the_input(minimize: str) -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.1)
    unmeasured = replace(gpu(), profiles={"large": declared_profile("gpu", "large", law)})
    budgets = FleetBudgets(energy_j_per_token=1.0) if minimize == "cost" else None
    given = scenario(devices=(unmeasured,), budgets=budgets, minimize=minimize)
    evaluator, space = Evaluator(given, stub_model.predict), space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, PLAIN)
    assert isinstance(error, ScenarioError)
    assert "give active_w" in str(error)


def test_a_workload_that_nothing_can_serve_is_named() -> None:
    given = scenario(devices=(replace(gpu(), memory_gib=10.0),))
    error = why_infeasible(Evaluator(given, stub_model.predict), space_of(given), PLAIN)
    assert "a way to serve chat" in str(error)
    assert "need 70.0 GiB" in str(error)


def test_a_first_token_that_no_device_can_give_names_what_forces_it() -> None:
    """20 ms of round trip, and a prefill of 20 + 200 · .03 = 26 ms: below about 46 ms there is no first token."""
    text = str(why(scenario(workloads=(chat(rate_per_s=2.0, ttft_p95_ms=30.0),), modes=("target_only",))))
    least = re.search(r"no device that is there brings it below ([\d.]+), not even with a single request", text)
    assert least is not None
    assert float(least[1]) >= 45.9
    assert re.search(r"20 ms of the mean is the network, [\d.]+ ms the prompt", text)
    assert "raise chat: ttft_p95_ms from 30 to" in text


def test_a_token_that_no_step_can_give_names_the_step() -> None:
    text = str(why(scenario(workloads=(chat(rate_per_s=2.0, tpot_p95_ms=5.0),), modes=("target_only",))))
    assert "a token is a step of the target" in text
    drafting = str(why(scenario(workloads=(chat(rate_per_s=2.0, tpot_p95_ms=5.0),), modes=("distributed",))))
    assert re.search(r"a round of [\d.]+ tokens drafts [\d.]+ ms, travels 20 ms and is verified in [\d.]+ ms", drafting)


def test_a_load_that_could_be_borne_is_named_where_the_devices_could_do_it_alone() -> None:
    given = scenario(
        devices=(gpu(count=1),), workloads=(chat(rate_per_s=15.0, tpot_p95_ms=30.0),), modes=("target_only",)
    )
    text = str(why(given))
    assert "no device there is" not in text
    share = re.search(r"lower the load to ([\d.]+) of today's", text)
    assert share is not None
    lighter = replace(given, workloads=(chat(rate_per_s=15.0 * float(share[1]), tpot_p95_ms=30.0),))
    assert best_plan(lighter, stub_model.predict) is not None


@pytest.mark.parametrize(("load", "told"), [(0.5769, 0.57), (0.0999, 0.099), (1.0, 1.0), (0.3, 0.3)])
def test_a_load_is_told_in_digits_that_are_no_more_than_it(load: float, told: float) -> None:
    assert rounded_down(load) == told


@pytest.mark.parametrize("rate_per_s", [20.0, 300.0])
def test_a_load_that_is_told_is_one_whose_replay_keeps_the_budget(rate_per_s: float) -> None:
    """Replays at any load are 20 % slower than the model, also where devices saturate today."""
    given = scenario(
        devices=(gpu(count=1),), workloads=(chat(rate_per_s=rate_per_s, tpot_p95_ms=36.0),), modes=("target_only",)
    )

    def replayed(deployed: Deployed, requests: int | None) -> Observation:
        return Observation(scaled(stub_model.predict(deployed), 1.2))

    evaluator = Evaluator(given, stub_model.predict)
    confirmation = Confirmation(evaluator, Replays(given, replayed, None, 1), lambda line: None)
    assert search(Judge(evaluator), space_of(given)).best is None
    text = str(why_infeasible(evaluator, space_of(given), PLAIN, confirmation.corrected_by, confirmation.bears))
    share = re.search(r"lower the load to ([\d.]+) of today's \(replayed\)", text)
    assert share is not None
    lighter = replace(given, workloads=(chat(rate_per_s=rate_per_s * float(share[1]), tpot_p95_ms=36.0 / 1.2),))
    assert best_plan(lighter, stub_model.predict) is not None


def test_where_no_load_would_do_the_budget_is_named_too() -> None:
    text = str(why(scenario(devices=(gpu(count=1),), workloads=(chat(rate_per_s=300.0, tpot_p95_ms=20.0),))))
    assert "gpu is offered " in text
    given = scenario(
        devices=(gpu(count=1),), workloads=(chat(rate_per_s=30.0, tpot_p95_ms=23.0),), modes=("target_only",)
    )
    text = str(why(given))
    assert "lower the load below 0.63 of today's; or raise chat: tpot_p95_ms from 23 in any case: no device" in text


def test_many_times_too_much_says_how_many_devices_would_do_and_what_they_cost() -> None:
    given = scenario(devices=(gpu(count=1),), workloads=(chat(rate_per_s=400.0),), modes=("target_only",))
    error = why(given)
    assert str(error).startswith("no plan keeps every budget: gpu is offered ")
    needed = re.search(r"have (\d+) × gpu instead of 1 \((\d+) an hour more\)", str(error))
    assert needed is not None
    assert int(needed[2]) == 4 * (int(needed[1]) - 1)
    larger = replace(given, devices=(replace(given.devices[0], count=int(needed[1])),))
    assert best_plan(larger, stub_model.predict) is not None


def test_memory_for_not_even_one_request_is_named() -> None:
    """70.03 GiB leave 30 MiB beside the weights: 102 tokens of .3 MiB; one request needs 200 + 64."""
    given = scenario(devices=(replace(gpu(count=1), memory_gib=70.03),), modes=("target_only",))
    error = why_infeasible(_asked(given), space_of(given), PLAIN)
    text = str(error)
    assert "gpu: KV memory holds 102 tokens, one request needs 264" in text
    needed = re.search(r"gpu needs memory_gib of ([\d.]+) or more", text)
    assert needed is not None
    assert float(needed[1]) == pytest.approx(70.0 + 264 * 0.3 / 1024, abs=0.006)


def _asked(given: Scenario) -> Evaluator:
    evaluator = Evaluator(given, predict)
    assert search(Judge(evaluator), space_of(given)).best is None
    return evaluator


def test_a_share_of_requests_is_not_lowered_to_nothing_beside_the_latency_that_it_is_a_share_of() -> None:
    """95 % of requests are within a p95 budget that is raised to the p95: 99 % of them cannot be."""
    given = scenario(
        workloads=(chat(rate_per_s=2.0, tpot_p95_ms=5.0, goodput_share=0.99),), modes=("target_only", "fused")
    )
    evaluator, space = Evaluator(given, predict), space_of(given)
    assert search(Judge(evaluator), space).best is None
    error = why_infeasible(evaluator, space, PLAIN)
    assert isinstance(error, InfeasibleError)
    assert error.budget == "chat: tpot_p95_ms"
    said = re.search(r"raise chat: tpot_p95_ms from 5 to [\d.]+ \(\+[\d.]+%\) and lower (.*?) for ", str(error))
    assert said is not None
    share = re.fullmatch(r"chat: goodput_share from 0.99 to ([\d.]+) \(-[\d.]+%\)", said[1])
    assert share is not None
    assert 0.94 < float(share[1]) < 0.99


def test_a_share_alone_is_lowered_and_everything_else_raised() -> None:
    """Each budget of a relief moves its own way."""
    limits = (Limit("chat", "goodput_share", 0.9), Limit("chat", "tpot_p95_ms", 50.0))
    given = scenario(workloads=(chat(tpot_p95_ms=50.0),))
    evaluator, space = Evaluator(given, stub_model.predict), space_of(given)
    best = search(Judge(evaluator), space).best
    assert best is not None
    text = str(_Relief(limits[0], 0.45, best, given, ((limits[1], 60.0),)))
    assert text.startswith("lower chat: goodput_share from 0.9 to 0.45 (-50.0%) and raise chat: tpot_p95_ms from 50 to")
    assert "to 60 (+20.0%)" in text


def test_a_way_out_that_breaks_nothing_when_replayed_is_a_plan() -> None:
    """Under the model the least that would do is 9 % above the budget; replays are 10 % faster."""
    least = why(scenario(workloads=(chat(rate_per_s=20.0, tpot_p95_ms=5.0),))).nearest
    given = scenario(workloads=(chat(rate_per_s=20.0, tpot_p95_ms=least / 1.09),))
    study = optimize(given, stub_model.predict, observer(given, lambda plan: 0.9), agreements, PROVENANCE)
    assert all(check.kept for check in study.budgets)
    with pytest.raises(InfeasibleError):
        optimize(given, stub_model.predict, observer(given), agreements, PROVENANCE)
