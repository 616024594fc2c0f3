"""The search and the landscape under the real model, whose answers are not as smooth as the stub's."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.model import predict
from dsd_plan.optimize.choices.candidates import full_counts, space_of
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.outlook.contenders import Explorer, contenders
from dsd_plan.optimize.outlook.ground import Condition, Ground
from dsd_plan.optimize.search.search import search
from tests.optimize.brute_force import best_plan, keeps_budgets
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario

MOST_ABOVE_BEST = 1.005


def drawn(seed: int, minimize: str) -> Scenario:
    """A random small scenario: one workload, up to 4 boxes and 3 GPUs, windows 2 and 4."""
    rng = random.Random(seed)
    return scenario(
        rtt_ms=rng.choice([3.0, 15.0, 60.0]),
        per_token=rng.choice([0.5, 0.7, 0.85]),
        devices=(
            edge_box(count=rng.randint(2, 4), step_ms=rng.choice([0.8, 2.0, 5.0])),
            gpu(count=rng.randint(1, 3), step_ms=rng.choice([12.0, 25.0]), draft_step_ms=rng.choice([1.0, 6.0])),
        ),
        workloads=(
            chat(
                rate_per_s=rng.choice([1.0, 4.0, 10.0]),
                tpot_p95_ms=rng.choice([18.0, 35.0, 70.0]),
                ttft_p95_ms=rng.choice([120.0, 500.0]),
            ),
        ),
        budgets=FleetBudgets(cost_per_hour=rng.choice([None, 8.5])),
        windows=(2, 4),
        minimize=minimize,
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("minimize", ["cost", "energy", "tpot"])
def test_search_is_as_good_as_brute_force(minimize: str, seed: int) -> None:
    given = drawn(seed, minimize)
    best = best_plan(given, predict)
    for exhaustive in (300, 0):
        found = search(Judge(Evaluator(given, predict)), space_of(given), exhaustive_choices=exhaustive)
        assert (found.best is None) == (best is None)
        if best is None or found.best is None:
            continue
        assert found.best.trial.performance is not None
        assert keeps_budgets(given, found.best.trial.performance)
        assert found.best.objective <= best.objective * MOST_ABOVE_BEST
        assert found.bound is not None
        assert found.bound <= best.objective * MOST_ABOVE_BEST


def test_the_scenarios_above_are_worth_comparing() -> None:
    """Some can be kept and some cannot, and plans of every mode win."""
    winners = set()
    for seed in range(4):
        for minimize in ("cost", "energy", "tpot"):
            given = drawn(seed, minimize)
            found = search(Judge(Evaluator(given, predict)), space_of(given))
            winners.add("none" if found.best is None else found.best.choice.modes[0])
    assert {"none", "fused"} <= winners
    assert len(winners) >= 3


def test_a_longer_way_never_makes_the_edge_faster() -> None:
    given = scenario(
        devices=(edge_box(count=4, step_ms=2.0), gpu(count=2, draft_step_ms=6.0)),
        workloads=(chat(rate_per_s=4.0),),
        windows=(2, 4),
    )
    space = space_of(given)
    bests = {
        mode: Choice(chosen, full_counts(given, chosen))
        for mode in SIMPLEST_FIRST
        for chosen in list(space.purely(mode).combinations())[:1]
    }
    explorer = Explorer(given, predict)
    ground = Ground(
        explorer, bests["distributed"], "chat", contenders(space, given, bests["distributed"], bests)["chat"]
    )
    edge = ground.contenders[2]
    for index in range(len(edge.windows)):
        times = [ground.tpot_ms(edge, index, Condition(rtt_ms=rtt)) for rtt in (1.0, 5.0, 15.0, 40.0, 90.0, 180.0)]
        assert all(a is not None and b is not None and a < b for a, b in pairwise(times))
