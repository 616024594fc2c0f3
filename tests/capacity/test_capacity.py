"""Capacity by the real model: closed forms where there are any, and the smaller plan predicted directly."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from dsd_plan import planning
from dsd_plan.capacity.breaking import RESOLUTION, Loads, any_excess
from dsd_plan.capacity.changes import with_devices
from dsd_plan.capacity.confirm import MARGIN, confirmed
from dsd_plan.capacity.growth import growing, growth_of
from dsd_plan.capacity.run import capacity_of
from dsd_plan.capacity.words import sentence_of
from dsd_plan.domain.capacity import Capacity
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.scenario import FleetBudgets, Scenario
from dsd_plan.domain.workload import Budgets, ClosedRequests, RequestTrace
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict, with_intervals
from dsd_plan.optimize.choices.budgets import limits_of
from dsd_plan.optimize.choices.candidates import plan_of, space_of
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.variation import with_load
from tests.model.systems import TARGET_LAW, Chat, system
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario

BOUND = {"rel": 2 * RESOLUTION}


def capacity(*chats: Chat, **more: Any) -> Capacity:
    deployed = system(*chats, **more)
    return capacity_of(deployed.scenario, deployed.plan, predict)


def edge_plan(given: Scenario, boxes: int = 4, gpus: int = 2, window: int = 4) -> Plan:
    chosen = [c for c in space_of(given).purely("distributed").by_workload[0] if c.window == window][:1]
    return plan_of(given, Choice(tuple(chosen), (("edge-box", boxes), ("gpu", gpus))))


# Full batches of 8: jobs of a request are 1 prefill and 100 decodes. An iteration of the mean mix has 8/101 prefills of
# 200 tokens (10 ms each) and 800/101 decodes (0.2 ms each) on top of the 20 ms step.
FULL_MS = TARGET_LAW.step_ms + 800 / 101 * TARGET_LAW.per_token_ms + 8 / 101 * 200 * TARGET_LAW.per_prompt_token_ms
MOST_PER_S = 8 / FULL_MS / 101 * 1000.0


def test_without_budgets_the_load_is_that_of_full_batches() -> None:
    found = capacity(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
    assert found.load == pytest.approx(MOST_PER_S / 0.5, **BOUND)
    assert found.breaks == "saturation"
    assert found.saturation_load == found.load
    assert found.bottleneck is not None
    assert found.bottleneck.name == "gpu"
    # Twice the batch cap would nearly double it: the step's 20 ms hardly grow with the batch.
    assert found.bottleneck.why == "batch_cap"
    assert "No budget is given" in found.sentence
    assert found.headroom[0].load_at_knee == pytest.approx(MOST_PER_S / 0.5, rel=1e-6)
    assert found.headroom[0].spare == pytest.approx(1.0 - 0.5 / MOST_PER_S, rel=1e-6)


def test_a_device_type_that_could_serve_and_is_not_in_the_plan_is_named() -> None:
    """Not one without a profile of a model that the plan runs."""
    given = scenario(devices=(gpu(count=2), edge_box(count=4)), modes=("target_only", "distributed"))
    plain = plan_of(given, Choice(space_of(given).purely("target_only").by_workload[0][:1], (("gpu", 1),)))
    rented = replace(given.device("gpu"), name="rented")
    more = replace(given, devices=(*given.devices, rented))
    assert capacity_of(given, plain, predict).not_used == ()
    assert capacity_of(more, plain, predict).not_used == ("rented",)


def test_a_second_replica_doubles_it_and_losing_the_only_one_ends_it() -> None:
    found = capacity(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
    (more,), (less,) = found.one_more, found.one_less
    assert more.load == pytest.approx(2 * MOST_PER_S / 0.5, **BOUND)
    assert more.gain == pytest.approx(MOST_PER_S / 0.5, rel=4 * RESOLUTION)
    assert more.cost_per_hour == 4.0
    assert more.gain_per_cost == pytest.approx(MOST_PER_S / 0.5 / 4.0, rel=4 * RESOLUTION)
    assert more.to_buy
    assert (less.load, less.broken) == (0.0, ("saturation",))
    assert less.reason == "the only gpu is lost: chat0 is not served"


def test_full_draft_devices_are_the_bottleneck_at_their_knee() -> None:
    # One device drafts 4 steps of 5 ms a round; its prefill is a step with 200 tokens of prompt.
    one = Chat(rate_per_s=0.8, devices=1)
    found = capacity(one)
    now = predict(system(one))
    saturation = {device.name: device.saturation for device in now.devices}["edge0"]
    assert saturation is not None
    rounds = now.workloads[0].rounds_per_request
    assert rounds is not None
    assert saturation == pytest.approx(0.8 * (rounds * 20.0 + 25.0) / 1000.0)
    assert found.load == pytest.approx(1.0 / saturation, **BOUND)
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.why) == ("edge0", "draft_device")
    assert found.next_limits[1].load > found.next_limits[0].load * 1.5


def test_kv_memory_is_named_where_it_is_short() -> None:
    # 62 GiB leave 2 GiB of KV; 300 tokens of 2 MiB each: 3 sessions, far fewer than a batch of 32 holds.
    found = capacity(Chat(mode="target_only", rate_per_s=0.1), memory_gib=62.0, kv_mib_per_token=2.0)
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.why) == ("gpu", "kv_memory")


def test_a_narrow_uplink_is_named() -> None:
    # 1,200 bytes of prompt take 96 ms at 0.1 Mbit/s; the budget on TTFT is broken by their queue.
    one = Chat(mode="target_only", rate_per_s=2.0, prompt=300, mbps=0.1, budgets=Budgets(ttft_p95_ms=400.0))
    found = capacity(one)
    assert found.breaks == "chat0: ttft_p95_ms"
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.why) == ("site0 → region", "link")


def test_memory_that_holds_not_one_request_is_blamed_at_every_load() -> None:
    """No replica more helps it, and every load is too much."""
    found = capacity(Chat(mode="target_only", rate_per_s=0.5), kv_mib_per_token=500.0)
    assert (found.load, found.holds_now) == (0.0, False)
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.why) == ("gpu", "kv_memory")
    assert sentence_of(found).endswith("no steady state is left because gpu is short of KV memory.")


def test_a_budget_that_the_empty_system_breaks_blames_no_device() -> None:
    one = Chat(mode="target_only", rate_per_s=0.01, rtt_ms=200.0, budgets=Budgets(ttft_p50_ms=100.0))
    found = capacity(one)
    assert (found.load, found.holds_now) == (0.0, False)
    assert found.bottleneck is not None
    assert (found.bottleneck.name, found.bottleneck.why) == (None, "nothing_shared")
    assert found.sentence.startswith("Does not hold at any load: chat0's TTFT p50 is ")
    assert not found.budgets[0].kept_now


def test_breaking_loads_are_where_the_model_says() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=40.0, ttft_p95_ms=300.0),))
    plan = edge_plan(given)
    found = capacity_of(given, plan, predict)
    row = next(row for row in found.budgets if row.budget == "tpot_p95_ms")
    assert row.load is not None
    assert row.interval is not None
    deployed = deploy(given, plan)
    held = predict(with_load(deployed, row.load)).workloads[0].tpot_ms.p95
    past = predict(with_load(deployed, row.load * (1 + 2 * RESOLUTION))).workloads[0].tpot_ms.p95
    assert held is not None
    assert past is not None
    assert held <= 40.0 < past
    assert row.interval.low < row.load < row.interval.high
    assert found.load == min(r.load for r in found.budgets if r.load is not None)


def test_a_tighter_budget_breaks_no_later() -> None:
    loads = []
    for limit in (60.0, 30.0):
        given = scenario(workloads=(chat(tpot_p95_ms=limit),))
        loads.append(capacity_of(given, edge_plan(given), predict).load or 0.0)
    assert loads == sorted(loads, reverse=True)


def test_losing_a_device_is_the_smaller_plan() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=40.0),), devices=(edge_box(), gpu()))
    found = capacity_of(given, edge_plan(given), predict)
    for row, smaller in zip(found.one_less, (edge_plan(given, 3, 2), edge_plan(given, 4, 1)), strict=True):
        deployed = deploy(given, smaller)
        edge = Loads(deployed, predict).edge(any_excess(limits_of(given)))
        assert row.load == pytest.approx(edge.load, **BOUND)
        try:
            tpot = predict(deployed).workloads[0].tpot_ms.p95 or math.inf
            expected = ("chat: tpot_p95_ms",) if tpot > 40.0 else ()
        except UnstableError:
            expected = ("chat: tpot_p95_ms", "saturation")
        assert row.broken == expected


def test_one_more_says_what_must_be_bought() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=40.0),))
    found = capacity_of(given, edge_plan(given, 6, 2), predict)
    assert [(row.device, row.count, row.to_buy) for row in found.one_more] == [("edge-box", 7, True), ("gpu", 3, False)]
    for row in found.one_more:
        assert row.load is not None
        assert found.load is not None
        assert row.load >= found.load * (1 - RESOLUTION)


def test_every_model_of_a_device_moves_with_it() -> None:
    given = scenario()
    chosen = space_of(given).purely("fused").by_workload[0][:1]
    plan = plan_of(given, Choice(chosen, (("gpu", 2),)))
    larger, more = with_devices(given, plan, "gpu", 2)
    assert {d.count for d in more.deployments if d.device == "gpu"} == {4}
    assert larger.device("gpu").count == 4
    assert deploy(larger, more).targets[0].replicas == 4


def test_a_plan_that_is_over_its_knee_today_says_so() -> None:
    found = capacity(
        Chat(mode="target_only", rate_per_s=2 * MOST_PER_S, budgets=Budgets(tpot_p95_ms=50.0)), batch_cap=8
    )
    assert not found.holds_now
    assert found.saturation_load == pytest.approx(0.5, **BOUND)
    assert found.sentence.startswith("Does not hold today's load: no steady state is left.")
    assert found.budgets[0].now is None
    assert found.headroom[0].saturation is None


def test_closed_users_never_saturate() -> None:
    one = Chat(mode="target_only", rate_per_s=None, users=2, think_s=1.0)
    found = capacity(one)
    assert (found.load, found.saturation_load, found.breaks) == (None, None, None)
    assert found.holds_now
    assert found.headroom[0].load_at_knee is None
    assert any("closed users" in note for note in found.notes)
    assert isinstance(system(one).streams[0].requests, ClosedRequests)


def test_fleet_budgets_are_judged_today() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=40.0),), budgets=FleetBudgets(cost_per_hour=1.0))
    found = capacity_of(given, edge_plan(given), predict)
    row = next(row for row in found.budgets if row.scope == "fleet")
    assert (row.kept_now, row.load, row.now) == (False, None, pytest.approx(8.2))


def test_the_result_says_the_same_as_json() -> None:
    found = capacity(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
    body = found.to_dict()
    assert body["schema"] == "dsd-plan/capacity/1"
    assert body["load"] == found.load
    assert body["growth"] is None


def steady(deployed: Any) -> Performance:
    return replace(predict(deployed), source="replay")


def test_the_replay_confirms_what_the_model_says_of_itself() -> None:
    given = scenario(workloads=(chat(tpot_p95_ms=40.0),))
    deployed = deploy(given, edge_plan(given))
    found = capacity_of(given, deployed.plan, predict)
    agreed = confirmed(found, deployed, steady)
    assert agreed is not None
    assert found.load is not None
    assert (agreed.verdict, agreed.below.kept, agreed.above.kept) == ("agrees", True, False)
    assert agreed.below.load == pytest.approx(found.load * (1 - MARGIN))

    def slower(changed: Any) -> Performance:
        whole = steady(changed)
        tpot = whole.workloads[0].tpot_ms
        longer = replace(tpot, p95=3.0 * (tpot.p95 or 0.0))
        return replace(whole, workloads=(replace(whole.workloads[0], tpot_ms=longer),))

    contradicted = confirmed(found, deployed, slower)
    assert contradicted is not None
    assert contradicted.verdict == "disagrees"


def test_a_recording_keeps_its_bursts_when_it_is_played_faster() -> None:
    # The same rate, once evenly and once in bursts of ten at a time: a prompt waits for those before it in its burst.
    at = np.arange(400) * 0.5
    bursts = np.repeat(np.arange(40) * 5.0, 10) + np.tile(np.arange(10) * 0.001, 40)
    loads = []
    for arrival_s in (at, bursts):
        lengths = np.full(400, 100, dtype=np.int64)
        trace = RequestTrace(arrival_s=arrival_s, prompt_tokens=2 * lengths, output_tokens=lengths)
        one = Chat(mode="target_only", requests=trace, budgets=Budgets(ttft_p95_ms=120.0))
        found = capacity(one, batch_cap=16)
        assert found.load is not None
        loads.append(found.load)
    assert loads[1] < 0.1 * loads[0]


def test_steps_that_take_the_same_time_whatever_is_in_them() -> None:
    """One job at a time, of 10 ms, 21 a request: 4 requests a second are 0.84 of what there is."""
    chats = [Chat(mode="target_only", rate_per_s=rate, prompt=100, output=21) for rate in (1.0, 3.0)]
    found = capacity(*chats, batch_cap=1, target=StepLaw(step_ms=10.0))
    assert found.load == pytest.approx(1.0 / 0.84, **BOUND)


def test_what_the_model_says_of_itself_is_told_today_and_where_it_breaks() -> None:
    one = system(Chat(mode="target_only", rate_per_s=0.5, budgets=Budgets(tpot_p95_ms=120.0)), batch_cap=8, replicas=2)
    found = capacity_of(one.scenario, one.plan, predict)
    assert found.load is not None
    edge = with_load(one, found.load)
    today, then = (with_intervals(d, predict(d), predict).notes for d in (one, edge))
    assert any("not studied for this: 2 replicas of gpu" in note for note in today)
    assert found.notes[: len(today)] == today
    new = [note for note in then if note not in today]
    assert any("saturation 0.9" in note and "a fifth off" in note for note in new)
    assert [note.partition(" × today's load: ")[2] for note in found.notes[len(today) :]] == new


def test_a_budget_broken_today_breaks_at_no_load_alone() -> None:
    broken = Chat(mode="target_only", rate_per_s=0.2, budgets=Budgets(tpot_p95_ms=1.0))
    kept = Chat(mode="target_only", rate_per_s=0.2, budgets=Budgets(tpot_p95_ms=120.0))
    first, second = capacity(broken, kept, batch_cap=8).alone
    assert (first.broken_now, second.broken_now) == (("chat0: tpot_p95_ms",), ())
    for row in (first, second):
        assert row.load is not None
        assert row.load > 1.0
        assert row.breaks in ("chat1: tpot_p95_ms", "saturation")


def test_no_steady_state_today_is_told_of_each_alone() -> None:
    one = Chat(mode="target_only", rate_per_s=MOST_PER_S, budgets=Budgets(tpot_p95_ms=50.0))
    first, second = capacity(one, one, batch_cap=8).alone
    assert first.broken_now == ("saturation", "chat0: tpot_p95_ms")
    assert second.broken_now == ("saturation", "chat1: tpot_p95_ms")


def test_a_power_budget_is_spread_over_more_devices() -> None:
    """Half the load on each of two: the mean power of one falls, so that the device is what is short."""
    given = scenario(
        devices=(gpu(count=1),),
        workloads=(chat(rate_per_s=2.0),),
        budgets=FleetBudgets(power_w={"gpu": 400.0}),
        modes=("target_only",),
    )
    chosen = space_of(given).by_workload[0][:1]
    plan = plan_of(given, Choice(tuple(chosen), (("gpu", 1),)))
    found = capacity_of(given, plan, predict)
    assert found.breaks == "gpu: power_w"
    assert found.bottleneck is not None
    assert found.bottleneck.name == "gpu"
    assert found.bottleneck.load_if_doubled == pytest.approx(found.one_more[0].load, **BOUND)


def test_one_more_of_what_is_rarely_there_pays_for_several() -> None:
    """Of devices that are up half the time 2 are paid for 1 at work, 4 for 2."""
    given = scenario(devices=(edge_box(count=3, available=0.5), gpu(count=2)), workloads=(chat(rate_per_s=0.5),))
    found = capacity_of(given, edge_plan(given, boxes=1, gpus=1), predict)
    box = next(row for row in found.one_more if row.device == "edge-box")
    assert (box.count, box.to_buy) == (2, True)
    assert box.cost_per_hour == pytest.approx(2 * 0.05)


def test_where_loads_follow_the_hours_today_is_the_busiest_one() -> None:
    deployed = system(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
    (workload,) = deployed.scenario.workloads
    hours = (0.25,) * 12 + (2.0,) * 12
    of_hours = replace(deployed.scenario, workloads=(replace(workload, hourly_load=hours),))
    found = capacity_of(of_hours, deployed.plan, predict)
    assert found.load == pytest.approx(MOST_PER_S / (2.0 * 0.5), **BOUND)
    assert found.of_busiest_hour
    assert "× the load of today's busiest hour" in found.sentence
    plain = capacity_of(deployed.scenario, deployed.plan, predict)
    assert not plain.of_busiest_hour
    assert "× today's load" in plain.sentence


def test_dates_of_growth_are_those_of_the_busiest_hour() -> None:
    written = scenario(workloads=(chat(rate_per_s=1.0),), modes=("target_only",))
    (workload,) = written.workloads
    of_hours = replace(written, workloads=(replace(workload, hourly_load=(0.5,) * 12 + (2.0,) * 12),))
    (plain, *_) = space_of(written).purely("target_only").by_workload[0]
    plan = plan_of(written, Choice((plain,), (("gpu", 2),)))
    start, until = date(2026, 1, 1), "2060-01-01"
    found = planning.capacity(of_hours, plan, growth="5%/month", start=start, until=until)
    as_written = planning.capacity(written, plan)
    assert as_written.load is not None
    assert found.load == pytest.approx(as_written.load / 2.0, **BOUND)
    assert found.growth is not None
    expected = growth_of(growing("5%/month", start, until), {"saturation": found.load})
    assert found.growth.dates == expected.dates
