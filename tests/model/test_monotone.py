"""What theory says of the direction: more distance, load, refusals never make a user's tokens come sooner."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.performance import Quantiles
from dsd_plan.model import predict
from tests.model.systems import Chat, mean, system

SLACK = 1.0 + 1e-6
MODES = st.sampled_from(["target_only", "fused", "distributed"])


def chats(mode: str) -> Chat:
    return Chat(mode=mode, rate_per_s=2.0, jitter_cv=0.2)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed"])
def test_load_never_speeds_up(mode: str) -> None:
    found = [predict(system(replace(chats(mode), rate_per_s=rate))) for rate in (0.05, 0.5, 1.0, 2.0, 4.0, 5.5)]
    for quiet, loud in pairwise(found):
        assert mean(quiet.workloads[0].tpot_ms) <= mean(loud.workloads[0].tpot_ms) * SLACK
        assert mean(quiet.workloads[0].ttft_ms) <= mean(loud.workloads[0].ttft_ms) * SLACK
        assert (quiet.devices[0].saturation or 0.0) < (loud.devices[0].saturation or 0.0)
        assert (quiet.devices[0].power_w or 0.0) <= (loud.devices[0].power_w or 0.0) * SLACK


@given(st.floats(0.0, 150.0), st.floats(5.0, 60.0))
@settings(max_examples=25)
def test_jittered_distance_never_speeds_up_a_distributed_round(rtt_ms: float, farther_ms: float) -> None:
    near, far = (
        predict(system(Chat(rate_per_s=1.0, rtt_ms=rtt, jitter_cv=0.5))).workloads[0]
        for rtt in (rtt_ms, rtt_ms + farther_ms)
    )
    assert mean(near.tpot_ms) <= mean(far.tpot_ms) * 1.002
    assert mean(near.ttft_ms) < mean(far.ttft_ms)


@pytest.mark.parametrize("mode", ["target_only", "fused"])
def test_a_stream_pays_the_distance_once(mode: str) -> None:
    near, far = (predict(system(replace(chats(mode), rtt_ms=rtt, jitter_cv=0.0))).workloads[0] for rtt in (1.0, 101.0))
    assert mean(near.tpot_ms) == pytest.approx(mean(far.tpot_ms))
    assert mean(far.ttft_ms) - mean(near.ttft_ms) == pytest.approx(100.0)


@pytest.mark.parametrize("mode", ["fused", "distributed"])
def test_acceptance_never_slows_down(mode: str) -> None:
    found = [
        predict(system(replace(chats(mode), per_token=rate, rate_per_s=1.0))).workloads[0]
        for rate in (0.0, 0.3, 0.6, 0.8, 0.95, 1.0)
    ]
    for less, more in pairwise(found):
        assert mean(more.tpot_ms) <= mean(less.tpot_ms) * SLACK
        assert (more.tokens_per_round or 0.0) > (less.tokens_per_round or 0.0)


def test_replicas_never_slow_down() -> None:
    found = [predict(system(Chat(mode="target_only", rate_per_s=8.0), replicas=n)) for n in (1, 2, 4, 8)]
    for fewer, more in pairwise(found):
        assert mean(more.workloads[0].tpot_ms) <= mean(fewer.workloads[0].tpot_ms) * SLACK


def test_spreading_sessions_evenly_beats_chance() -> None:
    chat = Chat(mode="target_only", rate_per_s=30.0)
    jsq, turns, random = (
        mean(predict(system(chat, replicas=4, routing=routing)).workloads[0].tpot_ms)
        for routing in ("jsq", "round_robin", "random")
    )
    assert jsq <= turns <= random


def test_sharing_a_draft_device_slows_down() -> None:
    many, few = (predict(system(Chat(rate_per_s=1.0, devices=n))).workloads[0] for n in (500, 2))
    assert mean(few.tpot_ms) > 1.1 * mean(many.tpot_ms)
    assert few.round_parts is not None
    assert many.round_parts is not None
    assert few.round_parts.draft_ms > many.round_parts.draft_ms


@given(MODES, st.floats(0.1, 4.0), st.floats(0.0, 1.0), st.integers(1, 10), st.floats(0.0, 0.6))
@settings(max_examples=40)
def test_every_answer_makes_sense(mode: str, rate: float, accepted: float, window: int, jitter: float) -> None:
    chat = Chat(mode=mode, rate_per_s=rate, per_token=accepted, window=window, jitter_cv=jitter, output=64)  # type: ignore[arg-type]
    found = predict(system(chat, batch_cap=64, replicas=2))
    workload, target = found.workloads[0], found.devices[0]
    for latency in (workload.ttft_ms, workload.tpot_ms, workload.itl_ms, workload.e2e_ms):
        in_order(latency)
    assert mean(workload.e2e_ms) == pytest.approx(mean(workload.ttft_ms) + 63 * mean(workload.tpot_ms), rel=1e-3)
    assert workload.tokens_per_s == pytest.approx(64 * rate)
    assert 0.0 < (target.saturation or 0.0) < 1.0
    assert 0.0 < (target.busy or 0.0) <= 1.0
    assert 1.0 <= (target.mean_batch or 0.0) <= 64.0
    assert 2 * 75.0 <= (target.power_w or 0.0) <= 2 * 600.0


def in_order(latency: Quantiles) -> None:
    assert latency.p50 is not None
    assert latency.p95 is not None
    assert latency.p99 is not None
    assert 0.0 < latency.p50 <= latency.p95 * SLACK
    assert latency.p95 <= latency.p99 * SLACK
