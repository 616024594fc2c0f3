"""Several candidate paths a round, on one draft device of a session or on several."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import anatomies, predict
from dsd_plan.model.draft_queue import apart
from dsd_plan.queueing.finite_source import fifo_cycle, longest_wait
from tests.model.agreement import compare
from tests.model.random_systems import random_system
from tests.model.systems import Chat, mean, system

EDGE = StepLaw(step_ms=5.0, per_token_ms=0.5, per_prompt_token_ms=0.1, active_w=30.0)
LONE = Chat(rate_per_s=None, users=1, per_token=0.0, window=4, candidates=3, rtt_ms=20.0, edge=EDGE)


def test_paths_are_drafted_and_verified_together() -> None:
    # 4 draft steps of 5 + 3 · .5, 10 up, 20 + 13 · .2 to verify 3 · 4 + 1 tokens, 10 down; nothing is accepted.
    performance = predict(system(LONE))
    assert performance.workloads[0].tpot_ms.mean == pytest.approx(26.0 + 20.0 + 22.6, rel=1e-9)
    # Up go 3 · 4 ids of 4 bytes a round, down 8; first the prompt, and its token.
    assert performance.workloads[0].bytes_per_token == pytest.approx((100 * 56.0 + 4 * 200 + 4) / 101)
    (anatomy,) = anatomies(system(LONE), performance)
    assert anatomy.lines[0].how.startswith("4 × 6.5 ms for 3 paths")
    assert anatomy.round_ms == pytest.approx(68.6)


def test_devices_that_share_the_paths_of_a_session() -> None:
    performance = predict(system(replace(LONE, devices_per_session=3)))
    round_ms = 4 * 5.5 + 20.0 + 22.6
    assert performance.workloads[0].tpot_ms.mean == pytest.approx(round_ms, rel=1e-9)
    # Each of the three drafts its window and prefills 5 + 200 · .1.
    cycle_ms = 100 * round_ms + 20.0 + 30.0
    assert performance.devices[1].busy == pytest.approx(3 * (100 * 22.0 + 25.0) / cycle_ms / 1000, rel=1e-6)
    # Two devices: two paths, and one.
    two = predict(system(replace(LONE, devices_per_session=2)))
    assert two.workloads[0].tpot_ms.mean == pytest.approx(4 * 6.0 + 20.0 + 22.6, rel=1e-9)
    assert two.devices[1].saturation == pytest.approx(
        (100 * (24.0 + 22.0) + 50.0) / (100 * (24.0 + 42.6) + 50.0) / 1000, rel=1e-6
    )


def test_a_fused_session_drafts_its_paths_together() -> None:
    found = predict(system(replace(LONE, mode="fused"))).workloads[0]
    assert found.tpot_ms.mean == pytest.approx(4 * (2.0 + 3 * 0.01) + 20.0 + 13 * 0.2, rel=1e-9)


def test_fused_paths_share_the_target_with_others() -> None:
    for mode in ("fused", "distributed"):
        one, three = (predict(system(Chat(mode=mode, candidates=k, rate_per_s=2.0, edge=EDGE))) for k in (1, 3))  # type: ignore[arg-type]
        tokens = [found.workloads[0].tokens_per_round or 0.0 for found in (one, three)]
        assert tokens[1] > tokens[0]
        assert mean(three.workloads[0].itl_ms) > mean(one.workloads[0].itl_ms)


def test_a_law_of_one_path_is_taken_position_by_position_with_a_note() -> None:
    three = predict(system(replace(LONE, per_token=0.5)))
    same = predict(system(replace(LONE, acceptance=AcceptanceLaw(per_token=0.875), candidates=1)))
    assert three.workloads[0].tokens_per_round == pytest.approx(same.workloads[0].tokens_per_round)
    assert any("optimistic" in note for note in three.notes)
    assert not any("optimistic" in note for note in same.notes)


def test_queues_that_all_sessions_share_are_one() -> None:
    assert apart(3, 3) == 1.0
    assert apart(1, 50) == 1.0
    assert apart(3, 10_001) == pytest.approx(3.0, abs=1e-3)
    shared = predict(system(Chat(rate_per_s=2.0, candidates=2, devices_per_session=2, devices=2, window=2)))
    own = predict(system(Chat(rate_per_s=2.0, candidates=2, devices=1, window=2)))
    # Both devices do what one would: drafting takes as long whatever the number of rows.
    assert mean(shared.workloads[0].tpot_ms) == pytest.approx(mean(own.workloads[0].tpot_ms), rel=1e-6)


def test_the_longest_of_several_waits() -> None:
    waits, chances = np.array([3.0, 3.0]), np.array([1.0, 0.5])
    mean_ms, chance = longest_wait(waits, chances, 2.0, 100.0)
    # Of two uniform on (0, 6): 4. Where half do not wait, (0, 12): a quarter of 8, half of 6.
    np.testing.assert_allclose(mean_ms, [4.0, 0.25 * 8.0 + 0.5 * 6.0])
    np.testing.assert_allclose(chance, [1.0, 0.75])
    # Behind so many that all wait for 28 … 32 ms, the longer of two takes 28 + 2/3 · 4.
    assert longest_wait(np.array([30.0]), np.ones(1), 2.0, 2.0)[0][0] == pytest.approx(28.0 + 8.0 / 3.0)
    assert longest_wait(waits, chances, 1.0, 100.0)[0] is waits
    assert fifo_cycle(4, 10.0, 50.0, 2.0)[0][-1] < fifo_cycle(4, 10.0, 50.0)[0][-1]


@pytest.mark.parametrize("drafts", ["plenty", "shared"])
def test_a_random_system_agrees_with_its_replay(drafts: str) -> None:
    found = compare(random_system(8, "paths", "open", drafts), seed=8, requests=4000, replications=2)  # type: ignore[arg-type]
    assert found is not None
    for metric, error in found:
        if metric in ("tpot_ms.mean", "e2e_ms.mean", "tokens_per_s"):
            assert abs(error) < 0.08, metric
        elif metric in ("tpot_ms.p95", "ttft_ms.mean"):
            assert abs(error) < 0.15, metric
