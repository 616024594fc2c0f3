"""Systems whose answer can be worked out by hand: nobody to wait for, or everybody always waiting."""

from __future__ import annotations

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from tests.model.systems import Chat, system

LONE_LAW = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1)
LONE = Chat(
    rate_per_s=None,
    users=1,
    prompt=100,
    output=101,
    window=4,
    per_token=1.0,
    rtt_ms=20.0,
    edge=StepLaw(step_ms=5.0),
)


def test_one_user_whose_drafts_are_all_accepted() -> None:
    # Drafting 4 · 5 ms, up 10 ms, verifying 20 + 5 · 0.2 ms, down 10 ms: a round of 61 ms that emits 5 tokens.
    found = predict(system(LONE, target=LONE_LAW)).workloads[0]
    assert found.ttft_ms.mean == pytest.approx(10.0 + 30.0 + 10.0, rel=1e-9)
    assert found.rounds_per_request == pytest.approx(20.0, rel=1e-9)
    assert found.tpot_ms.mean == pytest.approx(20 * 61.0 / 100, rel=1e-9)
    assert found.itl_ms.mean == pytest.approx(61.0, rel=1e-9)
    assert found.e2e_ms.mean == pytest.approx(1270.0, rel=1e-9)
    assert found.tokens_per_s == pytest.approx(79.5275590551181, rel=1e-9)
    assert found.tokens_per_round == pytest.approx(5.0, rel=1e-9)
    assert found.acceptance_rate == 1.0


def test_one_user_whose_drafts_are_all_refused() -> None:
    found = predict(system(Chat(rate_per_s=None, per_token=0.0, edge=StepLaw(step_ms=5.0)))).workloads[0]
    assert found.tokens_per_round == pytest.approx(1.0)
    assert found.acceptance_rate == 0.0
    # Every token takes a whole round: 4 · 5 + 20 + 20 + 5 · 0.2 ms.
    assert found.tpot_ms.mean == pytest.approx(61.0, rel=1e-9)


def test_one_user_of_plain_decoding() -> None:
    found = predict(system(Chat(mode="target_only", rate_per_s=None))).workloads[0]
    assert found.ttft_ms.mean == pytest.approx(20.0 + 20.0 + 200 * 0.05)
    assert found.tpot_ms.mean == pytest.approx(20.2)
    assert found.rounds_per_request is None
    assert found.acceptance_rate is None


def test_one_user_of_fused_speculation() -> None:
    found = predict(system(Chat(mode="fused", rate_per_s=None, per_token=1.0, window=4))).workloads[0]
    # 4 draft steps of 2.01 ms, then 20 + 5 · 0.2 ms of verification, for 5 tokens; both models prefill.
    assert found.tpot_ms.mean == pytest.approx((4 * 2.01 + 21.0) / 5)
    assert found.ttft_ms.mean == pytest.approx(20.0 + 20.0 + 10.0 + 2.0 + 200 * 0.004)


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed"])
def test_a_request_of_one_token_has_no_rounds(mode: str) -> None:
    found = predict(system(Chat(mode=mode, output=1, rate_per_s=0.5))).workloads[0]  # type: ignore[arg-type]
    assert found.tpot_ms.mean is None
    assert found.itl_ms.mean is None
    assert found.e2e_ms.mean == pytest.approx(found.ttft_ms.mean, rel=1e-6)
    assert found.tokens_per_s == pytest.approx(0.5)


def test_hardly_any_load_is_no_load() -> None:
    alone = predict(system(Chat(rate_per_s=None))).workloads[0]
    rare = predict(system(Chat(rate_per_s=1e-5))).workloads[0]
    for metric in ("ttft_ms", "tpot_ms", "e2e_ms"):
        assert getattr(rare, metric).mean == pytest.approx(getattr(alone, metric).mean, rel=1e-3)


def test_many_users_are_served_at_the_speed_of_full_batches() -> None:
    # 40 sessions, batches of 8 that last 20 + 8 ms: 8/28 jobs a ms, whatever the users would like.
    chat = Chat(rate_per_s=None, users=40, output=5001, prompt=1, rtt_ms=10.0, window=4, per_token=0.0)
    found = predict(system(chat, target=StepLaw(step_ms=20.0, per_token_ms=0.2), batch_cap=8))
    assert found.workloads[0].tokens_per_s == pytest.approx(8 / 28 * 1000, rel=2e-3)
    assert found.workloads[0].itl_ms.mean == pytest.approx(40 * 28 / 8, rel=2e-3)
    assert found.devices[0].saturation == pytest.approx(1.0, abs=2e-3)
    assert found.devices[0].mean_batch == pytest.approx(8.0, rel=0.02)
    assert found.devices[0].busy == pytest.approx(1.0, abs=1e-3)


def test_survival_by_position_and_one_rate_agree_where_they_say_the_same() -> None:
    curve = AcceptanceLaw(survival=(0.7, 0.49, 0.343, 0.2401))
    by_rate, by_curve = (predict(system(chat)).workloads[0] for chat in (Chat(per_token=0.7), Chat(acceptance=curve)))
    assert by_curve.tpot_ms.mean == pytest.approx(by_rate.tpot_ms.mean)
    assert by_curve.acceptance_rate == pytest.approx((0.7 + 0.49 + 0.343 + 0.2401) / 4)


def test_no_round_trip_leaves_draft_and_verification() -> None:
    near = predict(system(Chat(rate_per_s=None, rtt_ms=0.0))).workloads[0]
    assert near.ttft_ms.mean == pytest.approx(30.0)
    assert near.itl_ms.mean == pytest.approx(4 * 5.0 + 21.0)
    assert near.round_parts is not None
    assert near.round_parts.uplink_ms == near.round_parts.downlink_ms == 0.0
