"""Load, power, energy, bytes and cost: worked by hand where the load is certain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.plan import Deployment
from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from tests.model.systems import EDGE_LAW, Chat, system

LONE = Chat(
    rate_per_s=None, per_token=1.0, rtt_ms=20.0, output=101, prompt=100, edge=StepLaw(step_ms=5.0, active_w=30.0)
)
LONE_LAW = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1, active_w=600.0)


def test_energy_of_one_user() -> None:
    # Cycle 1,270 ms: the target steps 30 + 20 · 21 ms, the one edge device 5 + 20 · 20 ms.
    found = predict(system(replace(LONE, devices=1), target=LONE_LAW))
    gpu, edge = found.devices
    busy = (30 + 20 * 21) / 1270
    drafting = (5 + 20 * 20) / 1270
    assert gpu.busy == pytest.approx(busy, rel=1e-6)
    assert gpu.mean_batch == pytest.approx(1.0)
    assert gpu.power_w == pytest.approx(busy * 600 + (1 - busy) * 75, rel=1e-6)
    assert edge.busy == edge.saturation == pytest.approx(drafting, rel=1e-6)
    assert edge.power_w == pytest.approx(drafting * 30 + (1 - drafting) * 5, rel=1e-6)
    power = (gpu.power_w or 0.0) + (edge.power_w or 0.0)
    assert found.fleet.power_w == pytest.approx(power)
    assert found.fleet.energy_j_per_token == pytest.approx(power / (101 / 1.27))
    assert found.workloads[0].energy_j_per_token == pytest.approx(found.fleet.energy_j_per_token)


def test_fused_steps_draw_what_the_stepping_model_draws() -> None:
    found = predict(system(Chat(mode="fused", rate_per_s=None, per_token=1.0, window=4, prompt=1, output=4001)))
    draft, verify = 4 * 2.01, 21.0
    expected = (draft * 400 + verify * 600) / (draft + verify)
    assert found.devices[0].power_w == pytest.approx(expected, rel=0.01)


def test_power_that_was_not_measured_is_null() -> None:
    unknown = predict(system(Chat(), target=StepLaw(step_ms=20.0, per_token_ms=0.2)))
    assert unknown.devices[0].power_w is None
    assert unknown.fleet.power_w is None
    assert unknown.fleet.energy_j_per_token is None
    assert unknown.workloads[0].energy_j_per_token is None
    assert unknown.devices[1].power_w is not None


def test_devices_that_are_deployed_and_idle_draw_power() -> None:
    used = system(Chat(mode="target_only"), Chat(devices=4))
    spare = replace(
        used,
        plan=replace(
            used.plan,
            assignments=used.plan.assignments[:1],
            deployments=(*used.plan.deployments[:1], Deployment(device="edge1", model="small1", count=4)),
        ),
        streams=used.streams[:1],
        drafts=(),
    )
    row = next(device for device in predict(spare).devices if device.name == "edge1")
    assert (row.busy, row.saturation, row.power_w) == (0.0, 0.0, 20.0)
    assert row.mean_batch is None


def test_energy_is_split_by_the_work_that_jobs_add() -> None:
    plain, wide = Chat(mode="target_only", output=101), Chat(window=9, per_token=0.0, output=101)
    found = predict(system(plain, wide))
    split = [workload.energy_j_per_token or 0.0 for workload in found.workloads]
    # Ten verified tokens a round against one, for as many rounds: the edge's own energy comes on top.
    assert split[1] > 3 * split[0]
    assert sum(e * 101 for e in split) == pytest.approx(found.fleet.power_w, rel=1e-6)


def test_a_job_bears_an_equal_part_of_a_step_and_what_it_adds() -> None:
    plain = Chat(mode="target_only", rate_per_s=2.0, prompt=100)
    found = predict(system(replace(plain, output=41), replace(plain, output=11)))
    drawn = [(w.energy_j_per_token or 0.0) * (w.tokens_per_s or 0.0) for w in found.workloads]
    assert sum(drawn) == pytest.approx(found.fleet.power_w)
    # 41 jobs against 11 of a step's 20 ms, 40 against 10 tokens of .2 ms, and prompts of 100 · .05 ms.
    each = 20.0 / (found.devices[0].mean_batch or 0.0)
    assert each < 18.0
    assert drawn[0] / drawn[1] == pytest.approx((41 * each + 13) / (11 * each + 7), rel=1e-6)


def test_bytes_a_token() -> None:
    found = predict(system(LONE, target=LONE_LAW)).workloads[0]
    # Prompt 400 up and 4 down, then 20 rounds of 16 up and 8 down, for 101 tokens.
    assert found.bytes_per_token == pytest.approx((404 + 20 * 24) / 101)
    streamed = predict(system(Chat(mode="target_only", prompt=100))).workloads[0]
    assert streamed.bytes_per_token == pytest.approx((400 + 101 * 4) / 101)


def test_cost_a_million_tokens() -> None:
    found = predict(system(Chat(rate_per_s=2.0, devices=10, edge=EDGE_LAW), replicas=2)).fleet
    assert found.cost_per_hour == pytest.approx(2 * 4.0 + 10 * 0.1)
    assert found.cost_per_million_tokens == pytest.approx(9.0 / (202.0 * 3600) * 1e6)


def test_saturation_is_work_over_what_full_batches_do() -> None:
    found = predict(system(Chat(mode="target_only", rate_per_s=4.0, prompt=1), batch_cap=10)).devices[0]
    jobs, prefills = 4.0 * 101 / 1000, 4.0 / 1000
    full = 20.0 + 10 * (0.2 * 100 / 101 + 0.05 / 101)
    assert found.saturation == pytest.approx(jobs * full / 10, rel=1e-6)
    assert prefills < jobs
