"""What to measure next is an input of the decision, and one that may change it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, TokenTrace
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.optimize.alternatives.case import Case
from dsd_plan.optimize.choices.candidates import full_counts
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.confirmation.compare import Ratio
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.verdict.hinges import condition_words
from dsd_plan.optimize.verdict.measure_next import deciding_next, declared_next
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_verdict import recorded

GIVEN = scenario(devices=(edge_box(count=12, step_ms=1.0), gpu(count=6)), workloads=(chat(rate_per_s=4.0),))
EDGE = Candidate("chat", "distributed", "large", "gpu", "small", "edge-box", 4)
PLAIN = Candidate("chat", "target_only", "large", "gpu")


def case(given: Scenario = GIVEN, errors: dict[str, float] | None = None) -> Case:
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given), lambda line: None)

    def confirmed(candidate: Candidate) -> Confirmed:
        return confirmation.confirmed(Choice((candidate,), full_counts(given, (candidate,))))

    tpot = Ratio(0.98, 0.9, 1.06, errors or {"replay": 0.05, "acceptance": 0.01})
    return Case(given, confirmed(EDGE), confirmed(PLAIN), tpot, tpot)


def tip(what: str, of: str, tips_at: float | None, breaks: float | None = None) -> TippingPoint:
    return TippingPoint(
        workload="chat", input=what, now=0.75, tips_at=tips_at, searched=(0.2, 0.96), becomes=None, of=of,
        plan_breaks_at=breaks,
    )  # fmt: skip


def test_declared_acceptance_first_then_declared_steps_that_may_change_the_decision() -> None:
    assert (found := declared_next(case(), ())) is not None
    assert "Acceptance of small by large is declared" in found.words
    level = [tip("acceptance", "small", None), tip("step_time", "gpu", 1.3), tip("step_time", "edge-box", None)]
    assert (found := declared_next(case(), level)) is not None
    assert found.words.startswith("Step times of large on gpu are declared")
    assert "edge-box" not in found.words.split("`")[0]
    breaks = [tip("acceptance", "small", None, breaks=0.4)]
    assert (found := declared_next(case(), breaks)) is not None
    assert found.words.startswith("Acceptance of small by large is declared")
    # Known to ± .05, half of what would matter and no coarser: .35 away.
    assert found.words.endswith("tell it to ± 0.05; the plan as it is breaks a budget at 0.4.")
    near = [tip("acceptance", "small", None, breaks=0.71)]
    assert (found := declared_next(case(), near)) is not None
    assert found.words.endswith("± 0.02, half of the way to 0.71, where the plan as it is breaks a budget.")
    words = condition_words(case(), near, decided=True)
    assert "(from 0.2 to 0.96 the decision stays; the plan as it is breaks a budget at 0.71)" in words


def test_what_cannot_be_told_apart_is_not_recorded_for_ever() -> None:
    """.006 away: ± .003 would take thousands of requests for two per cent of mean TPOT."""
    even = case()
    even = replace(even, objective=Ratio(1.0, 1.0, 1.0, {}))
    turns = replace(tip("acceptance", "small", 0.756), becomes="distributed", target="large")
    found = declared_next(even, [turns])
    assert found is not None
    assert found.measurement is not None
    assert found.measurement.error_wanted == 0.01
    assert "that does not decide, for the decision changes at 0.756 already" in found.words
    assert found.words.endswith("; either way may be taken, 2.0 % of mean TPOT lies between them.")


def test_a_saving_that_goes_before_the_decision_turns_is_said_and_what_is_recorded_for() -> None:
    turns = replace(tip("acceptance", "small", 0.53), becomes="target_only", target="large", saves_nothing_at=0.67)
    words = condition_words(case(), [turns], decided=True)
    assert "(from 0.67 down it costs no less than plain decoding, at 0.53 plain decoding is chosen)" in words
    breaks = replace(turns, plan_breaks_at=0.7)
    assert "(at 0.7 the plan as it is breaks a budget, from 0.67 down" in condition_words(
        case(), [breaks], decided=True
    )
    assert (found := declared_next(case(), [turns])) is not None
    assert found.words.endswith("± 0.04, half of the way to 0.67, where nothing is saved any more.")
    others = replace(turns, target="huge")  # the same draft before another model
    assert "0.67" not in condition_words(case(), [others], decided=True)


def test_nothing_is_asked_for_where_nothing_would_change_the_decision() -> None:
    level = [tip("acceptance", "small", None), *(tip("step_time", device, None) for device in ("gpu", "edge-box"))]
    assert declared_next(case(), level) is None
    assert "(from 0.2 to 0.96 the decision stays): declared, not recorded." in condition_words(
        case(), level, decided=True
    )


def test_an_undecided_case_asks_for_its_largest_error_where_acceptance_changes_nothing() -> None:
    level = [tip("acceptance", "small", None)]
    assert (found := deciding_next(case(), level)) is not None
    assert found.words.startswith("Replay with about ")


def test_the_recording_asked_for_is_of_a_pair_that_the_plan_drafts_with() -> None:
    """400 requests of the pair in use; 4,000 of another that nobody drafts with."""
    own = recorded(GIVEN, 400)
    other = recorded(GIVEN, 4000, tokens=10).pairs[0].acceptance
    assert isinstance(other, TokenTrace)
    given = replace(own, pairs=(*own.pairs, Pair(draft="large", target="small", acceptance=other)))
    found = deciding_next(case(given, {"acceptance": 0.05, "replay": 0.01}), ())
    assert found is not None
    assert "instead of 400: its error of 5.0 % hides the difference of 2.0 %" in found.words
    assert found.measurement is not None
    assert found.measurement.requests == 2500  # 400 · (5 / 2)²


def test_energy_is_decided_by_the_error_of_its_own_ratio() -> None:
    given = replace(recorded(GIVEN, 400), search=replace(GIVEN.search, minimize="energy"))
    mine = replace(case(given), objective=Ratio(0.99, 0.9, 1.1, {"model": 0.1, "replay": 0.01}))
    found = deciding_next(mine, ())
    assert found is not None
    assert found.words.startswith("Run both plans on the real devices")
    assert found.measurement is not None
    assert found.measurement.error_now == pytest.approx(0.1)
    assert isinstance(GIVEN.pairs[0].acceptance, AcceptanceLaw)
