"""What speculation changes is worked out from the plans that are told, whatever a later search comes by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from dsd_plan.domain.hours import at_peak, peak_of
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.optimize.choices.candidates import AnySpace, space_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation import compare
from dsd_plan.optimize.confirmation.compare import best_known
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.counted import set_free
from dsd_plan.optimize.run import optimize
from dsd_plan.optimize.search.search import Found, search
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
DAY = (0.1,) * 20 + (1.0,) * 4


def busy(hourly_load: tuple[float, ...] | None = None) -> Scenario:
    """Plain decoding needs several GPUs for which drafting needs fewer."""
    asked = replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), hourly_load=hourly_load)
    return scenario(
        devices=(gpu(count=6, step_ms=25.0, commitment="on_demand"),),
        workloads=(asked,),
        windows=(2, 4),
        modes=("target_only", "fused"),
    )


def study(given: Scenario) -> Study:
    peak = at_peak(given)
    return optimize(peak, stub_model.predict, observer(peak), lambda *_: (), PROVENANCE, peak=peak_of(given))


def dearest(judge: Judge, space: AnySpace, seeds: Iterable[Choice] = ()) -> Found:
    """A search that stops at the full fleet, as one may that runs out of predictions."""
    found = search(judge, space, seeds)
    if found.best is None:
        return found
    full = replace(found.best.choice, counts=tuple((name, 6) for name, _ in found.best.choice.counts))
    return replace(found, best=judge.judge(full))


@pytest.mark.parametrize("hours", [None, DAY])
def test_a_search_that_misses_the_plans_turns_no_verdict_round(
    hours: tuple[float, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "search", dearest)
    found = study(busy(hours))
    cost = {option.name: option.cost_per_month for option in found.options}
    plain, fused = cost["do nothing: plain decoding on the target"], cost["draft beside the target"]
    assert plain is not None
    assert fused is not None
    assert fused < plain
    assert found.verdict.answer == "yes"
    assert found.verdict.saves["cost_per_hour"] > 0.0


def test_a_saving_at_the_peak_is_told_as_one_of_the_peak() -> None:
    assert "an hour less at the peak" in study(busy(DAY)).verdict.sentence
    assert "an hour less," in study(busy()).verdict.sentence


def test_a_replayed_plan_is_known_whatever_the_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = busy()
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given), lambda line: None)
    plain = Choice((Candidate("chat", "target_only", "large", "gpu"),), (("gpu", 6),))
    confirmation.observe(plain)
    monkeypatch.setattr(compare, "search", lambda judge, space, seeds=(): Found(None, None, ""))
    known = best_known(confirmation, space_of(given).purely("target_only"), 0.0)
    assert known is not None
    assert known.choice == plain
    assert best_known(confirmation, space_of(given).purely("fused"), 0.0) is None


def test_what_is_saved_on_devices_that_are_paid_anyway_is_said() -> None:
    """Owned GPUs at 4 an hour each: all that drafting saves is theirs. Of those on demand nothing is."""
    on_demand = study(busy())
    (device,) = busy().devices
    owned = study(replace(busy(), devices=(replace(device, commitment="owned"),)))
    saved = owned.verdict.saves["cost_per_hour"]
    assert saved == on_demand.verdict.saves["cost_per_hour"] > 0.0
    words = f"{saved:.3g} an hour less (counting {saved:.3g} for owned or reserved devices set free, "
    assert words in owned.verdict.sentence
    assert "set free" not in on_demand.verdict.sentence


def test_devices_set_free_are_counted_at_what_is_paid_for_them() -> None:
    """Of devices a fifth of which is away five are paid for four that run, and two (1 / .8 rounded up) for one."""
    (device,) = busy().devices
    given = replace(busy(), devices=(replace(device, commitment="reserved", available=0.8, cost_per_hour=3.0),))
    assert set_free(given, {"gpu": 1}, {"gpu": 4}) == pytest.approx(3.0 * (5 - 2))
    assert set_free(given, {}, {"gpu": 4}) == pytest.approx(3.0 * 5)
    assert set_free(given, {"gpu": 4}, {"gpu": 1}) == 0.0
