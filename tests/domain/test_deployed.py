"""One reading of a plan: pools, streams, routes; and every misfit named at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Device, Link, ModelSpec, Site
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Workload
from dsd_plan.errors import PlanError

STEP = StepLaw(step_ms=5.0)
SCENARIO = Scenario(
    name="clinics",
    sites=(Site(name="clinic", count=3), Site(name="region")),
    links=(Link(between=("clinic", "region"), rtt_ms=40.0),),
    models=(ModelSpec(name="small", weights_gib=2.0), ModelSpec(name="big", weights_gib=30.0, kv_mib_per_token=0.5)),
    devices=(
        Device(
            name="box",
            site="clinic",
            count=4,
            memory_gib=8.0,
            cost_per_hour=0.5,
            profiles={"small": declared_profile("box", "small", STEP)},
        ),
        Device(
            name="gpu",
            site="region",
            count=2,
            memory_gib=40.0,
            cost_per_hour=4.0,
            profiles={m: declared_profile("gpu", m, STEP) for m in ("small", "big")},
        ),
    ),
    pairs=(Pair(draft="small", target="big", acceptance=AcceptanceLaw(survival=(0.7, 0.5))),),
    workloads=(
        Workload(
            name="chat",
            site="clinic",
            target="big",
            requests=PoissonRequests(rate_per_s=2.0, prompt_tokens=100, output_tokens=50),
        ),
    ),
)
EDGE = Assignment(
    workload="chat", mode="distributed", target_device="gpu", draft_model="small", draft_device="box", window=2
)
ON_BOTH = (Deployment(device="box", model="small", count=4), Deployment(device="gpu", model="big", count=2))


def plan(*assignments: Assignment, deployments: tuple[Deployment, ...] = ON_BOTH) -> Plan:
    return Plan(scenario="clinics", assignments=assignments, deployments=deployments)


def test_a_distributed_plan_becomes_pools_and_a_stream() -> None:
    system = deploy(SCENARIO, plan(EDGE))
    (stream,), (target,), (draft,) = system.streams, system.targets, system.drafts
    assert stream.requests == PoissonRequests(rate_per_s=6.0, prompt_tokens=100, output_tokens=50)  # three clinics
    assert (draft.count, target.replicas, target.batch_cap) == (12, 2, 64)
    assert target.kv_tokens == pytest.approx((40 - 30) * 1024 / 0.5)
    assert stream.messages == (400.0, 4.0, 8.0, 8.0, 8.0, 8.0)  # 4 B a token id; a verdict is a count and a token
    assert [hop.mean_ms for hop in stream.up] == [20.0]
    assert system.cost_per_hour == pytest.approx(3 * 4 * 0.5 + 2 * 4.0)


def test_fused_models_share_replicas_and_are_paid_once() -> None:
    fused = replace(EDGE, mode="fused", draft_device="gpu")
    deployments = (Deployment(device="gpu", model="small", count=2), Deployment(device="gpu", model="big", count=2))
    system = deploy(SCENARIO, plan(fused, deployments=deployments))
    assert system.targets[0].fused_draft == "small"
    assert system.targets[0].kv_tokens == pytest.approx((40 - 32) * 1024 / 0.5)
    assert system.cost_per_hour == pytest.approx(8.0)
    assert system.drafts == ()


def test_shares_split_open_load_and_whole_users() -> None:
    halves = (replace(EDGE, share=0.5), Assignment(workload="chat", mode="target_only", target_device="gpu", share=0.5))
    rates = [s.requests.rate_per_s for s in deploy(SCENARIO, plan(*halves)).streams]  # type: ignore[union-attr]
    assert rates == [3.0, 3.0]
    users = ClosedRequests(users=1, think_s=1.0, prompt_tokens=10, output_tokens=10)
    closed = replace(SCENARIO, workloads=(replace(SCENARIO.workloads[0], requests=users),))
    with pytest.raises(PlanError, match="whole number of users"):
        deploy(closed, plan(*halves))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"target_device": "tpu"}, r"no device 'tpu'; the scenario has box, gpu"),
        ({"draft_device": "gpu"}, r"'gpu' is at 'region', workload 'chat' at 'clinic'"),
        ({"draft_model": None}, r"draft_model: is needed"),
        ({"window": None}, r"window: is needed in mode 'distributed'"),
        ({"window": 3}, r"window 3 lies outside what acceptance was measured for \(1–2\)"),
        ({"workload": "chess"}, r"no workload 'chess'"),
        ({"mode": "fused"}, r"the plan deploys no 'small' on 'gpu'"),
    ],
)
def test_what_does_not_fit_says_where_and_why(change: dict[str, object], text: str) -> None:
    with pytest.raises(PlanError, match=text):
        deploy(SCENARIO, plan(replace(EDGE, **change)))  # type: ignore[arg-type]


def test_every_misfit_is_in_one_message() -> None:
    wrong = (replace(EDGE, window=9), replace(EDGE, target_device="tpu"))
    with pytest.raises(PlanError) as caught:
        deploy(SCENARIO, plan(*wrong))
    assert [p.place for p in caught.value.problems] == ["assignments[0].window", "assignments[1].target_device"]


def test_more_devices_than_there_are_is_refused() -> None:
    with pytest.raises(PlanError, match="deploys 5 × 'box', but only 4 are there"):
        deploy(SCENARIO, plan(EDGE, deployments=(replace(ON_BOTH[0], count=5), ON_BOTH[1])))


def test_text_stays_where_it_may_go() -> None:
    private = replace(SCENARIO, workloads=(replace(SCENARIO.workloads[0], allowed_sites=("clinic",)),))
    with pytest.raises(PlanError, match="may not go to 'region'"):
        deploy(private, plan(EDGE))
