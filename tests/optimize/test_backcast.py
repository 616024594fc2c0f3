"""Today's system: predicted beside measured, and the error that everything after it carries."""

from __future__ import annotations

import re
from dataclasses import replace
from math import exp, log, sqrt

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.present import Measured, Present
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.optimize.choices.candidates import plan_of
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.confirmation.backcast import backcast, widened
from dsd_plan.optimize.confirmation.backcast_error import error_of
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
SCENE = scenario(workloads=(chat(rate_per_s=6.0, tpot_p95_ms=60.0),))
THREE_GPUS = plan_of(SCENE, Choice((Candidate("chat", "target_only", "large", "gpu"),), (("gpu", 3),)))


def predicted(given: Scenario = SCENE, plan: Plan = THREE_GPUS) -> Performance:
    return stub_model.predict(deploy(given, plan))


def today(given: Scenario = SCENE, at: str = "users", **factors: float) -> Scenario:
    """Measured is predicted times a factor: `today(tpot_mean_ms=1.1)` is 10 % slower than the model says."""
    seen = predicted().workload("chat")
    numbers = {}
    for key, factor in factors.items():
        metric, statistic = key.removesuffix("_ms").split("_")
        numbers[key] = getattr(getattr(seen, f"{metric}_ms"), statistic) * factor
    measured = (Measured(workload="chat", **numbers),) if numbers else ()
    return replace(given, present=Present(plan=THREE_GPUS, measured_at=at, measured=measured))


def study(given: Scenario, slow: float = 1.0) -> Study:
    return optimize(given, stub_model.predict, observer(given, lambda plan: slow), agreements, PROVENANCE)


def test_without_a_plan_of_today_there_is_none() -> None:
    assert backcast(SCENE, stub_model.predict) is None
    assert widened(predicted(), None) is predicted() or widened(predicted(), None) == predicted()


def test_errors_are_root_mean_squares_of_logs_by_kind() -> None:
    found = backcast(today(tpot_mean_ms=1.1, tpot_p95_ms=1 / 1.1, ttft_p95_ms=1.3), stub_model.predict)
    assert found is not None
    assert {row.metric: row.ratio for row in found.rows} == {
        "ttft_ms.p95": pytest.approx(1 / 1.3),
        "tpot_ms.mean": pytest.approx(1 / 1.1),
        "tpot_ms.p95": pytest.approx(1.1),
    }
    assert found.errors == {"tpot": pytest.approx(log(1.1)), "ttft": pytest.approx(log(1.3))}
    assert found.error == pytest.approx(sqrt((2 * log(1.1) ** 2 + log(1.3) ** 2) / 3))
    assert found.bias == pytest.approx(exp(-log(1.3) / 3))
    assert error_of(found, "tpot_ms.p99") == pytest.approx(log(1.1))
    assert error_of(found, "energy_j_per_token") == found.error  # nothing of that kind was measured
    assert "the worst is ttft_ms.p95 of chat" in found.sentence


def test_at_the_servers_the_way_is_taken_off() -> None:
    """20 ms round trip: 10 up and 10 down, of TTFT alone; TPOT streams."""
    found = backcast(today(at="servers", ttft_mean_ms=1.0, tpot_mean_ms=1.0), stub_model.predict)
    assert found is not None
    own = predicted().workload("chat")
    by_metric = {row.metric: row.predicted for row in found.rows}
    assert own.ttft_ms.mean is not None
    assert by_metric["ttft_ms.mean"] == pytest.approx(own.ttft_ms.mean - 20.0)
    assert by_metric["tpot_ms.mean"] == pytest.approx(own.tpot_ms.mean)


def test_an_interval_widens_by_squares_of_logs() -> None:
    """100/e^.05 to 100·e^.09, known to .12: √(.05² + .12²) = .13 below, √(.09² + .12²) = .15 above."""
    found = backcast(today(tpot_mean_ms=exp(0.12)), stub_model.predict)
    assert found is not None
    plain = predicted()
    workload = replace(
        plain.workloads[0],
        tpot_ms=replace(plain.workloads[0].tpot_ms, mean=100.0),
        ci={"tpot_ms.mean": (100.0 * exp(-0.05), 100.0 * exp(0.09)), "ttft_ms.p95": None},
    )
    wider = widened(replace(plain, workloads=(workload,)), found)
    ends = (wider.workloads[0].ci or {})["tpot_ms.mean"]
    assert ends == (pytest.approx(100 * exp(-0.13)), pytest.approx(100 * exp(0.15)))
    assert (wider.workloads[0].ci or {})["ttft_ms.p95"] is None
    assert "today's system was reproduced (12 % over 1 measured numbers)" in wider.notes[-1]


@pytest.mark.parametrize("factors", [{"tpot_mean_ms": 1.25}, {"tpot_mean_ms": 3.0, "tpot_p95_ms": 1.0}])
def test_what_was_measured_lies_within_the_interval_that_it_widened(factors: dict[str, float]) -> None:
    found = backcast(today(**factors), stub_model.predict)
    assert found is not None
    seen = predicted().workloads[0]
    mean = seen.tpot_ms.mean
    assert mean is not None
    workload = replace(seen, ci={"tpot_ms.mean": (0.99 * mean, 1.01 * mean)})
    ends = (widened(replace(predicted(), workloads=(workload,)), found).workloads[0].ci or {})["tpot_ms.mean"]
    assert ends is not None
    assert ends[0] < mean < factors["tpot_mean_ms"] * mean < ends[1]


def test_the_chosen_plans_budgets_carry_the_error_too() -> None:
    """A TPOT measured a fifth above the prediction: a replay's interval reaches at least as far."""
    (check,) = study(today(tpot_p95_ms=1.2)).budgets
    assert check.kept
    assert check.replayed is not None
    assert check.replayed.high >= 1.2 * check.replayed.point * (1 - 1e-9)
    assert check.replayed.low <= check.replayed.point / 1.2 * (1 + 1e-9)


def test_today_is_replayed_and_stands_in_the_study_as_doing_nothing() -> None:
    found = study(today(tpot_mean_ms=1.02))
    assert found.backcast is not None
    assert found.backcast.replayed is not None
    assert found.story.count(found.backcast.sentence) == 1
    first = found.options[0]
    assert (first.name, first.plan) == ("do nothing: the system as it is today", THREE_GPUS)
    assert first.devices == {"gpu": 3}
    assert first.cost_per_hour == pytest.approx(12.0)
    seen = predicted().workload("chat").tpot_ms.mean
    assert seen is not None
    measured = f"measured tpot_ms.mean of chat {1.02 * seen:.3g} (model {seen:.3g})"
    assert first.reason == f"what is there today; keeps every budget; {measured}"
    assert "plain decoding on the target" in [option.name for option in found.options]
    assert not any(option.name.startswith("do nothing: plain") for option in found.options)
    cost = found.replayed.fleet.cost_per_hour
    assert found.backcast.saves["cost_per_hour"] == pytest.approx(12.0 - cost)
    assert "Against the system as it is today: " in found.verdict.sentence


def test_a_budget_that_today_breaks_as_measured_is_named() -> None:
    """60 ms are promised, the model says half of that, and twice the model is measured, and more."""
    found = study(today(tpot_p95_ms=3.0)).options[0]
    seen = predicted().workload("chat").tpot_ms.p95
    assert seen is not None
    assert seen < 60.0 < 3.0 * seen
    assert found.reason.endswith(
        f"measured tpot_ms.p95 of chat {3 * seen:.3g} (model {seen:.3g}), which breaks its budget of 60"
    )


def test_today_breaks_no_budget_that_it_was_measured_to_keep() -> None:
    """The model says more than the budget, the measurement less: the measurement is how it is."""
    seen = predicted().workload("chat").tpot_ms.p95
    assert seen is not None
    tight = replace(SCENE, workloads=(chat(rate_per_s=6.0, tpot_p95_ms=0.9 * seen),))
    kept, broken = (study(today(tight, tpot_p95_ms=factor)) for factor in (0.8, 0.95))
    (check,) = [c for c in (kept.options[0],) if c.predicted is not None]
    assert check.predicted is not None
    assert (check.predicted.workload("chat").tpot_ms.p95 or 0.0) > 0.9 * seen
    assert kept.options[0].reason.startswith("what is there today; keeps every budget; measured tpot_ms.p95 of chat ")
    start = f"what is there today; breaks TPOT p95 of chat, {0.95 * seen:.3g} for {0.9 * seen:.3g} as measured; "
    assert broken.options[0].reason.startswith(start)
    assert " by the model" not in broken.options[0].reason


def test_what_is_saved_against_today_has_the_error_of_today() -> None:
    found = study(today(tpot_mean_ms=1.1))
    assert re.search(r"mean TPOT [\d.]+ % ± 9\.5 % (lower|higher)", found.verdict.sentence)


def test_its_error_joins_the_ratios() -> None:
    """Fused is much faster than plain; a system of today reproduced within a factor of 3 makes that doubtful."""
    given = scenario(rtt_ms=80.0, minimize="tpot", workloads=SCENE.workloads)
    sure, doubtful = study(today(given, tpot_mean_ms=1.01)), study(today(given, tpot_mean_ms=3.0))
    assert sure.verdict.answer == "yes"
    assert doubtful.verdict.answer == "undecided"
    assert doubtful.verdict.measure_next is not None
    assert "today's system is reproduced only within 110 %" in doubtful.verdict.measure_next


def test_a_system_that_runs_and_saturates_under_the_model_is_believed_in_nothing() -> None:
    """One GPU, 100 requests a second: it cannot do that, so the scenario is wrong about it."""
    given = scenario(
        devices=(gpu(count=40),), workloads=(chat(rate_per_s=100.0),), minimize="tpot", modes=("target_only", "fused")
    )
    one = plan_of(given, Choice((Candidate("chat", "target_only", "large", "gpu"),), (("gpu", 1),)))
    given = replace(given, present=Present(plan=one))
    found = backcast(given, stub_model.predict)
    assert found is not None
    assert (found.saturates, found.predicted, found.error) == ("gpu", None, None)
    assert error_of(found, "tpot_ms.mean") == 1.0
    assert "saturates today, which the system in service does not" in found.sentence
    assert study(given).options[0].predicted is None


def test_nothing_measured_is_said() -> None:
    found = backcast(today(), stub_model.predict, observer(SCENE, lambda plan: 1.25))
    assert found is not None
    assert found.error is None
    assert {row.metric for row in found.rows} == {"ttft_ms.mean", "ttft_ms.p95", "tpot_ms.mean", "tpot_ms.p95"}
    assert all(row.ratio == pytest.approx(0.8) and row.measured is None for row in found.rows)
    assert error_of(found, "tpot_ms.mean") == 0.0
    assert "add [[present.measured]]" in found.sentence


def test_what_is_wrong_with_it_is_listed() -> None:
    wrong = replace(
        THREE_GPUS,
        scenario="another",
        deployments=tuple(replace(deployment, count=9) for deployment in THREE_GPUS.deployments),
    )
    measured = (Measured(workload="chat"), Measured(workload="chta", tpot_mean_ms=20.0), Measured(workload="chat"))
    problems = scenario_problems(replace(SCENE, present=Present(plan=wrong, measured=measured)))
    assert [problem.place for problem in problems] == [
        "present.plan",
        "present.plan",
        "present.measured[0]",
        "present.measured[1].workload",
        "present.measured[2].workload",
        "present.measured[2]",
    ]
    assert 'did you mean "chat"?' in problems[3].text
