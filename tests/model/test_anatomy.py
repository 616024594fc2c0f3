"""A round taken apart adds up, and its parts are those of the scenario."""

from __future__ import annotations

import pytest

from dsd_plan.model import anatomies, predict
from tests.model.systems import Chat, system


def test_a_lone_user_s_round_by_hand() -> None:
    """4 draft steps of 5, 10 up, no wait, 20 + .2 · 5 to verify, 10 down: 61 ms for 5 tokens, all accepted."""
    deployed = system(Chat(rate_per_s=None, users=1, think_s=1.0, per_token=1.0, output=101))
    (anatomy,) = anatomies(deployed, predict(deployed))
    parts = {line.what: line.ms for line in anatomy.lines}
    assert parts["draft"] == pytest.approx(20.0)
    assert parts["wait for the draft device"] == pytest.approx(0.0, abs=1e-9)
    assert parts["uplink"] == pytest.approx(10.0)
    assert parts["verify"] == pytest.approx(21.0)
    assert parts["downlink"] == pytest.approx(10.0)
    assert anatomy.round_ms == pytest.approx(61.0)
    assert anatomy.tokens_per_round == pytest.approx(5.0)
    assert anatomy.tpot_ms == pytest.approx(12.2)
    assert anatomy.rest_ms == pytest.approx(0.0, abs=1e-9)


def test_lines_and_rest_make_tpot_under_load() -> None:
    deployed = system(
        Chat(mode="target_only", rate_per_s=2.0), Chat(mode="fused", rate_per_s=1.0), Chat(rate_per_s=2.0, devices=6)
    )
    performance = predict(deployed)
    for anatomy in anatomies(deployed, performance):
        total = sum(line.ms for line in anatomy.lines) / anatomy.tokens_per_round + anatomy.rest_ms
        assert total == pytest.approx(performance.workload(anatomy.workload).tpot_ms.mean)
        assert abs(anatomy.rest_ms) < 0.05 * anatomy.tpot_ms
        assert all(line.ms >= 0.0 for line in anatomy.lines)


def test_only_a_fused_session_drafts_on_the_target() -> None:
    deployed = system(Chat(mode="target_only", rate_per_s=2.0), Chat(mode="fused", rate_per_s=1.0))
    plain, fused = anatomies(deployed, predict(deployed))
    assert [line.what for line in plain.lines] == ["decode"]
    assert "draft" in [line.what for line in fused.lines]
