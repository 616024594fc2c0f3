"""An acceptance belongs to a pair: it moves in all workloads that draft with it, and where its saving goes is told."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.candidates import plan_of
from dsd_plan.optimize.outlook.tipping import tipping_points
from tests.optimize import stub_model
from tests.optimize.brute_force import every_plan, keeps_budgets, objective
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.test_tipping import outlook

# Two workloads on one pool: drafting beside the target takes a GPU less while the pair is well aligned.
TWO = scenario(
    devices=(edge_box(count=1, step_ms=40.0), gpu(count=4, step_ms=20.0, draft_step_ms=1.5)),
    workloads=(chat(rate_per_s=15.0, tpot_p95_ms=32.0), chat(name="search", rate_per_s=15.0, tpot_p95_ms=32.0)),
    modes=("target_only", "fused"),
    windows=(2, 4),
)


def with_first(given: Scenario, first: float) -> Scenario:
    return replace(given, pairs=(replace(given.pairs[0], acceptance=AcceptanceLaw(per_token=first)),))


def acceptance_tips(given: Scenario) -> list[TippingPoint]:
    return [tip for tip in tipping_points(outlook(given)) if tip.input == "acceptance"]


def least(given: Scenario, *, drafting: bool) -> float:
    """The least objective of plans that keep every budget, of those that draft or of those that do not."""
    found = inf
    for plan in every_plan(given):
        if drafting != any(assignment.mode != "target_only" for assignment in plan.assignments):
            continue
        try:
            deployed = deploy(given, plan)
            performance = stub_model.predict(deployed)
        except (PlanError, UnstableError):
            continue
        if keeps_budgets(given, performance):
            found = min(found, objective(given, deployed, performance))
    return found


def test_a_pairs_acceptance_moves_in_all_its_workloads_together() -> None:
    (tip,) = acceptance_tips(TWO)
    assert (tip.workload, tip.of, tip.target) == ("fleet", "small", "large")
    plan = plan_of(TWO, outlook(TWO).chosen.start)
    assert {assignment.mode for assignment in plan.assignments} == {"fused"}

    def keeps(first: float) -> bool:
        given = with_first(TWO, first)
        try:
            return keeps_budgets(given, stub_model.predict(deploy(given, plan)))
        except UnstableError:
            return False

    assert tip.plan_breaks_at is not None
    assert keeps(tip.plan_breaks_at + 0.005)
    assert not keeps(tip.plan_breaks_at - 1e-3)


@pytest.mark.parametrize("minimize", ["cost", "tpot"])
def test_nothing_is_saved_from_where_brute_force_finds_a_plain_plan_as_good(minimize: str) -> None:
    given = replace(TWO, search=replace(TWO.search, minimize=minimize))
    (tip,) = acceptance_tips(given)
    assert tip.saves_nothing_at is not None
    above, below = (with_first(given, tip.saves_nothing_at + by) for by in (0.005, -1e-3))
    assert least(above, drafting=True) < least(above, drafting=False) * 0.999
    assert least(below, drafting=True) >= least(below, drafting=False) * 0.999


def test_a_pair_of_one_workload_is_told_by_its_name() -> None:
    (tip,) = acceptance_tips(replace(TWO, workloads=TWO.workloads[:1]))
    assert tip.workload == "chat"


def test_where_drafting_saves_nothing_today_no_acceptance_is_told_at_which_that_begins() -> None:
    """One GPU carries all at a light load, with drafts or without: TPOT is lower, and nothing is cheaper."""
    idle = replace(TWO, workloads=(chat(rate_per_s=0.2), chat(name="search", rate_per_s=0.2)))
    assert all(tip.saves_nothing_at is None for tip in acceptance_tips(idle))
