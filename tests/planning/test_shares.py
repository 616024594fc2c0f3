"""A workload in parts: predicted, replayed, cross-checked and sized as the whole that it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan import crosscheck, predict, replay
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.performance import Quantiles
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.errors import PlanError
from dsd_plan.planning import capacity
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario

RATE = 8.0
TWINS = scenario(
    devices=(gpu(name="one", count=2), gpu(name="other", count=2), edge_box(count=4, step_ms=2.0)),
    workloads=(chat(rate_per_s=RATE, tpot_p95_ms=60.0, ttft_p95_ms=900.0),),
)
PLAIN = Assignment(workload="chat", mode="target_only", target_device="one")
AWAY = replace(PLAIN, mode="distributed", draft_model="small", draft_device="edge-box", window=2)
BESIDE = replace(PLAIN, mode="fused", draft_model="small", draft_device="one", window=2)


def plan(*assignments: Assignment, count: int = 1) -> Plan:
    names = dict.fromkeys(a.target_device for a in assignments)
    drafts = {a.target_device for a in assignments if a.mode == "fused"}
    deployments = [Deployment(device=name, model="large", count=count) for name in names]
    deployments += [Deployment(device=name, model="small", count=count) for name in names if name in drafts]
    if any(a.mode == "distributed" for a in assignments):
        deployments.append(Deployment(device="edge-box", model="small", count=4))
    return Plan(scenario="small", assignments=assignments, deployments=tuple(deployments))


HALVES = plan(replace(PLAIN, share=0.5), replace(PLAIN, share=0.5, target_device="other"))
ALONE = plan(PLAIN)


def at(rate_per_s: float) -> Scenario:
    workload = replace(TWINS.workloads[0], requests=replace(TWINS.workloads[0].requests, rate_per_s=rate_per_s))
    return replace(TWINS, workloads=(workload,))


def close(one: Quantiles, other: Quantiles) -> bool:
    return all(
        getattr(one, name) == pytest.approx(getattr(other, name), rel=2e-3) for name in ("mean", "p50", "p95", "p99")
    )


def test_halves_on_two_like_devices_are_one_device_at_half_the_load() -> None:
    parted, alone = predict(TWINS, HALVES), predict(at(RATE / 2), ALONE)
    mine, other = parted.workload("chat"), alone.workload("chat")
    assert mine.requests_per_s == pytest.approx(RATE)
    for metric in ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"):
        assert close(getattr(mine, metric), getattr(other, metric))
    assert mine.slo_attainment == pytest.approx(other.slo_attainment, rel=1e-6)
    assert [d.saturation for d in parted.devices] == pytest.approx([alone.devices[0].saturation] * 2)
    assert mine.energy_j_per_token == pytest.approx(other.energy_j_per_token, rel=1e-6)


def test_halves_carry_twice_the_load_of_one() -> None:
    parted, alone = capacity(TWINS, HALVES), capacity(at(RATE / 2), ALONE)
    assert alone.load is not None
    assert parted.load == pytest.approx(alone.load, rel=0.01)
    assert parted.saturation_load == pytest.approx(alone.saturation_load, rel=0.01)
    assert {less.device: less.reason for less in parted.one_less} == {
        name: f"the only {name} is lost: 50 % of chat is not served" for name in ("one", "other")
    }


@settings(max_examples=15)
@given(
    share=st.integers(1, 9),
    other=st.sampled_from([PLAIN, BESIDE, replace(PLAIN, target_device="other"), replace(AWAY, target_device="other")]),
)
def test_parts_add_up_to_the_whole(share: int, other: Assignment) -> None:
    """Requests, tokens and joules; means are those of the parts weighed by their requests."""
    first = share / 10
    parted = plan(replace(AWAY, share=first), replace(other, share=round(1.0 - first, 9)), count=2)
    found = predict(TWINS, parted)
    seen = found.workload("chat")
    assert seen.requests_per_s == pytest.approx(RATE)
    assert seen.tokens_per_s == pytest.approx(RATE * 64)
    assert found.fleet.tokens_per_s == pytest.approx(seen.tokens_per_s)
    assert sum(device.power_w or 0.0 for device in found.devices) == pytest.approx(found.fleet.power_w)
    streams = deploy(TWINS, parted).streams
    assert sum(stream.requests.rate_per_s for stream in streams) == pytest.approx(RATE)


def test_a_replay_of_parts_agrees_with_the_model_and_serves_every_request() -> None:
    parted = plan(replace(AWAY, share=0.6), replace(PLAIN, share=0.4, target_device="other"))
    found = crosscheck(TWINS, parted, seed=3, requests=1500, replications=4)
    means = [a for a in found.agreements if a.metric in ("ttft_ms.mean", "tpot_ms.mean", "requests_per_s")]
    assert len(means) >= 2
    assert all(agreement.verdict != "disagrees" for agreement in means)
    replayed = replay(TWINS, parted, seed=3, requests=1500, replications=4).workload("chat")
    assert replayed.requests_per_s == pytest.approx(RATE, rel=0.05)
    # Tokens a round are those of the part that speculates.
    alone = predict(TWINS, plan(AWAY, count=2)).workload("chat")
    assert replayed.tokens_per_round == pytest.approx(alone.tokens_per_round, rel=0.03)


def test_users_are_split_into_whole_ones_whatever_their_decimals() -> None:
    users = ClosedRequests(users=30, think_s=1.0, prompt_tokens=200, output_tokens=64)
    closed = replace(TWINS, workloads=(replace(TWINS.workloads[0], requests=users),))
    third = round(7 / 30, 9)
    parted = plan(replace(PLAIN, share=third), replace(PLAIN, share=round(1 - third, 9), target_device="other"))
    assert [stream.requests.users for stream in deploy(closed, parted).streams] == [7, 23]
    assert predict(closed, parted).workload("chat").requests_per_s is not None
    quarter = plan(replace(PLAIN, share=0.25), replace(PLAIN, share=0.75, target_device="other"))
    with pytest.raises(PlanError, match=r"0\.25 of 30 users is not a whole number of users"):
        deploy(closed, quarter)


def test_shares_that_are_not_all_of_it_are_refused_by_name() -> None:
    with pytest.raises(PlanError, match=r'the shares of "chat" sum to 0\.9, expected 1'):
        predict(TWINS, plan(replace(PLAIN, share=0.5), replace(PLAIN, share=0.4, target_device="other")))


def test_a_part_goes_only_where_its_text_may_go() -> None:
    kept = replace(TWINS, workloads=(replace(TWINS.workloads[0], allowed_sites=("clinic",)),))
    with pytest.raises(PlanError, match="may not go to 'region'"):
        deploy(kept, HALVES)
