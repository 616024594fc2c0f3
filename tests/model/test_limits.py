"""Where devices are full, memory binds, or a stream is rare: against the replay, which has none of the assumptions."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.model import predict
from dsd_plan.model.saturation import target_saturation
from dsd_plan.model.traffic import demands_of
from dsd_plan.replay.run import replay
from tests.model.systems import Chat, system

GIB_A_SESSION = 301 * 10.0 / 1024.0
"""Prompt and answer of `Chat`, 10 MiB a token."""


@pytest.mark.parametrize(("devices", "users"), [(1, 8), (2, 16), (4, 60)])
def test_closed_users_get_no_more_than_their_draft_devices_give(devices: int, users: int) -> None:
    deployed = system(Chat(rate_per_s=None, users=users, think_s=0.5, devices=devices))
    model = predict(deployed)
    seen = replay(deployed, requests=2000, replications=2).workloads[0]
    assert model.workloads[0].requests_per_s == pytest.approx(seen.requests_per_s, rel=0.08)
    assert model.devices[1].saturation < 1.02


@pytest.mark.parametrize(("rate_per_s", "within"), [(1.36, 0.15), (1.6, 0.2)])
def test_requests_of_equal_length_wait_half_as_long_for_memory(rate_per_s: float, within: float) -> None:
    """Four fit. With exponential times the wait would be twice as long, which the model once said."""
    deployed = system(
        Chat(mode="target_only", rate_per_s=rate_per_s),
        memory_gib=60.0 + 4.01 * GIB_A_SESSION,
        kv_mib_per_token=10.0,
    )
    model = predict(deployed).workloads[0]
    seen = replay(deployed, requests=6000, replications=6).workloads[0]
    assert model.ttft_ms.mean == pytest.approx(seen.ttft_ms.mean, rel=within)


def test_a_rare_fused_stream_does_not_draft_in_every_iteration() -> None:
    """One batch in thirty holds one of its jobs; its eight draft steps are paid then, and not each time."""
    alone = system(Chat(mode="target_only", rate_per_s=9.0))
    beside = system(Chat(mode="target_only", rate_per_s=9.0), Chat(mode="fused", rate_per_s=0.01, window=8))
    loads = []
    for deployed in (alone, beside):
        demands = demands_of(deployed)
        loads.append(target_saturation(deployed.targets[0], demands, np.array([demand.rate for demand in demands])))
    assert loads[0] < loads[1] < loads[0] + 0.02


def test_a_fused_stream_alone_drafts_in_every_iteration() -> None:
    """T(B) = 8 steps of 2 + .01·B, then 20 + .2·(8 + 1)·B, with B nearly all decode jobs: worked by hand."""
    chat = Chat(
        mode="fused", rate_per_s=1.0, window=8, prompt=1, output=10_001, acceptance=AcceptanceLaw(per_token=0.0)
    )
    deployed = system(chat)
    demands = demands_of(deployed)
    jobs_per_ms = 10_001 / 1000.0
    full_ms = 8 * (2.0 + 0.01 * 32) + 20.0 + 0.2 * 9 * 32
    found = target_saturation(deployed.targets[0], demands, np.array([demand.rate for demand in demands]))
    assert found == pytest.approx(jobs_per_ms * full_ms / 32, rel=0.01)
