"""A step law fitted to half of a run tells the other half, where the run was made by a law of that form."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.calibrate.engine_fit import IdleDecode, IdlePrefill, RequestTimes, fit_step_law
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Device, ModelSpec, Site
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import Budgets, RequestTrace, Workload
from dsd_plan.replay.whole_run import whole_run, with_target_law

TRUE = StepLaw(
    step_ms=0.0,
    knots=((1.0, 16.0), (128.0, 18.0), (1024.0, 80.0)),
    per_kv_token_us=0.15,
    mixed_kv_token_us=0.1,
    per_prompt_token_sq_us=0.006,
)
KV_READ_US = 0.13
REQUESTS = 120


def engine() -> Deployed:
    draw = np.random.default_rng(5)
    trace = RequestTrace(
        arrival_s=np.cumsum(draw.exponential(0.35, REQUESTS)),
        prompt_tokens=draw.integers(50, 1500, REQUESTS),
        output_tokens=draw.integers(20, 200, REQUESTS),
    )
    device = Device(
        name="gpu",
        site="here",
        count=1,
        memory_gib=24.0,
        profiles={"big": declared_profile("gpu", "big", TRUE)},
        max_sequences=64,
        token_cap=1024,
        kv_block_tokens=16,
        kv_blocks=3000,
    )
    scenario = Scenario(
        name="run",
        sites=(Site(name="here"),),
        links=(),
        models=(ModelSpec(name="big", weights_gib=10.0),),
        devices=(device,),
        pairs=(),
        workloads=(Workload(name="chat", site="here", target="big", requests=trace, budgets=Budgets()),),
    )
    plan = Plan(
        scenario="run",
        assignments=(Assignment(workload="chat", mode="target_only", target_device="gpu"),),
        deployments=(Deployment(device="gpu", model="big", count=1),),
    )
    return deploy(scenario, plan)


def test_half_a_run_and_four_idle_steps_tell_the_other_half() -> None:
    deployed = engine()

    def play(law: StepLaw) -> RequestTimes:
        run = whole_run(with_target_law(deployed, law))
        return RequestTimes(run.ttft_ms, run.tpot_ms)

    true = play(TRUE)
    half = REQUESTS // 2
    idle = [
        IdleDecode(256, 16.0 + 0.15 * 256 / 1000),
        IdleDecode(4096, 16.0 + 0.15 * 4096 / 1000),
        IdlePrefill(128, 18.0 + 0.006 * 128**2 / 1000),
        IdlePrefill(1024, 80.0 + 0.006 * 1024**2 / 1000),
    ]
    measured = RequestTimes(true.ttft_ms[:half], true.tpot_ms[:half])
    law = fit_step_law(play, measured, idle, token_cap=1024, kv_read_us=KV_READ_US)
    found = play(law)
    assert found.tpot_ms[half:].mean() == pytest.approx(true.tpot_ms[half:].mean(), rel=0.03)
    assert found.ttft_ms[half:].mean() == pytest.approx(true.ttft_ms[half:].mean(), rel=0.06)
    assert law.per_kv_token_us is not None
    assert KV_READ_US <= law.per_kv_token_us <= 1.6 * KV_READ_US


def test_a_run_alone_is_not_enough() -> None:
    with pytest.raises(ValueError, match="one idle decode and two idle prefills"):
        fit_step_law(
            lambda law: RequestTimes(np.ones(1), np.ones(1)),
            RequestTimes(np.ones(1), np.ones(1)),
            [IdleDecode(256, 10.0)],
            token_cap=1024,
            kv_read_us=0.1,
        )
