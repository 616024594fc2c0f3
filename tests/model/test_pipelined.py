"""Drafts that go on ahead: lone sessions by hand, and what must hold whatever the load."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.acceptance_laws import MarkovLaw
from dsd_plan.model import anatomies, break_even_with, guesses_of, predict, with_intervals
from dsd_plan.model.ahead import longer_of
from dsd_plan.model.ahead_queue import AheadJobs, ahead_cycle
from dsd_plan.model.closed_form import systems_of
from dsd_plan.model.guesses import joint_moments, weighted
from dsd_plan.model.known_errors import known_errors
from dsd_plan.model.known_errors_of_drafting import KNOWN_OF_DRAFTING
from dsd_plan.model.moments import Time
from dsd_plan.queueing.finite_source import fifo_cycle
from tests.model.systems import Chat, mean, system
from tests.replay.builder import token_trace

LONE = Chat(mode="pipelined", rate_per_s=None, users=1, window=4, rtt_ms=20.0)
"""4 · 5 ms of drafting, 25 ahead, 10 up, 20 + 5 · .2 to verify, 10 down: 61 ms after a wrong guess, else 41."""


def test_a_lone_session_whose_drafts_are_all_accepted() -> None:
    performance = predict(system(replace(LONE, per_token=1.0)))
    found = performance.workloads[0]
    # 20 rounds for 100 tokens, the first as in distributed.
    assert found.tpot_ms.mean == pytest.approx((61.0 + 19 * 41.0) / 100, rel=1e-9)
    assert found.ttft_ms.mean == pytest.approx(20.0 + 20.0 + 200 * 0.05, rel=1e-9)
    assert found.rounds_per_request == pytest.approx(20.0)
    parts = found.round_parts
    assert parts is not None
    assert parts.draft_ms == pytest.approx(20.0 / 20, rel=1e-6)
    # Of each request's drafting only the job after the last window is for nothing.
    work = 20.0 + 19 * 25.0 + 25.0 + 25.0
    assert performance.devices[1].wasted == pytest.approx(25.0 / work, rel=1e-6)


def test_a_lone_session_whose_drafts_are_all_refused() -> None:
    performance = predict(system(replace(LONE, per_token=0.0)))
    found = performance.workloads[0]
    assert found.tpot_ms.mean == pytest.approx(61.0, rel=1e-9)
    assert found.tpot_ms.p99 == pytest.approx(61.0, rel=1e-6)
    # 100 rounds draft 20 ms and 25 for nothing; the prompt takes 5 + 200 · .1.
    assert performance.devices[1].wasted == pytest.approx(2500.0 / (4500.0 + 25.0), rel=1e-9)
    cycle_ms = 50.0 + 6100.0
    assert performance.devices[1].busy == pytest.approx(4525.0 / cycle_ms / 1000, rel=1e-6)


@pytest.mark.parametrize(("rtt_ms", "after_right"), [(0.0, 25.0), (20.0, 41.0), (200.0, 221.0)])
def test_a_lone_session_s_round_is_the_longer_of_two_ways(rtt_ms: float, after_right: float) -> None:
    deployed = system(replace(LONE, per_token=0.7, rtt_ms=rtt_ms))
    guesses = guesses_of(deployed, 0)
    assert guesses is not None
    after_wrong = 41.0 + rtt_ms
    expected = after_wrong + guesses.right * (after_right - after_wrong)
    assert mean(predict(deployed).workloads[0].itl_ms) == pytest.approx(expected, rel=1e-9)


def test_below_what_is_drafted_ahead_a_longer_way_costs_nothing() -> None:
    slow = replace(LONE, per_token=1.0, window=10)
    near, far = (mean(predict(system(replace(slow, rtt_ms=rtt))).workloads[0].itl_ms) for rtt in (4.0, 30.0))
    # Ten rounds: the first crosses the network in sight, the other nine last 11 · 5 ms.
    assert far - near == pytest.approx(26.0 / 10, rel=1e-6)


def test_right_guesses_by_hand() -> None:
    """Window 1, three tokens to emit: a right guess can come only after a first round that is kept whole."""
    rate = 0.6
    joint = joint_moments(AcceptanceLaw(per_token=rate), 1, 3)[3]
    wrong = 1.0 - rate
    assert joint[1, 0] == pytest.approx(1.0 + wrong * (1.0 + wrong) + rate)
    assert joint[0, 1] == pytest.approx(rate**2)
    assert joint[1, 1] == pytest.approx(2.0 * rate**2)
    assert joint[0, 3] == pytest.approx(rate**2)


def test_rounds_and_right_guesses_together_by_simulation() -> None:
    rng = np.random.default_rng(1)
    window, rate, tokens = 3, 0.8, 40
    totals = []
    for _ in range(20_000):
        left, count, hits, right = tokens, 0, 0, False
        while left > 0:
            count, hits = count + 1, hits + right
            kept = 0
            while kept < window + 1 and rng.random() < rate:
                kept += 1
            right = kept > window
            left -= min(kept, window) + 1
        totals.append(count - 0.4 * hits)
    told = weighted(joint_moments(AcceptanceLaw(per_token=rate), window, tokens)[tokens], -0.4)
    assert told.mean == pytest.approx(np.mean(totals), rel=0.01)
    assert told.variance == pytest.approx(np.var(totals), rel=0.05)
    assert told.third == pytest.approx(
        float(np.mean((totals - np.mean(totals)) ** 3)), abs=0.15 * np.var(totals) ** 1.5
    )


def test_a_recording_is_walked() -> None:
    # Two kept, the target's own token was the draft's guess too; then nothing is kept: 3 tokens, 1 token, 3, 1, …
    trace = token_trace([[1, 1, 1, 0]])
    joint = joint_moments(trace, 2, 8)
    assert joint[:, 1, 0].tolist() == [0, 1, 1, 1, 2, 3, 3, 3, 4]
    assert joint[:, 0, 1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_one_state_is_no_state() -> None:
    survival = tuple(0.7**i for i in range(1, 6))
    chain = MarkovLaw(states=(survival,), transition=((1.0,),), start=(1.0,), largest_window=5, measured_window=5)
    independent = AcceptanceLaw(per_token=0.7)
    np.testing.assert_allclose(joint_moments(chain, 4, 30), joint_moments(independent, 4, 30), rtol=1e-9)


def test_guesses_that_are_never_right_change_nothing_but_the_draft_device() -> None:
    chat = Chat(rate_per_s=1.0, per_token=0.0, output=30, devices=50_000)
    plain, ahead = (predict(system(replace(chat, mode=mode))) for mode in ("distributed", "pipelined"))  # type: ignore[arg-type]
    assert mean(ahead.workloads[0].tpot_ms) == pytest.approx(mean(plain.workloads[0].tpot_ms), rel=1e-3)
    assert mean(ahead.workloads[0].ttft_ms) == pytest.approx(mean(plain.workloads[0].ttft_ms), rel=1e-3)
    assert (ahead.devices[1].busy or 0.0) > 1.5 * (plain.devices[1].busy or 0.0)


def test_the_longer_of_two_times() -> None:
    first, second, below = longer_of(np.array([3.0]), np.array([4.0]), Time(3.0, 5.0))
    # Of two normals with one mean: mean + √((v + w) / 2π).
    assert first[0] == pytest.approx(3.0 + np.sqrt(9.0 / (2.0 * np.pi)), rel=1e-6)
    assert below[0] == pytest.approx(0.5)
    assert second[0] == pytest.approx(9.0 + 4.5 + 6.0 * 3.0 / np.sqrt(2.0 * np.pi), rel=1e-6)
    assert longer_of(np.array([2.0]), np.zeros(1), Time(7.0))[0][0] == pytest.approx(7.0)


def test_a_device_where_nothing_is_drafted_ahead_is_a_plain_queue() -> None:
    found = ahead_cycle(6, AheadJobs(draft=20.0, ahead=0.0, right=0.0, way=60.0, way_deviation=5.0))
    waits, loads = fifo_cycle(6, 20.0, 60.0)
    np.testing.assert_allclose(found.waits, waits, atol=1e-4)
    np.testing.assert_allclose(found.loads, loads, rtol=1e-6)


def test_a_full_draft_device_hardly_begins_what_will_be_wrong() -> None:
    found = ahead_cycle(12, AheadJobs(draft=20.0, ahead=24.0, right=0.0, way=60.0, way_deviation=5.0))
    # Twelve windows of 20 ms a round, and nothing else.
    assert found.rounds[-1] == pytest.approx(240.0, rel=0.02)
    assert np.all(np.diff(found.rounds) > 0.0)


def test_parts_of_a_round_add_up_where_drafts_are_shared() -> None:
    deployed = system(replace(LONE, rate_per_s=2.0, devices=6, jitter_cv=0.2))
    performance = predict(deployed)
    (anatomy,) = anatomies(deployed, performance)
    total = anatomy.round_ms / anatomy.tokens_per_round + anatomy.rest_ms
    assert total == pytest.approx(mean(performance.workloads[0].tpot_ms))
    assert abs(anatomy.rest_ms) < 0.05 * anatomy.tpot_ms
    assert all(line.ms >= 0.0 for line in anatomy.lines)
    assert "follow a wrong guess" in anatomy.lines[0].how


@pytest.mark.parametrize("rtt_ms", [1.0, 60.0])
def test_at_its_break_even_it_is_as_fast_as_plain_decoding(rtt_ms: float) -> None:
    chat = replace(LONE, per_token=0.9, rtt_ms=rtt_ms)
    against = predict(system(replace(chat, mode="target_only"))).workloads[0]
    deployed = system(chat)
    found_ms = break_even_with(predict(deployed).workloads[0], against, guesses_of(deployed, 0))
    assert found_ms is not None
    there = predict(system(replace(chat, rtt_ms=found_ms))).workloads[0]
    assert mean(there.tpot_ms) == pytest.approx(mean(against.tpot_ms), rel=2e-3)


def test_the_closed_form_knows_how_long_a_lone_session_is_away() -> None:
    found = systems_of(system(replace(LONE, per_token=1.0)))
    # Of twenty rounds one is away for 10 + 20 + 10 ms, the others for the network alone.
    assert found.away[0, 0] == pytest.approx(20.0 + 20.0 / 20)


def test_recorded_acceptance_moves_its_guesses_too() -> None:
    rng = np.random.default_rng(3)
    trace = token_trace([(rng.random(200) < 0.8).astype(int).tolist() for _ in range(20)])
    deployed = system(replace(LONE, acceptance=trace))
    performance = predict(deployed)
    ends = (with_intervals(deployed, performance, predict).workloads[0].ci or {})["tpot_ms.mean"]
    assert ends is not None
    assert ends[0] < mean(performance.workloads[0].tpot_ms) < ends[1]
    # The model's own error alone is narrower.
    alone = system(LONE)
    declared = predict(alone)
    narrow = (with_intervals(alone, declared, predict).workloads[0].ci or {})["tpot_ms.mean"]
    assert narrow is not None
    width = [(high - low) / (high + low) for low, high in (ends, narrow)]
    assert width[0] > width[1] > 0.0


def test_every_regime_of_drafting_is_known() -> None:
    keys = {"tpot_ms.mean", "ttft_ms.mean", "tokens_per_s"}
    for mode in ("pipelined", "paths", "batched"):
        for kind in ("open", "closed"):
            assert keys <= KNOWN_OF_DRAFTING[mode, kind, "shared"].keys()
    wide = Chat(rate_per_s=1.0, candidates=3)
    regimes = [system(LONE), system(wide), system(replace(wide, candidates=1, draft_cap=4))]
    expected = [("pipelined", "closed", "plenty"), ("paths", "open", "plenty"), ("batched", "open", "shared")]
    for deployed, regime in zip(regimes, expected, strict=True):
        assert known_errors(deployed, "chat0", "tpot_ms.p95") == KNOWN_OF_DRAFTING[regime]["tpot_ms.p95"]
