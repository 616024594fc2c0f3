"""The round trip up to which drafting at the edge pays."""

from __future__ import annotations

import pytest

from dsd_plan.model import break_even_rtt_ms, break_even_with, predict
from tests.model.systems import Chat, mean, system


def test_hand_worked_break_even() -> None:
    # 3 tokens a round against 25 ms a token; 20 ms of drafting, 5 of waiting, 27 of verifying: 23 ms are left.
    found = break_even_rtt_ms(tokens_per_round=3.0, against_tpot_ms=25.0, draft_ms=20.0, wait_ms=5.0, verify_ms=27.0)
    assert found == pytest.approx(23.0)


def test_serialisation_comes_out_of_the_round_trip() -> None:
    parts = {"tokens_per_round": 3.0, "against_tpot_ms": 25.0, "draft_ms": 20.0, "wait_ms": 5.0, "verify_ms": 27.0}
    assert break_even_rtt_ms(**parts, serialisation_ms=4.0) == pytest.approx(19.0)


@pytest.mark.parametrize("other", ["target_only", "fused"])
def test_at_the_break_even_both_modes_are_as_fast(other: str) -> None:
    lone = {"rate_per_s": None, "per_token": 0.9, "window": 5}
    against = predict(system(Chat(mode=other, **lone))).workloads[0]  # type: ignore[arg-type]
    near = predict(system(Chat(rtt_ms=1.0, **lone))).workloads[0]  # type: ignore[arg-type]
    rtt_ms = break_even_with(near, against)
    assert rtt_ms is not None
    if rtt_ms <= 0.0:
        assert mean(near.tpot_ms) >= mean(against.tpot_ms)
        return
    there = predict(system(Chat(rtt_ms=rtt_ms, **lone))).workloads[0]  # type: ignore[arg-type]
    assert mean(there.tpot_ms) == pytest.approx(mean(against.tpot_ms), rel=1e-3)


def test_plain_decoding_has_no_round_to_compare() -> None:
    plain = predict(system(Chat(mode="target_only"))).workloads[0]
    assert break_even_with(plain, plain) is None
