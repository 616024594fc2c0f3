"""Tipping points are where brute force changes its mind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import ModelSpec
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.candidates import Space, plan_of, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator, Lens
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.outlook.contenders import Explorer
from dsd_plan.optimize.outlook.draft_worth import draft_worth
from dsd_plan.optimize.outlook.inputs import Moved, with_step_time
from dsd_plan.optimize.outlook.tipping import Outlook, outlook_of, tipping_points
from dsd_plan.optimize.search.search import search
from tests.optimize import stub_model
from tests.optimize.brute_force import best_plan, every_plan, keeps_budgets, objective
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def outlook(given: Scenario) -> Outlook:
    """The best plan of each mode, the best of all chosen."""
    space = space_of(given)
    assert isinstance(space, Space)
    judge = Judge(Evaluator(given, stub_model.predict))
    bests: list[Choice] = []
    for mode in given.search.modes:
        best = search(judge, space.purely(mode)).best
        if best is not None:
            bests.append(best.choice)
    chosen = search(judge, space).best
    assert chosen is not None
    return outlook_of(Explorer(given, stub_model.predict), space, chosen.choice, bests, {}, PLAIN)


def truth(given: Scenario, predict: Callable[[Deployed], Performance] = stub_model.predict) -> str:
    """Mode of the best of all plans; at the same objective, of that with fewer devices, then with the lower TPOT."""
    best, mode = None, "a budget breaks"
    for plan in every_plan(given):
        try:
            deployed = deploy(given, plan)
            performance = predict(deployed)
        except (PlanError, UnstableError):
            continue
        if keeps_budgets(given, performance):
            value = objective(given, deployed, performance)
            devices, tpot_ms = sum(deployed.replicas_used().values()), performance.workload("chat").tpot_ms.mean
            key = (float(f"{value:.4g}"), devices, tpot_ms or 0.0)
            if best is None or key < best:
                best, mode = key, plan.assignments[0].mode
    return mode


def with_rtt(given: Scenario, rtt_ms: float) -> Scenario:
    return replace(given, links=(replace(given.links[0], rtt_ms=rtt_ms),))


def with_rate(given: Scenario, factor: float) -> Scenario:
    (workload,) = given.workloads
    asked = replace(workload.requests, rate_per_s=workload.requests.rate_per_s * factor)  # type: ignore[union-attr]
    return replace(given, workloads=(replace(workload, requests=asked),))


def with_first(given: Scenario, first: float) -> Scenario:
    return replace(given, pairs=(replace(given.pairs[0], acceptance=AcceptanceLaw(per_token=first)),))


def with_price(given: Scenario, name: str, price: float) -> Scenario:
    devices = tuple(replace(d, cost_per_hour=price) if d.name == name else d for d in given.devices)
    return replace(given, devices=devices)


# Boxes at the edge spare GPUs: cost is what decides, and the tight budget what needs them.
GIVEN = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=6, step_ms=1.5), gpu(count=4, step_ms=25.0, draft_step_ms=12.0)),
    workloads=(chat(rate_per_s=20.0, tpot_p95_ms=45.0),),
    windows=(1, 2, 4),
)


# Where one type of GPU gets dear or slow the other one takes over, in the same mode or in another.
TWO_TYPES = replace(
    GIVEN,
    devices=(
        edge_box(count=4, step_ms=1.5),
        gpu(count=2, step_ms=20.0, draft_step_ms=2.0),
        gpu(count=5, name="old-gpu", step_ms=28.0, draft_step_ms=4.0, cost_per_hour=5.0),
    ),
    workloads=(chat(rate_per_s=4.0, tpot_p95_ms=38.0),),
    search=replace(GIVEN.search, windows=(1, 3)),
)


@pytest.mark.parametrize("minimize", ["cost", "tpot", "energy", "devices"])
@pytest.mark.parametrize("given", [GIVEN, TWO_TYPES], ids=["one type of GPU", "two types"])
def test_every_tip_is_where_brute_force_changes_its_mind(minimize: str, given: Scenario) -> None:
    given = replace(given, search=replace(given.search, minimize=minimize))
    here = truth(given)
    tips = tipping_points(outlook(given))
    moves = {
        ("rtt_ms", None): with_rtt,
        ("load", None): with_rate,
        ("acceptance", "small"): with_first,
        ("cost_per_hour", "edge-box"): lambda g, v: with_price(g, "edge-box", v),
        ("cost_per_hour", "gpu"): lambda g, v: with_price(g, "gpu", v),
        ("cost_per_hour", "old-gpu"): lambda g, v: with_price(g, "old-gpu", v),
    }
    checked = 0
    for tip in tips:
        move = moves.get((tip.input, tip.of))
        if move is None:
            continue
        if tip.tips_at is None:
            # Inputs are looked at half-way and at their ends.
            assert all(truth(move(given, end)) == here for end in tip.searched if end > 0.0), tip
            continue
        checked += 1
        sign = 1.0 if tip.tips_at > tip.now else -1.0
        assert truth(move(given, tip.tips_at * (1.0 - 0.03 * sign))) == here, tip
        assert truth(move(given, tip.tips_at * (1.0 + 1e-3 * sign))) == tip.becomes != here, tip
    assert checked or given.devices == TWO_TYPES.devices  # there even the ends may change nothing


def test_a_step_time_tips_where_the_decision_with_slower_devices_differs() -> None:
    found = [tip for tip in tipping_points(outlook(GIVEN)) if tip.input == "step_time" and tip.tips_at is not None]
    assert found
    for tip in found:

        def slowed(deployed: Deployed, tip: TippingPoint = tip) -> Performance:
            assert tip.of is not None
            assert tip.tips_at is not None
            return stub_model.predict(with_step_time(deployed, tip.of, tip.tips_at))

        assert truth(GIVEN, slowed) == tip.becomes != truth(GIVEN)


def test_no_budget_breaks_where_another_device_type_keeps_it_in_the_same_mode() -> None:
    """At four times the step time no plan on the chosen GPUs keeps 38 ms; those of the other type do."""
    given = replace(TWO_TYPES, search=replace(TWO_TYPES.search, modes=("target_only",)))
    (tip,) = (tip for tip in tipping_points(outlook(given)) if (tip.input, tip.of) == ("step_time", "gpu"))
    assert outlook(given).chosen.start.counts[0][0] == "gpu"
    assert tip.tips_at is None
    assert tip.plan_breaks_at is not None


def test_a_draft_that_would_take_the_place_of_the_chosen_one_is_worth_that() -> None:
    """Beside the target small is chosen; a second draft, hardly worse, would be better with .05 more."""
    rival = Pair(draft="other", target="large", acceptance=AcceptanceLaw(per_token=0.73))
    law = StepLaw(step_ms=1.5, per_token_ms=0.01, per_prompt_token_ms=0.002, active_w=350.0)
    one = gpu(count=2)
    profiles = {**one.profiles, "other": declared_profile(one.name, "other", law)}
    given = scenario(
        devices=(replace(one, profiles=profiles),),
        workloads=(chat(rate_per_s=2.0),),
        modes=("target_only", "fused"),
        minimize="tpot",
    )
    given = replace(
        given,
        pairs=(*given.pairs, rival),
        models=(*given.models, ModelSpec(name="other", weights_gib=2.0, kv_mib_per_token=0.03)),
    )
    found = {worth.draft: worth for worth in draft_worth(outlook(given))}
    raised = replace(rival, acceptance=AcceptanceLaw(per_token=0.78))
    today, better = (
        best_plan(one, stub_model.predict) for one in (given, replace(given, pairs=(given.pairs[0], raised)))
    )
    assert today is not None
    assert better is not None
    assert found["other"].saves_tpot_ms == pytest.approx(today.objective - better.objective)
    assert found["other"].saves_tpot_ms > 0.0


def test_the_plan_as_it_is_breaks_where_a_budget_does_though_a_new_plan_would_hold() -> None:
    around = outlook(GIVEN)
    found = {(tip.input, tip.of): tip for tip in tipping_points(around)}
    plan = plan_of(GIVEN, around.chosen.start)

    def keeps(factor: float) -> bool:
        given = with_rate(GIVEN, factor)
        try:
            return keeps_budgets(given, stub_model.predict(deploy(given, plan)))
        except UnstableError:
            return False

    tip = found["load", None]
    assert tip.plan_breaks_at is not None
    assert keeps(0.99 * tip.plan_breaks_at)
    assert not keeps(1.001 * tip.plan_breaks_at)
    # More devices carry more: the decision with devices bought anew changes later, or never.
    assert tip.tips_at is None or tip.tips_at < 1.0 or tip.tips_at >= tip.plan_breaks_at
    # No budget limits the cost: no price breaks anything.
    assert all(tip.plan_breaks_at is None for (name, _), tip in found.items() if name == "cost_per_hour")


def test_where_one_mode_wins_everywhere_nothing_tips() -> None:
    sure = scenario(
        rtt_ms=12.0,
        devices=(edge_box(step_ms=900.0), gpu(count=20, draft_step_ms=260.0)),
        workloads=(chat(rate_per_s=0.2),),
        windows=(1, 2),
    )
    tips = tipping_points(outlook(sure))
    assert {(tip.tips_at, tip.becomes) for tip in tips} == {(None, None)}
    assert all(low <= tip.now <= high for tip in tips for low, high in [tip.searched])


def test_a_better_draft_is_worth_what_brute_force_saves_with_it() -> None:
    given = replace(GIVEN, search=replace(GIVEN.search, minimize="tpot"))
    (worth,) = draft_worth(outlook(given))
    today, better = (best_plan(with_first(given, first), stub_model.predict) for first in (0.75, 0.80))
    assert today is not None
    assert better is not None
    assert worth.acceptance_now == pytest.approx(0.75)
    assert worth.acceptance_then == pytest.approx(0.80)
    assert worth.saves_tpot_ms == pytest.approx(today.objective - better.objective)
    assert worth.saves_tpot_ms > 0.0
    energies = [best.performance.fleet.energy_j_per_token for best in (today, better)]
    assert worth.saves_energy_j_per_token == pytest.approx((energies[0] or 0.0) - (energies[1] or 0.0))


def test_a_draft_that_is_always_accepted_cannot_be_better_aligned() -> None:
    assert draft_worth(outlook(with_first(GIVEN, 0.995))) == ()


def test_where_traffic_could_be_split_a_broken_budget_says_that_it_was_not() -> None:
    busy = replace(TWO_TYPES, workloads=(chat(rate_per_s=12.0, tpot_p95_ms=38.0),))
    tips = [tip for tip in tipping_points(outlook(busy)) if tip.becomes == "a budget breaks"]
    assert tips
    assert all(tip.why.endswith("with each workload served in one way") for tip in tips)
    assert not any("one way" in tip.why for tip in tipping_points(outlook(GIVEN)))


def test_the_chosen_plan_is_as_far_from_its_budgets_as_its_own_replay_saw() -> None:
    """Another plan's replay says that drafting in this way takes three times as long; its own says a tenth less."""
    given = GIVEN
    space = space_of(given)
    assert isinstance(space, Space)
    evaluator = Evaluator(given, stub_model.predict)
    chosen = search(Judge(evaluator), space).best
    assert chosen is not None
    (candidate,) = chosen.choice.candidates
    quantity = ("chat", "tpot_p95_ms")
    now = evaluator.trial(chosen.choice).reading[quantity]
    assert now is not None
    lens = Lens(
        factors={("chat", candidate.way, "tpot_p95_ms"): 3.0},
        observed={chosen.choice: {quantity: 0.9 * now}},
    )
    found = outlook_of(Explorer(given, stub_model.predict), space, chosen.choice, [], {}, lens)
    assert found.today[found.chosen].kept
    for tip in tipping_points(found):
        if tip.plan_breaks_at is not None:
            assert abs(tip.plan_breaks_at - tip.now) > 0.005 * tip.now
    reading = found.judge_at(Moved(given, None)).lens.read(evaluator.trial(chosen.choice))
    assert reading[quantity] == pytest.approx(0.9 * now)
