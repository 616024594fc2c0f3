"""What a verdict says of its numbers: devices in total, over what a mean is, how well a measurement has to know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.fleet import Site
from dsd_plan.domain.hours import peak_notes
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.optimize.alternatives.case import Case, mean_tpot_words
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.words import counts_words
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.decision import decide
from dsd_plan.optimize.verdict.measure_next import declared_next
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_verdict import FAST_EDGE, study

TWICE = replace(FAST_EDGE, sites=(Site(name="clinic", count=2), Site(name="region")))


def case_of(given: Scenario) -> Case:
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given), lambda text: None)
    return decide(confirmation, space_of(given), lambda text: None).case


@pytest.mark.parametrize(
    ("tips_at", "wanted", "words"),
    [
        (0.55, 0.05, "; the decision changes at 0.55"),
        (0.74, 0.005, ", half of the way to 0.74, where the decision changes"),
        (0.749, 0.002, "that does not decide, for the decision changes at 0.749 already, about "),
        (0.75, 0.002, "that does not decide, for the decision changes at 0.75 already"),
    ],
)
def test_an_acceptance_is_to_be_known_to_half_the_way_to_where_it_decides(
    tips_at: float, wanted: float, words: str
) -> None:
    case = case_of(FAST_EDGE)
    tip = TippingPoint(
        workload="chat",
        input="acceptance",
        now=0.75,
        tips_at=tips_at,
        searched=(0.05, 0.99),
        becomes="target_only",
        of="small",
    )
    found = declared_next(case, [tip])
    assert found is not None
    assert found.measurement is not None
    assert found.measurement.error_wanted == pytest.approx(wanted)
    assert f"tell it to ± {wanted:.3g}{words if words.startswith((';', ',')) else '; ' + words}" in found.words


def test_devices_are_told_over_all_copies_of_their_sites() -> None:
    assert counts_words(TWICE, (("edge-box", 3), ("gpu", 2))) == "6 × edge-box (3 a site), 2 × gpu"
    found = study(TWICE)
    (deployed,) = [d for d in found.plan.deployments if d.device == "edge-box"]
    told = f"{2 * deployed.count} × edge-box ({deployed.count} a site)"
    assert found.verdict.sentence.startswith(f"Draft at each of 2 × clinic on {told} with window ")
    assert any(told in line for line in found.story)
    assert all(" a site)" in line for line in found.story if "× edge-box" in line)
    assert all(" a site)" in point.words for point in found.pareto if "edge-box" in point.words)
    assert told in found.draft_worth[0].plan_now


def test_a_mean_over_workloads_says_so_and_names_who_gets_slower() -> None:
    """Chat drafts; the letters decode plainly beside it, on fewer targets than they would have without drafts."""
    chats = FAST_EDGE.workloads[0]
    letters = chat(site="region", rate_per_s=2.0, name="letters")
    given = replace(FAST_EDGE, workloads=(chats, letters))
    found = study(given)
    assert found.verdict.answer == "yes"
    assert "mean TPOT over the tokens of both workloads " in found.verdict.sentence
    plans = {option.name.split(":")[0]: option.replayed for option in found.options if option.replayed is not None}
    before, after = (plans[name].workload("letters").tpot_ms.mean for name in ("do nothing", "draft at the edge"))
    assert before is not None
    assert after is not None
    assert after > 1.02 * before
    assert f"but mean TPOT of letters rises from {before:.3g} to {after:.3g} ms" in found.verdict.sentence


@pytest.mark.parametrize(
    ("workloads", "words"),
    [
        (1, "mean TPOT"),
        (2, "mean TPOT over the tokens of both workloads"),
        (1200, "mean TPOT over the tokens of all 1,200 workloads"),
    ],
)
def test_the_mean_says_over_what_it_is(workloads: int, words: str) -> None:
    assert mean_tpot_words(workloads) == words


def test_a_busiest_hour_that_asks_no_more_is_not_told_of() -> None:
    flat = scenario(workloads=(replace(chat(), hourly_load=(1.0,) * 24),), devices=(edge_box(), gpu()))
    assert peak_notes(flat) == ()
    busy = replace(flat, workloads=(replace(chat(), hourly_load=(1.0,) * 23 + (2.0,)),))
    assert peak_notes(busy) == ("at the loads as given; the busiest hour of the day asks up to 2 times as much",)
