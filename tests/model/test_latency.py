"""From moments to laws: shares of budgets kept, streams in order, several streams of one workload."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.workload import Budgets
from dsd_plan.model import predict
from tests.model.systems import Chat, mean, system


@pytest.mark.parametrize(("metric", "value"), [("ttft", 0.95), ("tpot", 0.95), ("e2e", 0.95)])
def test_a_limit_at_the_p95_is_kept_by_95_percent(metric: str, value: float) -> None:
    chat = Chat(rate_per_s=2.0, jitter_cv=0.3)
    p95 = getattr(predict(system(chat)).workloads[0], f"{metric}_ms").p95
    limited = replace(chat, budgets=Budgets(**{f"{metric}_p95_ms": p95}))
    found = predict(system(limited)).workloads[0]
    assert found.slo_attainment == pytest.approx(value, abs=0.005)
    assert found.goodput_per_s == pytest.approx(2.0 * value, abs=0.01)


def test_no_budget_is_always_kept() -> None:
    assert predict(system(Chat())).workloads[0].slo_attainment == 1.0


def test_an_itl_limit_is_judged_by_each_request() -> None:
    chat = Chat(rate_per_s=2.0, jitter_cv=0.3)
    itl = predict(system(chat)).workloads[0].itl_ms
    assert itl.p50 is not None
    assert itl.p99 is not None
    generous, hard = (
        predict(system(replace(chat, budgets=Budgets(itl_p95_ms=limit)))).workloads[0].slo_attainment
        for limit in (itl.p99 * 1.3, itl.p50)
    )
    assert (generous or 0.0) > 0.99
    assert (hard or 0.0) < 0.01


def shared(first: float) -> Deployed:
    """One workload of which a share is drafted at the edge and the rest decoded plainly."""
    deployed = system(Chat(rate_per_s=2.0))
    plan, assignment = deployed.plan, deployed.plan.assignments[0]
    plain = replace(assignment, mode="target_only", share=1.0 - first, draft_model=None, draft_device=None, window=None)
    return deploy(
        deployed.scenario,
        Plan(
            scenario=plan.scenario,
            assignments=(replace(assignment, share=first), plain),
            deployments=plan.deployments,
        ),
    )


def test_streams_of_one_workload_are_one_population() -> None:
    found = predict(shared(0.25)).workloads
    assert len(found) == 1
    assert found[0].requests_per_s == pytest.approx(2.0)
    # Rounds count where there is a draft, as acceptance does.
    assert found[0].acceptance_rate == pytest.approx((0.7 + 0.49 + 0.343 + 0.2401) / 4)
    drafted, plain = (mean(predict(shared(share)).workloads[0].tpot_ms) for share in (0.999, 0.001))
    assert min(drafted, plain) < mean(found[0].tpot_ms) < max(drafted, plain)


def test_round_parts_add_up_to_the_round() -> None:
    for chat in (Chat(), Chat(mode="fused"), Chat(mode="target_only"), Chat(devices=3)):
        found = predict(system(chat)).workloads[0]
        assert found.round_parts is not None
        parts = found.round_parts
        total = parts.draft_ms + parts.uplink_ms + parts.wait_ms + parts.verify_ms + parts.downlink_ms
        assert total == pytest.approx(mean(found.itl_ms), rel=0.03)
