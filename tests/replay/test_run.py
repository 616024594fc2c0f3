"""The public call: determinism, steadiness, notes, merging, progress, refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.performance import Performance, Quantiles
from dsd_plan.domain.plan import Assignment, Deployment, Policy
from dsd_plan.domain.profile import StepLaw
from dsd_plan.errors import PlanError, ScenarioError
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, points, poisson, recorded, system, token_trace

JITTER = Link(between=("edge", "region"), rtt_ms=20.0, jitter_cv=0.3)


def light() -> Deployed:
    return system(poisson(6.0), devices=6, link=JITTER)


def test_same_seed_same_bytes_whatever_the_order() -> None:
    """Invariant 11."""

    def backwards(once: Callable[[int], Any], numbers: Iterable[int]) -> Iterable[Any]:
        return [once(number) for number in reversed(list(numbers))][::-1]

    first = replay(light(), seed=4, requests=300, replications=4).to_dict()
    assert replay(light(), seed=4, requests=300, replications=4).to_dict() == first
    assert replay(light(), seed=4, requests=300, replications=4, run_all=backwards).to_dict() == first
    with ThreadPoolExecutor(2) as threads:
        assert replay(light(), seed=4, requests=300, replications=4, run_all=threads.map).to_dict() == first
    assert replay(light(), seed=5, requests=300, replications=4).to_dict() != first


@pytest.mark.parametrize("requests", range(2, 16))
def test_a_few_requests_long_apart_have_a_series_too(requests: int) -> None:
    """Measuring may end long after the last event, beyond the bins that events have needed."""
    found = replay(system(closed(1, think_s=10.0, output=11), mode="target_only"), requests=requests, replications=4)
    assert found.workloads[0].ttft_ms.mean in (pytest.approx(42.0), None)  # 20 of way, 20 + 100 × 0.02 of prefill


def test_another_process_gives_the_same_bytes() -> None:
    """Invariant 11: nothing depends on hash seeds or addresses."""
    script = (
        "from tests.replay.test_run import light\nfrom dsd_plan.replay.run import replay\n"
        "print(replay(light(), seed=4, requests=200, replications=2))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1
    assert "source='replay'" in outputs.pop()


def test_an_interval_holds_its_point_and_shrinks_with_replications() -> None:
    few, many = (replay(light(), requests=400, replications=n).workload("chat") for n in (4, 16))
    assert few.ci is not None
    assert many.ci is not None
    keys = {f"{metric}_ms.{of}" for metric in ("ttft", "tpot", "itl", "e2e") for of in ("mean", "p50", "p95", "p99")}
    assert set(few.ci) == keys | {"tokens_per_s", "tokens_per_round"}
    for key in keys:
        metric, statistic = key.split(".")
        found = few.ci[key]
        assert found is not None
        assert found[0] <= getattr(getattr(few, metric), statistic) <= found[1]
    wide, narrow = few.ci["tpot_ms.mean"], many.ci["tpot_ms.mean"]
    assert wide is not None
    assert narrow is not None
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def assert_nothing_measured(performance: Performance, note: str) -> None:
    assert not performance.steady
    assert any(note in text for text in performance.notes), performance.notes
    (chat,) = performance.workloads
    assert chat.ttft_ms == chat.tpot_ms == chat.itl_ms == chat.e2e_ms == Quantiles()
    assert (chat.tokens_per_s, chat.slo_attainment, chat.ci) == (None, None, None)
    assert (performance.fleet.tokens_per_s, performance.fleet.power_w) == (None, None)


def test_an_overloaded_open_stream_is_not_replayed() -> None:
    """Λ·T(B)/B: 2 requests/s of 39 jobs of 20 ms, one at a time, on one replica: 1.6 of what it can do."""
    deployed = system(poisson(2.0), mode="target_only", target=StepLaw(step_ms=20.0), cap=1)
    performance = replay(deployed, requests=200, replications=2)
    assert_nothing_measured(
        performance,
        "gpu is saturated: requests ask 1.6 times what it can do at full batches; offer less than 62.5 % of this load, "
        "or deploy at least 2 of it instead of 1",
    )
    assert performance.devices[0].saturation == pytest.approx(1.6)


def test_an_overloaded_draft_device_counts_too() -> None:
    deployed = system(poisson(4.0), draft=StepLaw(step_ms=10.0))
    assert_nothing_measured(replay(deployed, requests=200, replications=2), "box is saturated: requests ask")


@pytest.mark.parametrize("replications", [1, 4])
def test_a_queue_that_grows_for_want_of_memory_is_found_by_its_growth(replications: int) -> None:
    """Memory for one session a time, 10 requests/s of 200 ms each: saturation is .03, and the queue grows."""
    deployed = system(
        poisson(10.0, 100, 10), mode="target_only", target=StepLaw(step_ms=20.0), memory_gib=150 / 1024, kv_mib=1.0
    )
    performance = replay(deployed, requests=400, replications=replications)
    assert_nothing_measured(performance, "had not settled")
    assert performance.devices[0].saturation == pytest.approx(10 * 10 * 20 / 64 / 1000)


def test_a_saturated_closed_system_is_steady() -> None:
    deployed = system(closed(60, 0.0, 100, 20), devices=60, cap=4)
    performance = replay(deployed, requests=600, replications=4)
    assert performance.steady
    gpu = next(row for row in performance.devices if row.name == "gpu")
    assert gpu.saturation == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(("rate_per_s", "requests", "replications"), [(6.0, 60, 1), (6.0, 1000, 8), (11.0, 3000, 4)])
def test_stable_systems_are_found_steady(rate_per_s: float, requests: int, replications: int) -> None:
    deployed = system(poisson(rate_per_s), devices=6, link=JITTER)
    assert replay(deployed, seed=2, requests=requests, replications=replications).steady


def test_two_assignments_of_one_workload_become_one_row() -> None:
    base = light()
    scenario, plan = base.scenario, base.plan
    half = replace(plan.assignments[0], share=0.5)
    plain = Assignment(workload="chat", mode="target_only", target_device="gpu", share=0.5)
    performance = replay(deploy(scenario, replace(plan, assignments=(half, plain))), requests=500, replications=4)
    (chat,) = performance.workloads
    assert chat.requests == 4 * 400
    assert chat.requests_per_s == pytest.approx(6.0, rel=0.1)
    assert chat.tokens_per_round == pytest.approx(2.7, abs=0.2)  # of the distributed half alone
    assert chat.rounds_per_request == pytest.approx(39 / 2.7, abs=1.0)
    drafted = replay(base, requests=500, replications=4).workload("chat").bytes_per_token
    assert drafted is not None
    assert chat.bytes_per_token == pytest.approx((drafted + (400 + 4 + 39 * 4) / 40) / 2, rel=0.05)


def test_energy_is_null_where_a_power_is_unknown_and_split_by_jobs_and_what_they_add() -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1, active_w=300.0)
    both = {"long": poisson(2.0, 100, 41), "short": poisson(2.0, 100, 11)}
    plain = {"long": "target_only", "short": "target_only"}
    assert replay(system(both, mode=plain, target=law), requests=100).fleet.power_w is None  # type: ignore[arg-type]
    known = system(both, mode=plain, target=law, idle_w=50.0)  # type: ignore[arg-type]
    performance = replay(known, requests=800, replications=4)
    power_w = performance.fleet.power_w
    assert power_w is not None
    long, short = performance.workload("long"), performance.workload("short")
    drawn = [w.energy_j_per_token * w.tokens_per_s for w in (long, short)]  # type: ignore[operator]
    assert sum(drawn) == pytest.approx(power_w)
    # A request adds 40·.2 + 100·.1 = 18 ms against 10·.2 + 10 = 12 ms, and each of its jobs bears its part of 20 ms.
    each_ms = 20.0 / (performance.devices[0].mean_batch or 0.0)
    assert each_ms < 16.0
    assert drawn[0] / drawn[1] == pytest.approx((41 * each_ms + 18) / (11 * each_ms + 12), rel=0.05)


def test_energy_is_split_by_jobs_where_jobs_cost_nothing_more() -> None:
    """A law of steps alone: 41 and 11 jobs a request at the same rate."""
    deployed = system(
        {"long": poisson(2.0, 100, 41), "short": poisson(2.0, 100, 11)},
        mode={"long": "target_only", "short": "target_only"},
        target=StepLaw(step_ms=20.0, active_w=300.0),
        idle_w=50.0,
    )
    performance = replay(deployed, requests=800, replications=4)
    drawn = [w.energy_j_per_token * w.tokens_per_s for w in performance.workloads]  # type: ignore[operator]
    assert sum(drawn) == pytest.approx(performance.fleet.power_w)
    assert drawn[0] / drawn[1] == pytest.approx(41 / 11, rel=0.1)


def test_deployed_but_unused_devices_draw_idle_power() -> None:
    law = StepLaw(step_ms=20.0, active_w=300.0)
    deployed = system(poisson(2.0), mode="target_only", target=law, idle_w=50.0)
    spare = replace(
        deployed.plan, deployments=(*deployed.plan.deployments, Deployment(device="box", model="draft", count=1))
    )
    rows = {row.name: row for row in replay(deploy(deployed.scenario, spare), requests=100).devices}
    assert (rows["box"].busy, rows["box"].saturation, rows["box"].power_w) == (0.0, 0.0, 50.0)


def test_origins_say_how_each_input_is_known() -> None:
    grid = points(StepLaw(step_ms=11.0, per_token_ms=0.3, per_prompt_token_ms=0.05), (1, 8), (1, 5), (64, 256))
    inside = system(
        closed(4, 0.0, 100, 40), target=grid, draft=grid, devices=4, acceptance=token_trace([[1, 0, 1, 1, 0, 1] * 20])
    )
    origin = replay(inside, requests=40, replications=1).workload("chat").origin
    assert origin == {
        "verify_ms": "interpolated",
        "decode_ms": "interpolated",
        "prefill_ms": "interpolated",
        "acceptance": "measured",
    }
    beyond = system(closed(4, 0.0, 100, 400), target=grid, devices=4)
    performance = replay(beyond, requests=40, replications=1)
    chat = performance.workload("chat")
    assert chat.origin is not None
    assert (chat.origin["verify_ms"], chat.origin["decode_ms"]) == ("extrapolated", "declared")
    assert chat.origin["acceptance"] == "declared"
    assert any("verify_ms extrapolated" in note for note in performance.notes)


def test_a_recording_is_averaged_over_itself() -> None:
    """The middle of the recording counts; its thin end, where load falls, does not; and a note says what it is."""
    arrivals = [0.1 * i for i in range(200)]
    trace = system(recorded(arrivals, [100] * 200, [5] * 200), mode="target_only", target=StepLaw(step_ms=20.0))
    performance = replay(trace, requests=4000, replications=2)
    assert performance.steady
    chat = performance.workload("chat")
    assert chat.requests is not None
    # Not the first three tenths of a second: three times what a lone request takes. Both runs are alike: counted once.
    assert 193 <= chat.requests <= 197
    assert chat.requests_per_s == pytest.approx(10.0, rel=0.02)
    assert any("recording" in note for note in performance.notes)


def test_the_thin_end_of_a_recording_is_left_out() -> None:
    """A burst of 30 requests ends a recording: nothing follows them, so what they saw is no load's latency."""
    arrivals = [float(i) for i in range(100)] + [99.0] * 30
    trace = recorded(arrivals, [100] * 130, [200] * 130)  # 4.02 s each
    performance = replay(system(trace, mode="target_only", target=StepLaw(step_ms=20.0)), requests=500, replications=1)
    chat = performance.workload("chat")
    # Those that start between 12.06 s (three lone requests) and 99 s, less those that end after 99 s.
    assert chat.requests == len(range(13, 95))


def test_few_requests_and_waits_for_memory_are_noted() -> None:
    deployed = system(
        closed(3, 0.0, 100, 10), mode="target_only", target=StepLaw(step_ms=20.0), memory_gib=250 / 1024, kv_mib=1.0
    )
    notes = replay(deployed, requests=40, replications=1).notes
    assert any("only 32 requests were measured" in note for note in notes)
    assert any("of requests waited for KV memory" in note for note in notes)


def test_what_cannot_be_replayed_is_refused_before_anything_runs() -> None:
    with pytest.raises(PlanError, match="not supported yet: the policies"):
        replay(system(poisson(1.0), policy=Policy(kind="wc_dnn")))
    with pytest.raises(PlanError, match="needs 140 tokens of KV, a replica of 'gpu' holds 100"):
        replay(system(poisson(1.0), mode="target_only", memory_gib=100 / 1024, kv_mib=1.0))
    deployed = light()
    capped = tuple(replace(device, token_cap=512) for device in deployed.scenario.devices)
    with pytest.raises(ScenarioError, match="token_cap"):
        replay(deploy(replace(deployed.scenario, devices=capped), deployed.plan))
    for wrong in ({"requests": 1}, {"replications": 0}):
        with pytest.raises(ValueError, match="at least 2 in 1"):
            replay(deployed, **wrong)


def test_longer_windows_pay_on_a_long_way_and_not_without_acceptance() -> None:
    """A decision that anybody can check: with α = 0 every proposal is wasted, with α = 1 each one saves a step."""

    def tpot_ms(alpha: float, window: int) -> float:
        deployed = system(
            closed(1, 0.0, 10, 101),
            window=window,
            acceptance=AcceptanceLaw(per_token=alpha),
            draft=StepLaw(step_ms=2.0),
        )
        found = replay(deployed, requests=20, replications=1).workload("chat").tpot_ms.mean
        assert found is not None
        return found

    assert tpot_ms(0.0, 1) < tpot_ms(0.0, 8)
    assert tpot_ms(1.0, 8) < tpot_ms(1.0, 1)
