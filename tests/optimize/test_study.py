"""A study is complete, says the same twice, and contradicts itself nowhere."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial

import pytest

from dsd_plan.cli.processes import on_all_cores
from dsd_plan.crosscheck import agreements
from dsd_plan.domain.fleet import Link, Site
from dsd_plan.domain.scenario import FleetBudgets, InputFile, Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.optimize.choices.budgets import limits_of
from dsd_plan.optimize.choices.side_by_side import Beside
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="dsd-plan optimize", seed=3, inputs=(), machine={"cpu": "x"})

ONE = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=8, step_ms=1.0), gpu(count=4, step_ms=25.0, draft_step_ms=12.0)),
    workloads=(chat(rate_per_s=12.0, tpot_p95_ms=34.0, ttft_p95_ms=400.0),),
    windows=(1, 2, 3, 4),
    budgets=FleetBudgets(cost_per_hour=40.0),
)
TWO = replace(
    ONE,
    sites=(Site(name="clinic"), Site(name="ward"), Site(name="region")),
    links=(Link(between=("clinic", "region"), rtt_ms=6.0), Link(between=("ward", "region"), rtt_ms=90.0)),
    devices=(*ONE.devices, edge_box("ward", "ward-box", count=4, step_ms=1.0)),
    workloads=(*ONE.workloads, chat("ward", 3.0, "notes", tpot_p95_ms=60.0)),
)


def study(given: Scenario) -> Study:
    return optimize(given, stub_model.predict, observer(given, lambda plan: 1.03), agreements, PROVENANCE)


@pytest.fixture(scope="module", params=[ONE, TWO], ids=["one workload", "two workloads"])
def both(request: pytest.FixtureRequest) -> tuple[Scenario, Study]:
    return request.param, study(request.param)


def test_the_same_question_gives_the_same_bytes(both: tuple[Scenario, Study]) -> None:
    given, found = both
    assert json.dumps(study(given).to_dict()) == json.dumps(found.to_dict())


def test_the_same_question_on_several_cores_gives_the_same_bytes_and_what_was_asked_beside(
    both: tuple[Scenario, Study],
) -> None:
    given, found = both
    told: list[str] = []
    observe = observer(given, lambda plan: 1.03)
    beside = Beside(lambda plan, *_: len(plan.assignments), answered=told.append)
    run_all = partial(on_all_cores, workers=2)
    spread = optimize(given, stub_model.predict, observe, agreements, PROVENANCE, run_all=run_all, beside=beside)
    assert json.dumps(spread.to_dict()) == json.dumps(found.to_dict())
    assert beside.found == [len(given.workloads)]
    # The answer comes first, in the words that the study has, but for where it would change.
    assert len(told) == 1
    assert found.verdict.sentence.startswith(told[0].split(".")[0].split(";")[0])


def test_it_is_json_without_nan_or_infinity(both: tuple[Scenario, Study]) -> None:
    told = both[1].to_dict()
    json.dumps(told, allow_nan=False)
    assert told["schema"] == "dsd-plan/study/1"
    assert told["plan"]["schema"] == "dsd-plan/plan/1"
    assert told["provenance"]["command"] == "dsd-plan optimize"


def test_exactly_one_option_is_chosen_and_it_is_the_plan(both: tuple[Scenario, Study]) -> None:
    found = both[1]
    for rows in (found.options, found.alternatives):
        chosen = [row for row in rows if row.chosen]
        assert [row.plan for row in chosen] == [found.plan]
        assert chosen[0].predicted == found.predicted
        assert chosen[0].replayed == found.replayed


def test_every_option_has_its_reason_and_no_made_up_number(both: tuple[Scenario, Study]) -> None:
    found = both[1]
    names = [row.name for row in found.options]
    for name in (
        "do nothing: plain decoding on the target",
        "draft beside the target",
        "draft at the edge",
        "head or n-gram on the target",
        "edge alone",
    ):
        assert name in names
    for row in found.options:
        assert row.reason
        if row.name in ("head or n-gram on the target", "edge alone"):
            assert row.reason.startswith(("not assessed: ", "no head or n-gram pair"))
            assert row.plan is row.predicted is row.replayed is row.devices is row.cost_per_hour is None


def test_every_budget_has_a_row_and_the_chosen_plan_keeps_it(both: tuple[Scenario, Study]) -> None:
    given, found = both
    assert [(b.scope, b.budget) for b in found.budgets] == [(x.scope, x.quantity) for x in limits_of(given)]
    assert all(budget.kept for budget in found.budgets)
    assert all(budget.replayed is not None for budget in found.budgets)


def test_devices_and_prices_are_whole(both: tuple[Scenario, Study]) -> None:
    given, found = both
    chosen = next(row for row in found.options if row.chosen)
    for row in (*found.options, *found.alternatives):
        # Drafts that are lost are paid for like those that work.
        paid_for = chosen.devices if row.name == "all drafts lost at peak" else row.devices
        if row.devices is not None and paid_for is not None:
            assert row.cost_per_hour == pytest.approx(
                sum(given.device(d).cost_per_hour * n for d, n in paid_for.items())
            )


@pytest.mark.parametrize("given", [ONE, TWO], ids=["one workload", "two workloads"])
def test_drafting_at_the_edge_says_what_is_left_without_it(given: Scenario) -> None:
    # Fused would save without losing anything, and be taken.
    found = study(replace(given, search=replace(given.search, modes=("target_only", "distributed"))))
    assert any(a.mode == "distributed" for a in found.plan.assignments)
    lost = next(row for row in found.options if row.name == "all drafts lost at peak")
    assert lost.plan is not None
    assert all(a.mode != "distributed" for a in lost.plan.assignments)
    assert lost.reason.startswith("with every draft lost at peak ")
    assert lost.drafts_lost is not None
    assert not lost.drafts_lost.survives
    chosen = next(row for row in found.options if row.chosen)
    assert chosen.drafts_lost == lost.drafts_lost


def test_a_page_has_all_it_draws(both: tuple[Scenario, Study]) -> None:
    given, found = both
    names = {workload.name for workload in given.workloads}
    assert {curve.workload for curve in found.curves} == names
    assert {found_map.workload for found_map in found.maps} == names
    axes = {("rtt_ms", "acceptance"), ("rtt_ms", "load"), ("rtt_ms", "prompt_tokens")}
    assert {(m.x_name, m.y_name) for m in found.maps} == axes
    for drawn in found.maps:
        others = names - {drawn.workload} if drawn.y_name != "prompt_tokens" else set()
        assert {dot.workload for dot in drawn.dots} == others
    tips = {(t.workload, t.input, t.of) for t in found.tipping_points}
    whole = "fleet" if len(names) > 1 else "chat"
    assert {(name, "rtt_ms", None) for name in names} | {(whole, "load", None)} <= tips
    assert [(scope, of) for scope, what, of in tips if what == "acceptance"] == [(whole, "small")]  # one pair, one tip
    assert {("fleet", "step_time", name) for name in ("edge-box", "gpu")} <= tips
    assert {(worth.draft, worth.target) for worth in found.draft_worth} == {("small", "large")}
    assert {parts.workload for parts in found.round_parts} == names
    first = {parts.workload: parts.mode for parts in reversed(found.round_parts)}
    assert first == {a.workload: a.mode for a in found.plan.assignments}
    assert found.acceptance
    assert found.profiles
    assert found.story
    assert found.scenario["name"] == given.name
    assert found.optimality_gap is not None
    assert found.optimality_gap >= 0.0


def test_the_front_holds_the_chosen_plan_or_something_no_worse(both: tuple[Scenario, Study]) -> None:
    found = both[1]
    assert min(point.cost_per_hour for point in found.pareto) <= found.replayed.fleet.cost_per_hour
    values = [(point.cost_per_hour, point.tpot_ms, point.energy_j_per_token or 0.0) for point in found.pareto]
    for one in values:
        assert not any(all(a < b for a, b in zip(other, one, strict=True)) for other in values)


def test_agreements_are_of_the_chosen_plan(both: tuple[Scenario, Study]) -> None:
    found = both[1]
    tpot = next(a for a in found.agreements if a.metric == "tpot_ms.mean" and a.workload == "chat")
    assert tpot.predicted == found.predicted.workload("chat").tpot_ms.mean
    assert tpot.relative_error == pytest.approx(1 / 1.03 - 1)


def test_the_bound_says_which_settings_no_search_moves(both: tuple[Scenario, Study]) -> None:
    """All of the chosen plan's settings that the scope takes as given are as it says, and none is left out."""
    _, found = both
    assert " is not searched" in found.bound_scope
    moved = {"workload", "mode", "target_device", "draft_model", "draft_device", "window", "candidates"}
    for assignment in found.plan.assignments:
        for setting in asdict(assignment).keys() - moved:
            assert setting in found.bound_scope
        assert (assignment.routing, assignment.draft_routing) == ("jsq", None)
        assert (assignment.draft_devices_per_session, assignment.policy.kind, assignment.share) == (1, "static", 1.0)
    for deployment in found.plan.deployments:
        assert "batch_cap" in found.bound_scope
        assert deployment.batching == "fifo"


def test_progress_counts_up_to_its_end() -> None:
    steps: list[tuple[int, int, str]] = []
    optimize(
        TWO,
        stub_model.predict,
        observer(TWO),
        agreements,
        PROVENANCE,
        lambda done, total, text: steps.append((done, total, text)),
    )
    done = [step[0] for step in steps]
    assert done == sorted(done)
    assert {step[1] for step in steps} == {steps[-1][0]}
    assert all(step[2] for step in steps)


def test_inputs_do_not_touch_the_choice() -> None:
    """Hashes of files are provenance; they change no number."""
    named = replace(ONE, inputs=(InputFile("a.toml", "0" * 64),))
    assert study(named).plan == study(ONE).plan


def test_a_plan_that_drafts_ahead_is_studied_like_any_other() -> None:
    ahead = replace(ONE, search=replace(ONE.search, modes=("target_only", "pipelined"), minimize="tpot"))
    found = study(ahead)
    assert [a.mode for a in found.plan.assignments] == ["pipelined"]
    assert found.maps
    assert found.tipping_points
    assert found.draft_worth
    assert all("pipelined" in cell.tpot_ms for drawn in found.maps for cell in drawn.cells)
    chosen = [row for row in found.options if row.chosen]
    assert [row.name for row in chosen] == ["draft at the edge, going on ahead"]
    assert {curve.mode for curve in found.curves} == {"pipelined", "target_only"}
