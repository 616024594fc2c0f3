"""Drafts that go on ahead are tried by default, around the best plans that draft at the edge."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.fleet import Link, Site
from dsd_plan.domain.scenario import Scenario, Search
from dsd_plan.domain.study import Option, Study
from dsd_plan.model import predict as predicted
from dsd_plan.optimize.choices.candidates import Space, WideSpace, full_counts, searched_modes, space_of, tried_ahead
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation.compare import mean_tpot, ratio_of
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.run import optimize
from dsd_plan.optimize.search.around import MOST_PREDICTIONS, around, search_around
from dsd_plan.optimize.search.search import search
from dsd_plan.optimize.study import NOT_AHEAD, OUTLOOK
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan, keeps_budgets
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_search import scenarios
from tests.optimize.test_study import PROVENANCE
from tests.optimize.test_verdict import recorded

MODES = Search().modes
AHEAD = "draft at the edge, going on ahead"


def far(minimize: str = "tpot", rtt_ms: float = 60.0, per_token: float = 0.93, **more: object) -> Scenario:
    """A long round trip to a slow target, and a draft that is nearly always right."""
    return scenario(
        rtt_ms=rtt_ms,
        per_token=per_token,
        devices=(edge_box(count=8, step_ms=9.0), gpu(count=2, step_ms=60.0, draft_step_ms=55.0)),
        workloads=(chat(rate_per_s=2.0, **more),),  # type: ignore[arg-type]
        windows=(2, 3, 4, 5, 6, 7, 8),
        modes=MODES,
        minimize=minimize,
    )


def study(asked: Scenario) -> Study:
    return optimize(asked, stub_model.predict, observer(asked), agreements, PROVENANCE)


def row(found: Study) -> Option:
    (option,) = [option for option in found.options if option.name == AHEAD]
    return option


def test_it_is_found_by_default_where_it_is_the_best_there_is() -> None:
    """Brute force over every plan of every mode chooses it, too."""
    best = best_plan(far(), stub_model.predict)
    found = study(far())
    assert best is not None
    assert [a.mode for a in best.plan.assignments] == ["pipelined"]
    assert found.plan.assignments == best.plan.assignments
    assert row(found).chosen
    assert row(found).reason.startswith("the lowest TPOT of the plans that keep every budget in the replay")
    assert found.verdict.answer == "yes"
    assert found.verdict.sentence.startswith("Draft at clinic on 8 × edge-box, going on ahead, with window ")


def test_the_bound_says_that_it_does_not_hold_for_it() -> None:
    found = study(far())
    words = (
        "of the modes but pipelined, which takes long to predict and was only tried around the best plans that draft "
        "at the edge; "
    )
    assert words in found.bound_scope
    assert any(line.startswith("pipelined: ") and "plans predicted, around distributed" in line for line in found.story)


def test_what_lies_around_a_plan_that_goes_ahead_is_told_with_that_mode() -> None:
    """Chosen, it is on its maps, at today's place the fastest, among the curves, and the decision changes from it."""
    found = study(far())
    assert [a.mode for a in found.plan.assignments] == ["pipelined"]
    assert NOT_AHEAD not in found.story
    assert len(found.maps) == 3
    for drawn in found.maps:
        (here,) = [cell for cell in drawn.cells if (cell.x, cell.y) == drawn.here]
        assert here.mode == "pipelined"
        assert {"pipelined", "distributed", "target_only"} <= set(here.tpot_ms)
    assert found.curves[0].mode == "pipelined"
    tips = {tip.input: tip for tip in found.tipping_points}
    assert {"rtt_ms", "acceptance", "load"} <= set(tips)
    assert tips["acceptance"].becomes is not None
    assert tips["acceptance"].becomes != "pipelined"
    assert found.draft_worth


def test_where_another_mode_was_chosen_it_is_left_out_of_what_lies_around() -> None:
    near = replace(far(), search=replace(far().search, minimize="cost"))
    found = study(near)
    if "pipelined" not in [a.mode for a in found.plan.assignments]:
        assert NOT_AHEAD in found.story
        assert not any("pipelined" in cell.tpot_ms for drawn in found.maps for cell in drawn.cells)


def test_where_it_keeps_a_budget_that_nothing_else_does_it_is_found_from_the_nearest_miss() -> None:
    others = replace(far(), search=replace(far().search, modes=("target_only", "fused", "distributed")))
    least = best_plan(others, stub_model.predict)
    assert least is not None
    tpot_ms = least.performance.workloads[0].tpot_ms.p95
    assert tpot_ms is not None
    asked = far("cost", tpot_p95_ms=tpot_ms * 0.96)
    found, best = study(asked), best_plan(asked, stub_model.predict)
    assert best is not None
    assert [a.mode for a in found.plan.assignments] == ["pipelined"]
    assert row(found).chosen
    assert row(found).cost_per_hour == pytest.approx(best.objective)


def test_where_it_loses_its_row_says_by_what() -> None:
    found = study(far("cost", rtt_ms=2.0, per_token=0.5))
    assert not row(found).chosen
    assert row(found).predicted is not None
    assert row(found).reason.startswith("keeps every budget")
    assert any(option.name.startswith("pipelined, window") for option in found.alternatives)


def test_where_nothing_can_go_on_ahead_the_row_says_why() -> None:
    nowhere = replace(far(), devices=(gpu(count=2),))
    assert row(study(nowhere)).reason == "no device at the users' sites drafts, so that nothing can go on ahead"
    law = AcceptanceLaw(survival=(0.9, 0.8), measured_window=2)
    short = replace(far(), pairs=(replace(far().pairs[0], acceptance=law),))
    assert row(study(short)).reason.startswith("what goes on ahead guesses a token more than it proposes, and no")


def test_the_same_scenario_gives_the_same_plan_and_few_predictions() -> None:
    asked = []

    def predict(deployed: stub_model.Deployed) -> stub_model.Performance:
        if any(stream.mode == "pipelined" for stream in deployed.streams):
            asked.append(deployed)
        return stub_model.predict(deployed)

    two = replace(
        far(),
        sites=(Site(name="clinic"), Site(name="ward"), Site(name="region")),
        links=(*far().links, Link(between=("ward", "region"), rtt_ms=90.0)),
        devices=(*far().devices, edge_box("ward", "ward-box", count=4, step_ms=8.0)),
        workloads=(*far().workloads, chat("ward", 2.0, "notes")),
    )
    until_decided: list[int] = []

    def progress(done: int, total: int, text: str) -> None:
        if text == OUTLOOK:
            until_decided.append(len(asked))

    one = optimize(two, predict, observer(two), agreements, PROVENANCE, progress)
    other = optimize(two, stub_model.predict, observer(two), agreements, PROVENANCE)
    assert one.plan == other.plan
    assert [a.mode for a in one.plan.assignments] == ["pipelined", "pipelined"]
    # What is drawn around the decision is asked for after it.
    assert 0 < until_decided[0] <= MOST_PREDICTIONS


@pytest.mark.parametrize("minimize", ["cost", "energy", "tpot", "devices"])
@settings(max_examples=12)
@given(data=st.data())
def test_what_is_found_around_a_plan_keeps_its_budgets_and_is_not_worse_than_its_twins(
    minimize: str, data: st.DataObject
) -> None:
    """Around the best distributed plan: never above the limit of predictions, never below the true best."""
    asked = data.draw(scenarios(minimize))
    space = space_of(asked)
    assert isinstance(space, Space)
    evaluator = Evaluator(asked, stub_model.predict)
    judge = Judge(evaluator)
    start = search(judge, space.purely("distributed")).best
    if start is None:
        return
    before = evaluator.calls
    found = search_around(judge, around(asked, space, (start.choice,)))
    assert evaluator.calls - before <= MOST_PREDICTIONS
    modes = ("target_only", "distributed", "pipelined")
    best = best_plan(replace(asked, search=replace(asked.search, modes=modes)), stub_model.predict)
    if found is not None:
        assert best is not None
        assert "pipelined" in found.choice.modes
        assert found.trial.performance is not None
        assert keeps_budgets(asked, found.trial.performance)
        assert best.objective * (1 - 1e-9) <= found.objective
    if best is not None and all(a.mode == "pipelined" for a in best.plan.assignments) and len(asked.workloads) == 1:
        assert found is not None
        assert found.objective <= best.objective * 1.05


def test_a_large_fleet_goes_without_it_and_says_so() -> None:
    names = [f"chat-{number}" for number in range(12)]
    large = replace(far(), workloads=tuple(chat(name=name) for name in names))
    space = space_of(large)
    assert isinstance(space, WideSpace)
    assert any(
        note.startswith("mode pipelined is left out of the search: predicting it takes long") for note in space.notes
    )
    assert not space_of(far()).notes


def test_it_is_searched_in_full_where_modes_of_the_default_are_left_out() -> None:
    few = replace(far(), search=replace(far().search, modes=("target_only", "distributed", "pipelined")))
    more = replace(far(), search=replace(far().search, modes=(*reversed(MODES), "edge_only")))
    assert searched_modes(few) == ("target_only", "distributed", "pipelined")
    assert not tried_ahead(few)
    assert "pipelined" not in searched_modes(more)
    assert tried_ahead(more)
    assert "pipelined" not in study(few).bound_scope


def test_recorded_acceptance_is_asked_about_one_position_further() -> None:
    """At either end of a recording's interval a plan that goes on ahead guesses a token more than it proposes."""
    given = recorded(far(), 60, tokens=80)
    confirmation = Confirmation(Evaluator(given, predicted), observer(given), lambda line: None)
    edge = Candidate("chat", "pipelined", "large", "gpu", "small", "edge-box", 8)
    plans = [edge, Candidate("chat", "target_only", "large", "gpu")]
    one, other = (confirmation.confirmed(Choice((c,), full_counts(given, (c,)))) for c in plans)
    ratio = ratio_of(confirmation, mean_tpot(given), one, other)
    assert ratio is not None
    assert ratio.errors["acceptance"] > 0.0
