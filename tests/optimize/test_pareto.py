"""The front against brute force over every plan."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.errors import InputError, PlanError, UnstableError
from dsd_plan.optimize.choices.candidates import Space, space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.pareto import front_axes, pareto_front
from dsd_plan.optimize.search.search import search
from tests.optimize import stub_model
from tests.optimize.brute_force import every_plan, keeps_budgets
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

SMALL = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=3, step_ms=1.5), gpu(count=3, step_ms=25.0, draft_step_ms=6.0)),
    workloads=(chat(rate_per_s=10.0, tpot_p95_ms=60.0),),
    windows=(1, 2, 4),
)
"""Small enough that every plan is tried."""
LARGE = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=30, step_ms=1.5), gpu(count=12, step_ms=25.0, draft_step_ms=6.0)),
    workloads=(chat(rate_per_s=60.0, tpot_p95_ms=60.0),),
    windows=(1, 2, 4),
)
"""Too large for that."""

Values = tuple[float, ...]


def truth(given: Scenario, axes: tuple[Objective, ...]) -> set[Values]:
    """Values of all plans that keep their budgets and that no plan beats."""
    found: set[Values] = set()
    for plan in every_plan(given):
        try:
            deployed = deploy(given, plan)
            performance = stub_model.predict(deployed)
        except (PlanError, UnstableError):
            continue
        if keeps_budgets(given, performance):
            every = {
                "cost": deployed.cost_per_hour,
                "energy": performance.fleet.energy_j_per_token or 0.0,
                "tpot": performance.workload("chat").tpot_ms.mean or 0.0,
                "devices": float(sum(deployed.replicas_used().values())),
            }
            found.add(tuple(float(f"{every[axis]:.4g}") for axis in axes))
    return {one for one in found if not any(beats(other, one) for other in found)}


def beats(other: Values, one: Values) -> bool:
    return other != one and all(a <= b for a, b in zip(other, one, strict=True))


def front(given: Scenario, axes: tuple[Objective, ...]) -> list[Values]:
    evaluator = Evaluator(given, stub_model.predict)
    confirmation = Confirmation(evaluator, observer(given, lambda plan: 1.0), lambda line: None)
    space = space_of(given)
    assert isinstance(space, Space)
    chosen = search(Judge(evaluator), space).best
    assert chosen is not None
    points = pareto_front(confirmation, space, chosen.choice, axes)
    assert all(point.plan is not None for point in points)
    return [
        tuple(
            float(f"{value:.4g}")
            for axis in axes
            for value in [
                {
                    "cost": point.cost_per_hour,
                    "energy": point.energy_j_per_token or 0.0,
                    "tpot": point.tpot_ms,
                    "devices": float(point.devices),
                }[axis]
            ]
        )
        for point in points
    ]


TWO_OR_THREE: list[tuple[Objective, ...]] = [
    ("cost", "energy"),
    ("cost", "tpot"),
    ("energy", "tpot"),
    ("devices", "tpot"),
    ("cost", "energy", "tpot"),
]


@pytest.mark.parametrize("axes", TWO_OR_THREE)
def test_the_front_of_a_small_scenario_is_brute_forces(axes: tuple[Objective, ...]) -> None:
    found = front(SMALL, axes)
    assert set(found) <= truth(SMALL, axes)
    if len(found) < 24:
        assert set(found) == truth(SMALL, axes)


@pytest.mark.parametrize("axes", [("cost", "tpot"), ("energy", "tpot")])
def test_of_a_large_scenario_the_ends_are_found_and_plans_between_are_near_the_front(
    axes: tuple[Objective, ...],
) -> None:
    found, true = front(LARGE, axes), truth(LARGE, axes)
    for axis in range(len(axes)):
        assert min(one[axis] for one in found) == pytest.approx(min(one[axis] for one in true), rel=5e-3)
    for one in found:
        # No plan is better by more than half a per cent in both.
        assert not any(all(a < b * 0.995 for a, b in zip(other, one, strict=True)) for other in true)
    assert len(found) > 2
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(sorted(found)))


def test_two_or_three_different_axes_are_asked_for() -> None:
    assert front_axes([]) == ()
    assert front_axes(["tpot", "cost"]) == ("tpot", "cost")
    for wrong in (["cost"], ["cost", "cost"], ["cost", "speed"], ["cost", "energy", "tpot", "devices"]):
        with pytest.raises(InputError, match="expected two or three"):
            front_axes(wrong)
