"""Yes, no, undecided: three scenarios whose answer is known, and the error that a ratio is given."""

from __future__ import annotations

import re
from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.acceptance import TokenTrace, TraceMetadata
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.domain.workload import Budgets, ClosedRequests, PoissonRequests
from dsd_plan.errors import InfeasibleError
from dsd_plan.optimize.choices.candidates import full_counts, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.confirmation.compare import Ratio, mean_tpot, price_ratio, ratio_of
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.observation import Observation, Observe
from dsd_plan.optimize.run import optimize
from dsd_plan.optimize.verdict.measure_next import recording
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import LUCK, observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})


def study(given: Scenario, observe: Observe | None = None) -> Study:
    return optimize(given, stub_model.predict, observe or observer(given), agreements, PROVENANCE)


def says_something(sentence: str) -> bool:
    """A sentence with a number in it."""
    return sentence.endswith(".") and re.search(r"\d", sentence) is not None


FAST_EDGE = scenario(
    rtt_ms=6.0,
    devices=(edge_box(count=12, step_ms=1.0), gpu(count=6, step_ms=25.0, draft_step_ms=12.0)),
    workloads=(replace(chat(rate_per_s=20.0, tpot_p95_ms=34.0), degraded_budgets=Budgets(tpot_p95_ms=80.0)),),
    windows=(1, 2, 3, 4, 6),
    modes=("target_only", "distributed"),
)
SLOW_DRAFTS = scenario(
    rtt_ms=80.0,
    devices=(edge_box(count=12, step_ms=15.0), gpu(count=4, draft_step_ms=25.0)),
    workloads=(chat(rate_per_s=10.0, tpot_p95_ms=200.0),),
    minimize="tpot",
)


def test_yes_where_the_edge_saves_targets() -> None:
    found = study(FAST_EDGE)
    assert found.verdict.answer == "yes"
    assert found.verdict.sentence.startswith("Draft at clinic on 3 × edge-box with window 4: p95 TPOT ")
    assert "gpu instead of" in found.verdict.sentence
    assert "for a budget of 34 ms" in found.verdict.sentence
    assert found.verdict.saves["cost_per_hour"] > 0.0
    assert found.plan.assignments[0].mode == "distributed"


def test_yes_beside_the_target_says_what_the_edge_would_take() -> None:
    found = study(scenario(rtt_ms=80.0, minimize="tpot"))
    assert found.verdict.answer == "yes"
    assert found.plan.assignments[0].mode == "fused"
    assert re.match(r"Draft beside the target on gpu with window \d, not at the edge: ", found.verdict.sentence)
    assert "from the edge, at 80 ms round trip a round of window" in found.verdict.sentence


def test_no_where_drafting_is_slow_and_the_way_is_long() -> None:
    found = study(SLOW_DRAFTS)
    assert found.verdict.answer == "no"
    assert found.verdict.sentence.startswith("Do not speculate here: ")
    assert "at 80 ms round trip a round of window" in found.verdict.sentence
    assert says_something(found.verdict.sentence)
    assert found.verdict.saves["tpot_share"] < 0.0
    assert found.plan.assignments[0].mode == "target_only"


def test_the_round_trip_that_decides_is_the_studys_tipping_point() -> None:
    """One break-even: the sentence names the round trip at which the study says that the decision changes."""
    found = study(SLOW_DRAFTS)
    (tip,) = [tip for tip in found.tipping_points if tip.input == "rtt_ms"]
    assert tip.tips_at is None  # drafts this slow do not pay at any round trip
    assert "; no round trip from " in found.verdict.sentence
    near = study(replace(SLOW_DRAFTS, devices=(edge_box(count=12, step_ms=1.0), gpu(count=4, draft_step_ms=80.0))))
    (tip,) = [tip for tip in near.tipping_points if tip.input == "rtt_ms"]
    assert tip.tips_at is not None
    assert tip.becomes == "distributed"
    assert f"; below {tip.tips_at:.3g} ms the edge would be chosen" in near.verdict.sentence
    edge = next(o for o in near.options if o.name == "draft at the edge").predicted
    plain = next(o for o in near.options if o.name.startswith("do nothing")).predicted
    assert edge is not None
    assert plain is not None
    tokens, tpot_ms = edge.workload("chat").tokens_per_round, plain.workload("chat").tpot_ms.mean
    assert tokens is not None
    assert tpot_ms is not None
    assert f"for {tokens:.3g} tokens by the model, plain decoding {tokens * tpot_ms:.3g} ms" in near.verdict.sentence


def test_declared_acceptance_is_a_condition_and_the_first_thing_to_measure() -> None:
    found = study(FAST_EDGE)
    assert found.verdict.sentence.endswith(": declared, not recorded.")
    assert "This holds if large accepts 0.75 of small's first proposals" in found.verdict.sentence
    measured = found.verdict.measurement
    assert measured is not None
    assert measured.of == "acceptance"
    assert measured.requests is not None
    assert found.verdict.measure_next is not None
    assert f"dsd-plan trace record --target FOLDER --draft FOLDER --requests {measured.requests}" in (
        found.verdict.measure_next
    )
    tips = [t.tips_at for t in found.tipping_points if t.input == "acceptance" and t.tips_at is not None]
    if tips:
        assert measured.error_wanted == pytest.approx(min(0.05, min(abs(t - 0.75) for t in tips) / 2.0))
    sure = study(recorded(FAST_EDGE, 300))
    assert "This holds if" not in sure.verdict.sentence


def test_how_many_requests_tell_an_acceptance() -> None:
    """1.96² · .7 · .3 / .05² = 323 rounds; 20 alike by .05 in a request count as 20 / 1.95: 31.5 requests."""
    assert recording(0.7, 0.05, 20.0, 64.0) == (32, 32 * 64)
    requests, tokens = recording(0.7, 0.025, 20.0, 64.0)
    assert requests == 126
    assert tokens == 126 * 64


def test_a_quantile_that_moves_against_the_mean_is_said() -> None:
    """The edge's mean is lower; its 95th percentile is made three times as large."""
    given = replace(FAST_EDGE, workloads=(chat(rate_per_s=20.0),), search=replace(FAST_EDGE.search, minimize="tpot"))
    inside = observer(given)

    def observe(plan: Plan) -> Observation:
        seen = inside(plan)
        if plan.assignments[0].mode != "distributed":
            return seen
        (workload,) = seen.pooled.workloads
        high = 3.0 * (workload.tpot_ms.p95 or 0.0)
        tail = replace(workload.tpot_ms, p95=high, p99=high)
        ci = {
            **(workload.ci or {}),
            "tpot_ms.p95": (high * 0.99, high * 1.01),
            "tpot_ms.p99": (high * 0.99, high * 1.01),
        }
        pooled = replace(seen.pooled, workloads=(replace(workload, tpot_ms=tail, ci=ci),))
        return replace(seen, pooled=pooled)

    quiet, loud = study(given).verdict, study(given, observe).verdict
    assert quiet.answer == "yes"
    assert "but p9" not in quiet.sentence
    assert re.search(r", but p9\d TPOT rises from [\d.]+ to [\d.]+ ms", loud.sentence)


def test_where_the_error_hides_the_mean_quantiles_are_said_that_move_either_way() -> None:
    """Means within a per cent; drafting's p95 TPOT is made twice as long, its p95 TTFT half."""
    given = recorded(level_scenario(), 400)
    inside = observer(given, noise=0.02, alone=0.05)

    def observe(plan: Plan) -> Observation:
        seen = inside(plan)
        if plan.assignments[0].mode != "distributed":
            return seen
        (workload,) = seen.pooled.workloads
        high, low = 2.0 * (workload.tpot_ms.p95 or 0.0), 0.5 * (workload.ttft_ms.p95 or 0.0)
        ci = {**(workload.ci or {}), "tpot_ms.p95": (high, high), "ttft_ms.p95": (low, low)}
        moved = replace(
            workload, tpot_ms=replace(workload.tpot_ms, p95=high), ttft_ms=replace(workload.ttft_ms, p95=low), ci=ci
        )
        return replace(seen, pooled=replace(seen.pooled, workloads=(moved,)))

    found = study(given, observe).verdict
    assert found.answer == "undecided"
    assert re.search(
        r"the error hides the difference; beside that, p95 TPOT rises from [\d.]+ to [\d.]+ ms and "
        r"p95 TTFT falls from [\d.]+ to [\d.]+ ms",
        found.sentence,
    )


def recorded(given: Scenario, requests: int, tokens: int = 200) -> Scenario:
    """The same with an acceptance that was recorded, and is known well."""
    match = (np.random.default_rng(5).random(requests * tokens) < 0.75).astype(np.uint8)
    trace = TokenTrace(
        TraceMetadata("small", "large", "0", "argmax", "test", "1"), np.repeat(np.arange(requests), tokens), match
    )
    return replace(given, pairs=(Pair(draft="small", target="large", acceptance=trace),))


def level_scenario() -> Scenario:
    """Plain decoding and the edge within a per cent of each other in TPOT, at one GPU and no price."""
    free = edge_box(count=1, step_ms=1.0, cost_per_hour=0.0)
    best: tuple[float, Scenario] | None = None
    for rtt_ms in np.arange(20.0, 40.0, 0.25):
        given = scenario(
            rtt_ms=float(rtt_ms),
            devices=(free, gpu(count=1, draft_step_ms=80.0)),
            workloads=(chat(rate_per_s=2.0),),
            modes=("target_only", "distributed"),
            minimize="tpot",
        )
        space = space_of(given)
        evaluator = Evaluator(given, stub_model.predict)
        times = []
        for mode in ("target_only", "distributed"):
            tried = [evaluator.trial(Choice(c, full_counts(given, c))) for c in space.purely(mode).combinations()]
            times.append(min(t.reading["chat", "tpot_mean_ms"] or 1e9 for t in tried))
        gap = abs(log(times[0] / times[1]))
        if best is None or gap < best[0]:
            best = (gap, given)
    assert best is not None
    assert best[0] < 0.01
    return best[1]


def test_undecided_where_the_error_hides_the_difference() -> None:
    given = recorded(level_scenario(), 400)
    found = study(given, observer(given, noise=0.02, alone=0.05))
    assert found.verdict.answer == "undecided"
    assert found.verdict.sentence.startswith("Undecided: drafting at clinic on ")
    assert found.verdict.sentence.lower().count("undecided") == 1
    assert found.verdict.measurement is not None
    assert f"dsd-plan optimize SCENARIO --requests {found.verdict.measurement.requests}" in (
        found.verdict.measure_next or ""
    )
    assert says_something(found.verdict.sentence)
    assert found.verdict.measure_next is not None
    assert "Replay with about" in found.verdict.measure_next
    # Of plans that the data cannot tell apart the simplest is chosen, and the other one is shown.
    assert found.plan.assignments[0].mode == "target_only"
    assert any(option.plan and option.plan.assignments[0].mode == "distributed" for option in found.equivalents)


def test_a_recorded_trace_that_is_too_short_is_the_next_thing_to_measure() -> None:
    given = level_scenario()
    rng = np.random.default_rng(5)
    match = (rng.random((8, 40)) < 0.75).astype(np.uint8)
    trace = TokenTrace(
        TraceMetadata("small", "large", "0", "argmax", "test", "1"), np.repeat(np.arange(8), 40), match.ravel()
    )
    given = replace(given, pairs=(Pair(draft="small", target="large", acceptance=trace),))
    found = study(given, observer(given, noise=0.001))
    if found.verdict.answer == "undecided":
        assert found.verdict.measure_next is not None
        assert re.match(r"Record acceptance of about [\d,]+ requests instead of 8", found.verdict.measure_next)
    else:
        assert abs(found.verdict.saves["tpot_share"]) > 0.05


def test_speculation_that_alone_keeps_the_budgets_is_a_yes() -> None:
    given = scenario(
        rtt_ms=6.0,
        devices=(edge_box(count=12, step_ms=1.0), gpu(count=2, step_ms=25.0, draft_step_ms=12.0)),
        workloads=(chat(rate_per_s=6.0, tpot_p95_ms=24.0),),
        windows=(1, 2, 3, 4, 6),
    )
    found = study(given)
    assert found.verdict.answer == "yes"
    assert "plain decoding breaks TPOT p95 of chat" in found.verdict.sentence


def test_answers_of_one_token_leave_nothing_to_draft() -> None:
    asked = PoissonRequests(rate_per_s=2.0, prompt_tokens=200, output_tokens=1)
    found = study(scenario(workloads=(replace(chat(ttft_p95_ms=500.0), requests=asked),)))
    assert found.verdict.answer == "no"
    assert "every answer is one token" in found.verdict.sentence
    assert not any("0.0 % lower" in option.reason for option in found.options)


def test_without_a_draft_the_answer_is_no() -> None:
    found = study(replace(scenario(), pairs=()))
    assert found.verdict.answer == "no"
    assert found.verdict.sentence.startswith("Do not speculate here: there is no draft")


def test_without_plain_decoding_in_the_search_nothing_is_compared() -> None:
    found = study(scenario(modes=("distributed",)))
    assert found.verdict.answer == "undecided"
    assert found.verdict.measure_next == 'Add "target_only" to search.modes and run `dsd-plan optimize SCENARIO` again.'
    assert found.verdict.saves == {}


@pytest.mark.parametrize("minimize", ["cost", "energy", "tpot", "devices"])
def test_closed_users_are_planned_for_too(minimize: str) -> None:
    users = ClosedRequests(users=30, think_s=2.0, prompt_tokens=200, output_tokens=64)
    given = scenario(workloads=(replace(chat(tpot_p95_ms=60.0), requests=users),), minimize=minimize)
    found = study(given)
    assert found.verdict.answer == "yes"
    assert found.plan.assignments[0].mode == "fused"
    (curve, *_) = found.curves
    assert all(point.tpot_mean_ms is not None for point in curve.points)  # closed users saturate nothing


def test_nothing_is_decided_where_nothing_is_possible() -> None:
    with pytest.raises(InfeasibleError, match="tpot_p95_ms"):
        study(scenario(workloads=(chat(tpot_p95_ms=1.0),)))


def compared(given: Scenario, observe: Observe) -> Ratio:
    """TPOT of the edge's window 4 over plain decoding's, everything deployed."""
    confirmation = Confirmation(Evaluator(given, stub_model.predict), observe, lambda line: None)
    space = space_of(given)
    plain, edge = (list(space.purely(mode).combinations())[-1] for mode in ("target_only", "distributed"))
    one, other = (confirmation.confirmed(Choice(c, full_counts(given, c))) for c in (edge, plain))
    ratio = ratio_of(confirmation, mean_tpot(given), one, other)
    assert ratio is not None
    return ratio


def test_luck_that_plans_share_does_not_blur_their_ratio() -> None:
    shared = compared(scenario(), observer(scenario(), noise=0.10))
    assert shared.errors["replay"] == pytest.approx(0.0, abs=1e-12)
    assert shared.error == pytest.approx(0.005)  # what rounding leaves
    own = compared(scenario(), observer(scenario(), noise=0.10, alone=0.10))
    assert own.errors["replay"] > 0.01


def test_the_replays_error_is_students() -> None:
    """Log ratios of six replications, mean ± t(5) · s/√6 with t = 2.571."""
    seen: dict[str, list[float]] = {}
    inside = observer(scenario(), alone=0.08)

    def observe(plan: Plan) -> object:
        found = inside(plan)
        seen[plan.assignments[0].mode] = [run.workload("chat").tpot_ms.mean or 0.0 for run in found.runs]
        return found

    ratio = compared(scenario(), observe)  # type: ignore[arg-type]
    logs = [log(a / b) for a, b in zip(seen["distributed"], seen["target_only"], strict=True)]
    assert len(logs) == len(LUCK)
    assert ratio.errors["replay"] == pytest.approx(2.571 * float(np.std(logs, ddof=1)) / sqrt(6))


def test_a_model_that_misjudges_the_ratio_widens_it() -> None:
    def factor(plan: Plan) -> float:
        return 1.08 if plan.assignments[0].mode == "distributed" else 1.0

    wrong = compared(scenario(), observer(scenario(), factor))
    assert wrong.errors["model"] == pytest.approx(log(1.08))
    assert wrong.high == pytest.approx(wrong.point * exp(sqrt(log(1.08) ** 2 + 0.005**2)))
    both = compared(scenario(), observer(scenario(), lambda plan: 1.08))
    assert both.errors["model"] == pytest.approx(0.0, abs=1e-12)


def test_a_price_is_sure_where_budgets_leave_room() -> None:
    """Plain decoding needs 27 ms of p95: half of 90 leaves room for that, half of 40 does not."""

    def ratio(limit_ms: float) -> Ratio | None:
        given = scenario(devices=(edge_box(), gpu(count=6)), workloads=(chat(rate_per_s=6.0, tpot_p95_ms=limit_ms),))
        confirmation = Confirmation(Evaluator(given, stub_model.predict), observer(given), lambda line: None)
        space = space_of(given)
        return price_ratio(confirmation, [space.purely("fused")], [space.purely("target_only")], 0.5)

    sure, unsure = ratio(90.0), ratio(40.0)
    assert sure is not None
    assert unsure is not None
    assert sure.low == sure.point == sure.high
    assert unsure.low < unsure.point


def test_one_replication_decides_nothing() -> None:
    given = recorded(level_scenario(), 400)
    inside = observer(given)

    def observe(plan: Plan) -> Observation:
        pooled = inside(plan).pooled
        return Observation(replace(pooled, workloads=tuple(replace(w, ci=None) for w in pooled.workloads)))

    found = study(given, observe)
    assert found.verdict.answer == "undecided"
    assert found.verdict.measure_next is not None
    assert "at least two replications" in found.verdict.measure_next
    assert "--replications 8" in found.verdict.measure_next
