"""Open load beyond what a device can do is refused by name; closed users only slow down."""

from __future__ import annotations

import pytest

from dsd_plan.domain.profile import StepLaw
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict
from tests.model.systems import Chat, mean, system

FULL_BATCH_TOKENS_PER_S = 32 / (20.0 + 32 * 0.2) * 1000
"""Plain decoding with batches of 32, prompts left out of account."""


def test_a_saturated_target_is_named() -> None:
    with pytest.raises(UnstableError, match=r"gpu: saturation 1\.\d\d .* full batches of 32") as caught:
        predict(system(Chat(mode="target_only", rate_per_s=1.05 * FULL_BATCH_TOKENS_PER_S / 101, prompt=1)))
    assert caught.value.device == "gpu"
    assert caught.value.saturation == pytest.approx(1.05, rel=0.01)


def test_just_below_saturation_there_is_an_answer() -> None:
    found = predict(system(Chat(mode="target_only", rate_per_s=0.98 * FULL_BATCH_TOKENS_PER_S / 101, prompt=1)))
    assert found.devices[0].saturation == pytest.approx(0.98, rel=0.01)
    assert any("saturation 0.98" in note for note in found.notes)


def test_replicas_share_the_load() -> None:
    chat = Chat(mode="target_only", rate_per_s=1.5 * FULL_BATCH_TOKENS_PER_S / 101, prompt=1)
    assert predict(system(chat, replicas=2)).devices[0].saturation == pytest.approx(0.75, rel=0.01)


def test_saturated_draft_devices_are_named() -> None:
    # A request takes about 36 rounds of 20 ms and a prefill of 25 ms on its device.
    with pytest.raises(UnstableError, match=r"edge0: saturation .*drafting") as caught:
        predict(system(Chat(rate_per_s=3.0, devices=2)))
    assert caught.value.device == "edge0"


def test_live_sessions_that_do_not_fit_are_told_as_memory() -> None:
    # 81 GiB hold 11 sessions of 301 tokens at 25 MiB a token; 3 requests a second of 2.5 s or so stay within.
    fits = system(Chat(mode="target_only", rate_per_s=3.0), kv_mib_per_token=25.0)
    assert predict(fits).workloads[0].requests_per_s == pytest.approx(3.0)
    with pytest.raises(UnstableError, match=r"gpu: .*KV memory holds"):
        predict(system(Chat(mode="target_only", rate_per_s=8.0), kv_mib_per_token=25.0))


def test_a_request_larger_than_memory_would_wait_for_ever() -> None:
    with pytest.raises(UnstableError, match="one request needs 301"):
        predict(system(Chat(mode="target_only", rate_per_s=None), kv_mib_per_token=500.0))


def test_memory_that_holds_no_request_is_told_before_a_device_that_is_too_slow() -> None:
    with pytest.raises(UnstableError, match="one request needs 301"):
        predict(system(Chat(mode="target_only", rate_per_s=5000.0), kv_mib_per_token=500.0))


def test_users_who_wait_for_memory_wait_before_their_first_token() -> None:
    chat = Chat(mode="target_only", rate_per_s=None, users=20)
    free = predict(system(chat)).workloads[0]
    held = predict(system(chat, kv_mib_per_token=50.0))
    assert mean(held.workloads[0].ttft_ms) > 10 * mean(free.ttft_ms)
    assert mean(held.workloads[0].tpot_ms) < mean(free.tpot_ms)
    assert any("KV memory holds 5 sessions" in note for note in held.notes)


def test_closed_users_slow_down_instead() -> None:
    few, many = (predict(system(Chat(rate_per_s=None, users=users, devices=4000), batch_cap=8)) for users in (8, 4000))
    assert many.devices[0].saturation == pytest.approx(1.0, abs=0.01)
    assert mean(many.workloads[0].tpot_ms) > 50 * mean(few.workloads[0].tpot_ms)
    assert few.workloads[0].tokens_per_s is not None
    assert (many.workloads[0].tokens_per_s or 0.0) > few.workloads[0].tokens_per_s


def test_a_batch_of_one_is_served_in_turn() -> None:
    chat = Chat(mode="target_only", rate_per_s=None, users=5, prompt=1, rtt_ms=0.0)
    found = predict(system(chat, target=StepLaw(step_ms=10.0), batch_cap=1)).workloads[0]
    # Five users who do nothing but wait for each other: every token takes five steps.
    assert found.itl_ms.mean == pytest.approx(50.0, rel=0.02)
