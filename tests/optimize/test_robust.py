"""Plans for the bad end: every input where its measured interval ends, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.acceptance import (
    Acceptance,
    AcceptanceCounts,
    RoundTrace,
    TokenTrace,
    TraceMetadata,
    survival_by_position,
)
from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.profile import HeldOut, LatencyStats, ProfilePoint
from dsd_plan.domain.scenario import Scenario, Search
from dsd_plan.domain.step_time import decode_ms, prefill_ms, surface_of
from dsd_plan.domain.study import Study
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.model.input_errors import tokens_error
from dsd_plan.optimize.confirmation.bad_end import bad_end, slower
from dsd_plan.optimize.robust import robust_study
from dsd_plan.report.terminal import render_text
from tests.optimize import stub_model
from tests.optimize.brute_force import keeps_budgets
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_study import PROVENANCE

METADATA = TraceMetadata("small", "large", "0", "argmax", "test", "1")


def recorded(kind: str) -> Acceptance:
    """Requests that differ among each other, so that their mean has an interval."""
    rng = np.random.default_rng(3)
    own = rng.uniform(0.6, 0.9, 60)
    if kind == "tokens":
        match = (rng.random((60, 100)) < own[:, None]).astype(np.uint8)
        return TokenTrace(METADATA, np.repeat(np.arange(60), 100), match.ravel())
    accepted = np.minimum(rng.geometric(1.0 - np.repeat(own, 30)) - 1, 6)
    if kind == "rounds":
        return RoundTrace(METADATA, np.repeat(np.arange(60), 30), np.full(1800, 6), accepted)
    kept = tuple(int((accepted > i).sum()) for i in range(6))
    return AcceptanceCounts(metadata=METADATA, reached=(1800,) * 6, kept=kept)


def with_acceptance(given: Scenario, acceptance: Acceptance) -> Scenario:
    return replace(given, pairs=(replace(given.pairs[0], acceptance=acceptance),))


def test_what_was_declared_counts_as_exact_and_is_named() -> None:
    given = scenario()
    moved, ends, exact = bad_end(given, None)
    assert moved == given
    assert ends == ()
    assert exact == (
        "the acceptance of small + large",
        "the round trip clinic – region",
        "the step time of small on edge-box",
        "the step time of large on gpu",
        "the step time of small on gpu",
        "the load (no robust_load is given)",
    )


@pytest.mark.parametrize("kind", ["tokens", "rounds", "counts"])
def test_acceptance_falls_by_its_error_in_tokens_a_round(kind: str) -> None:
    acceptance = recorded(kind)
    error = tokens_error(acceptance, 4)
    assert error is not None
    assert 0.005 < error < 0.2
    moved, (end,), _ = bad_end(with_acceptance(scenario(), acceptance), None)
    now, there = (1.0 + survival_by_position(a, 4).sum() for a in (acceptance, moved.pairs[0].acceptance))
    assert (end.input, end.window) == ("acceptance", 4)
    assert end.now == pytest.approx(now)
    assert end.set_to == pytest.approx(now * (1.0 - error))
    # Which of the recorded matches are lost is drawn: the law of large numbers does the rest.
    assert there == pytest.approx(end.set_to, rel=1e-9 if kind == "counts" else 0.02)
    again = bad_end(with_acceptance(scenario(), acceptance), None)[0].pairs[0].acceptance
    assert survival_by_position(again, 4).tolist() == survival_by_position(moved.pairs[0].acceptance, 4).tolist()


def test_a_recorded_round_trip_grows_by_the_error_of_its_mean() -> None:
    """Ten stretches of two rows, their means 9 and 11 by turns: sd 1.0541, so 1.96 · 1.0541 / √10 / 10 = 6.5 %."""
    rtt_ms = tuple(9.0 if (i // 2) % 2 == 0 else 11.0 for i in range(20))
    trace = RttTrace(at_s=tuple(float(i) for i in range(20)), rtt_ms=rtt_ms)
    given = scenario()
    moved, (end,), _ = bad_end(replace(given, links=(replace(given.links[0], rtt_ms=None, trace=trace),)), None)
    assert end.now == pytest.approx(10.0)
    assert end.set_to == pytest.approx(10.0 * (1.0 + 1.959964 * 1.0540926 / 10**0.5 / 10.0))
    assert moved.links[0].trace is not None
    assert moved.links[0].trace.mean_ms == pytest.approx(end.set_to)


def test_steps_take_longer_by_the_error_of_their_profile() -> None:
    box = edge_box()
    stats = LatencyStats(mean=5.0, std=0.1, p50=5.0, p95=5.2, p99=5.3)
    point = ProfilePoint(phase="decode", batch=1, new_tokens=1, context_tokens=0, samples=9, latency_ms=stats)
    held_out = HeldOut(points=3, mean_error=0.1, max_error=0.2)
    measured = replace(box.profiles["small"], origin="measured", points=(point,), held_out=held_out)
    given = scenario(devices=(replace(box, profiles={"small": measured}), gpu()))
    moved, (end,), _ = bad_end(given, None)
    assert (end.input, end.of, end.set_to) == ("step_time", "small on edge-box", pytest.approx(1.1))
    before, after = (surface_of(s.devices[0].profiles["small"]) for s in (given, moved))
    assert decode_ms(after, 1.0, 1.0, 0.0) == pytest.approx(1.1 * decode_ms(before, 1.0, 1.0, 0.0)) == 5.5
    assert prefill_ms(after, 1.0, 200.0) == pytest.approx(1.1 * prefill_ms(before, 1.0, 200.0))


def test_every_time_of_a_law_is_scaled_and_no_power() -> None:
    profile = gpu().profiles["large"]
    law = replace(profile.fit.law, knots=((1.0, 20.0), (64.0, 40.0)), mixed_kv_token_us=2.0, load_scale=1.5)
    slow = slower(replace(profile, fit=replace(profile.fit, law=law)), 2.0).fit.law
    assert slow.knots == ((1.0, 40.0), (64.0, 80.0))
    assert (slow.step_ms, slow.per_token_ms, slow.mixed_kv_token_us) == (40.0, 0.2, 4.0)
    assert (slow.active_w, slow.load_scale) == (600.0, 1.5)


def test_load_grows_as_declared() -> None:
    closed = replace(
        chat(name="desk"), requests=ClosedRequests(users=10, think_s=1.0, prompt_tokens=9, output_tokens=9)
    )
    moved, (end,), _ = bad_end(scenario(workloads=(chat(rate_per_s=6.0), closed)), 1.25)
    assert (end.input, end.now, end.set_to) == ("load", 1.0, 1.25)
    open_requests, users = (workload.requests for workload in moved.workloads)
    assert open_requests.rate_per_s == pytest.approx(7.5)  # type: ignore[union-attr]
    assert users.users == 12  # type: ignore[union-attr]
    less = replace(scenario(), search=Search(robust_load=0.8))
    assert [problem.place for problem in scenario_problems(less)] == ["search.robust_load"]


def studied(given: Scenario, load: float | None) -> tuple[Study, Scenario]:
    asked = replace(given, search=replace(given.search, robust_load=load))
    return robust_study(
        asked, stub_model.predict, lambda within: observer(within, lambda plan: 1.0), agreements, PROVENANCE
    )


def test_a_robust_plan_keeps_at_the_bad_end_what_the_plain_one_breaks() -> None:
    given = scenario(workloads=(chat(rate_per_s=40.0, tpot_p95_ms=40.0),), devices=(edge_box(), gpu(count=8)))
    found, moved = studied(given, 2.5)
    told = found.robustness
    assert told is not None
    assert not told.same_plan
    assert told.plain_breaks
    assert told.robust_cost_per_hour > told.plain_cost_per_hour
    assert keeps_budgets(moved, stub_model.predict(deploy(moved, found.plan)))
    assert keeps_budgets(given, stub_model.predict(deploy(given, told.plain_plan)))
    assert told.sentence.startswith("Robustness costs ")
    assert found.story[0] == told.sentence
    assert [end.input for end in told.inputs] == ["load"]
    assert len(told.exact) == 5
    # Loads are told against today's: the plan is made for 2.5 of it.
    assert found.planned_load == 2.5
    mine = found.curves[0]
    (here,) = [point for point in mine.points if point.load == 2.5]
    assert here.tpot_p95_ms == pytest.approx(found.predicted.workload("chat").tpot_ms.p95)
    (tip,) = [tip for tip in found.tipping_points if tip.input == "load"]
    assert (tip.now, tip.searched) == (2.5, (0.25, 25.0))
    (over_load,) = [found for found in found.maps if found.y_name == "load"]
    assert over_load.here[1] == 2.5
    assert 2.5 in {cell.y for cell in over_load.cells}
    text = " ".join(render_text(found).split())
    assert "at 2.5 × today's load" in text
    assert "is used today" not in text
    assert "at today's load" not in text


def test_without_any_interval_the_plain_plan_is_the_robust_one() -> None:
    given = scenario(workloads=(chat(rate_per_s=2.0, tpot_p95_ms=60.0),))
    found, moved = studied(given, None)
    assert moved == given
    assert found.robustness is not None
    assert found.robustness.same_plan
    assert "No input has a measured interval" in found.robustness.sentence
