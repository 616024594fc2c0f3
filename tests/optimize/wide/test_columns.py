"""The arrays say of a workload what the model's own reading of a plan says."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.deployed import deploy
from dsd_plan.model.traffic import demands_of
from dsd_plan.optimize.choices.candidates import full_counts, plan_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.wide.columns import columns_of
from dsd_plan.optimize.wide.congestion import LEVELS, congestion_of, time_away
from tests.optimize.wide.fleets import fleet

MODES = ("target_only", "fused", "distributed")


def test_a_column_is_the_demand_of_the_plan_that_it_stands_for() -> None:
    given = fleet(4, 2, seed=3)
    columns = columns_of(given, MODES)
    chosen = tuple(
        Candidate(workload.name, "distributed", "large", "gpu1", "small", f"box{w}", 4)
        for w, workload in enumerate(given.workloads)
    )
    demands = demands_of(deploy(given, plan_of(given, Choice(chosen, full_counts(given, chosen)))))
    g = next(g for g, gear in enumerate(columns.gears) if gear.mode == "distributed" and gear.window == 4)
    s = columns.target_site[1]
    for w, demand in enumerate(demands):
        assert columns.rate[w] == pytest.approx(demand.rate)
        assert columns.rounds[w, g] == pytest.approx(demand.rounds.count.mean)
        assert columns.rounds_variance[w, g] == pytest.approx(demand.rounds.count.variance)
        assert columns.draft[w, g] == pytest.approx(demand.draft)
        work = demand.rounds.count.mean * demand.draft + demand.draft_prefill
        assert columns.draft_request[w, g] == pytest.approx(work)
        assert columns.ways.first[w, s] == pytest.approx(demand.prompt_up.mean + demand.first_down.mean)
        assert columns.ways.round_variance[w, s] == pytest.approx(demand.round_up.variance + demand.round_down.variance)
        away = demand.round_up.mean + demand.round_down.mean + demand.draft
        assert time_away(columns, 1)[w, g] == pytest.approx(away)


def test_an_affine_target_costs_what_its_law_says() -> None:
    given = fleet(3, 1)
    columns = columns_of(given, MODES)
    law = given.devices[0].profiles["large"].fit.law
    plain, fused = (next(g for g, x in enumerate(columns.gears) if x.mode == mode) for mode in ("target_only", "fused"))
    costs = columns.costs[0]
    assert costs.step == pytest.approx(law.step_ms)
    assert costs.verify[:, plain] == pytest.approx(law.per_token_ms)
    draft = given.devices[0].profiles["small"].fit.law
    window = columns.gears[fused].window
    # Two tokens to verify, and a share of each draft step.
    assert costs.verify[:, fused] == pytest.approx(law.per_token_ms * (window + 1) + window * draft.per_token_ms)
    assert costs.prefill[:, plain] == pytest.approx(200 * law.per_prompt_token_ms)
    assert costs.draft_step == pytest.approx(draft.step_ms)


def test_rounds_get_longer_with_the_load_and_with_the_time_away() -> None:
    given = fleet(12, 2)
    columns = columns_of(given, MODES)
    gear = np.ones((2, 12), dtype=np.int64)
    rate = np.broadcast_to(columns.rate, (2, 12))
    found = congestion_of(columns, gear, rate, np.ones((2, 12), dtype=bool))
    assert found.round_streamed.shape == (2, len(LEVELS))
    assert (np.diff(found.round_streamed, axis=1) > 0.0).all()
    assert (np.diff(found.first, axis=1) > 0.0).all()
    assert (np.diff(found.round_away, axis=2) > 0.0).all()
    assert (found.round_away > found.away).all()
