"""The replayer against a SimPy program that was written apart from it: the same means, within what chance allows."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, system
from tests.replay.simpy_program import Case, means

REQUESTS, REPLICATIONS = 600, 4
CASES = {
    "plain, light": Case(mode="target_only", rate_per_s=2.0),
    "plain, busy": Case(mode="target_only", rate_per_s=20.0, cap=32),
    "plain, cap binds": Case(mode="target_only", rate_per_s=7.0, cap=6),
    "plain, closed": Case(mode="target_only", users=20, think_ms=800.0),
    "plain, jitter": Case(mode="target_only", rate_per_s=5.0, jitter_cv=0.5, rtt_ms=60.0),
    "fused, open": Case(mode="fused", rate_per_s=8.0),
    "fused, closed": Case(mode="fused", users=12, think_ms=300.0, window=7, alpha=0.85),
    "distributed, light": Case(rate_per_s=2.0),
    "distributed, busy": Case(rate_per_s=15.0, jitter_cv=0.2, devices=400),
    "distributed, far and lossy": Case(rate_per_s=5.0, rtt_ms=90.0, jitter_cv=0.3, loss=0.05, devices=200),
    "distributed, shared drafts": Case(rate_per_s=4.0, devices=4, jitter_cv=0.2),
    "distributed, one draft for six users": Case(users=6, think_ms=1000.0, devices=1, jitter_cv=0.1),
    "distributed, long windows": Case(rate_per_s=6.0, window=9, alpha=0.9, devices=300),
    "distributed, closed": Case(users=30, think_ms=500.0, devices=300, jitter_cv=0.2),
    "two replicas, shortest queue": Case(rate_per_s=16.0, replicas=2, cap=16, devices=300, jitter_cv=0.2),
    "three replicas, in turn": Case(mode="target_only", rate_per_s=30.0, replicas=3, cap=16, routing="round_robin"),
    "three replicas, at random": Case(mode="target_only", rate_per_s=20.0, replicas=3, cap=16, routing="random"),
    "memory for four": Case(mode="target_only", rate_per_s=5.0, places=4),
}


def deployed_of(case: Case) -> Deployed:
    """The same system for the replayer."""
    if case.users:
        requests = closed(case.users, case.think_ms / 1000.0, case.prompt, case.output)
    else:
        requests = poisson(case.rate_per_s, case.prompt, case.output)
    room = (
        {} if case.places is None else {"kv_mib": 1.0, "memory_gib": case.places * (case.prompt + case.output) / 1024.0}
    )
    return system(
        requests,
        mode=case.mode,  # type: ignore[arg-type]
        window=case.window,
        target=StepLaw(step_ms=case.step_ms, per_token_ms=case.token_ms, per_prompt_token_ms=case.prompt_ms),
        draft=StepLaw(step_ms=case.draft_ms),
        fused=StepLaw(step_ms=case.fused_ms, per_token_ms=case.fused_token_ms),
        acceptance=AcceptanceLaw(per_token=case.alpha),
        link=Link(between=("edge", "region"), rtt_ms=case.rtt_ms, jitter_cv=case.jitter_cv, loss=case.loss),
        cap=case.cap,
        replicas=case.replicas,
        routing=case.routing,  # type: ignore[arg-type]
        devices=case.devices,
        **room,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", CASES)
def test_an_independent_simpy_program_sees_the_same(name: str) -> None:
    case = CASES[name]
    theirs = means(case, REQUESTS, REPLICATIONS)
    performance = replay(deployed_of(case), requests=3000, replications=6)
    assert performance.steady
    chat = performance.workload("chat")
    for column, latency in enumerate((chat.ttft_ms, chat.tpot_ms, chat.e2e_ms)):
        metric = ("ttft_ms", "tpot_ms", "e2e_ms")[column]
        low, high = (chat.ci or {})[f"{metric}.mean"] or (0.0, 0.0)
        error = theirs[:, column].std(ddof=1) / np.sqrt(REPLICATIONS)
        # 5.84: Student's t of three degrees of freedom at one in a hundred; 2 % for the two ends that are cut unlike.
        room = 5.84 * error + (high - low) / 2.0 + 0.005 * latency.mean
        assert abs(theirs[:, column].mean() - latency.mean) < room, metric
        assert abs(theirs[:, column].mean() / latency.mean - 1.0) < (0.12 if "memory" in name else 0.05), metric
