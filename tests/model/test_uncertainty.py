"""Intervals of a prediction: what feeds them, by hand, and that the replay lies within."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace
from dsd_plan.model import predict, with_intervals
from dsd_plan.model.input_errors import scaled, sources_of, tokens_error
from dsd_plan.model.known_errors import KNOWN, known_errors, outside_regime
from dsd_plan.replay.run import replay
from tests.model.random_systems import random_system
from tests.model.systems import Chat, system
from tests.model.test_traffic import ABOUT, recorded


def test_a_recording_s_tokens_a_round_are_known_by_its_requests() -> None:
    """Four requests of seven tokens, window 1: all matches take 3 rounds for 6 tokens, none 6."""
    trace = recorded("1111111", "0000000", "1111111", "0000000")
    error = tokens_error(trace, 1)
    rounds = np.array([3.0, 6.0, 3.0, 6.0])
    assert error == pytest.approx(1.959964 * rounds.std(ddof=1) / 2.0 / rounds.mean(), rel=1e-4)
    assert tokens_error(recorded("1111"), 1) is None


def test_rounds_are_clustered_by_request() -> None:
    """Two requests of two rounds: 3 + 3 and 1 + 1 tokens; the ratio 2 has the spread of its residuals 2 and −2."""
    trace = RoundTrace(
        metadata=ABOUT,
        request_id=np.array([0, 0, 1, 1]),
        proposed=np.full(4, 2),
        accepted=np.array([2, 2, 0, 0]),
    )
    assert tokens_error(trace, 2) == pytest.approx(1.959964 * np.sqrt(8.0 * 2.0 / 1.0) / 8.0, rel=1e-4)


def test_counters_are_as_sure_as_their_rounds_are_many() -> None:
    """Half of 10,000 rounds accept the one proposal: 1.5 tokens a round, standard deviation one half."""
    counts = AcceptanceCounts(metadata=ABOUT, reached=(10_000,), kept=(5_000,))
    assert tokens_error(counts, 1) == pytest.approx(1.959964 * 0.5 / 100.0 / 1.5, rel=1e-4)


def test_a_scaled_surface_takes_so_much_longer_everywhere() -> None:
    surface = system(Chat()).targets[0].surface
    assert scaled(surface, 1.1).law == pytest.approx(1.1 * surface.law)
    bent = surface._replace(law=np.array([20.0, 0.2, 0.05, 0.0, 0.0, 0.0, 1.0, 20.0, 64.0, 30.0]))
    assert scaled(bent, 2.0).law.tolist() == [40.0, 0.4, 0.1, 0.0, 0.0, 0.0, 1.0, 40.0, 64.0, 60.0]


def test_declared_inputs_leave_the_model_s_own_error_and_are_named() -> None:
    deployed = system(Chat(mode="target_only", rate_per_s=1.0))
    assert sources_of(deployed) == ()
    told = with_intervals(deployed, predict(deployed), predict)
    (workload,) = told.workloads
    assert workload.ci is not None
    low, high = workload.ci["tpot_ms.mean"] or (0.0, 0.0)
    share = KNOWN["target_only", "open", "plenty"]["tpot_ms.mean"]
    assert (low, high) == pytest.approx((workload.tpot_ms.mean * (1 - share), workload.tpot_ms.mean * (1 + share)))
    assert any("the step time of big on gpu" in note for note in told.notes)


def test_a_short_recording_of_acceptance_widens_the_interval() -> None:
    draw = np.random.default_rng(2)
    few = recorded(*("".join(map(str, draw.integers(0, 2, 40))) for _ in range(4)))
    many = recorded(*("".join(map(str, draw.integers(0, 2, 40))) for _ in range(400)))
    widths = []
    for trace in (few, many):
        deployed = system(Chat(acceptance=trace, rate_per_s=1.0))
        told = with_intervals(deployed, predict(deployed), predict).workloads[0]
        low, high = (told.ci or {})["tpot_ms.mean"] or (0.0, 0.0)
        widths.append(high / low)
    assert widths[0] > 1.03 * widths[1]


def test_what_was_not_studied_is_told() -> None:
    assert outside_regime(system(Chat(rate_per_s=1.0))) == ()
    (note,) = outside_regime(system(Chat(rate_per_s=1.0, rtt_ms=250.0, prompt=5000), replicas=2))
    assert "round trip, ms 250 (studied 1–100)" in note
    assert "prompt tokens 5000" in note
    assert "2 replicas of gpu" in note


@pytest.mark.parametrize(
    ("chats", "told"),
    [
        ([Chat(mode="pipelined")], None),
        ([Chat(candidates=4)], None),
        ([Chat(draft_cap=8)], None),
        ([Chat(mode="fused"), Chat(), Chat(mode="target_only")], None),
        ([Chat(mode="pipelined", rtt_ms=150.0)], "round trip, ms 150 (studied 1–100)"),
        ([Chat(mode="pipelined", window=12)], "window 12 (studied 1–10)"),
        ([Chat(mode="pipelined", candidates=2)], "several paths where drafts go on ahead, of chat0"),
        ([Chat(mode="pipelined"), Chat(mode="target_only")], "pipelined and target_only together on gpu"),
        ([Chat(candidates=5)], "candidate paths 5 (studied 1–4)"),
        ([Chat(candidates=2), Chat()], "distributed and paths together on gpu"),
        ([Chat(draft_cap=9)], "jobs at once on a draft device 9 (studied 1–8)"),
        ([Chat(draft_cap=2, candidates=2)], "several paths on draft devices with batches, of chat0"),
        ([Chat(draft_cap=2), Chat(mode="fused")], "batched and fused together on gpu"),
    ],
)
def test_each_mode_says_where_it_was_not_studied(chats: list[Chat], told: str | None) -> None:
    notes = outside_regime(system(*chats))
    assert (told is None) == (notes == ())
    assert told is None or told in notes[0]


def test_a_regime_is_known_by_its_modes_and_draft_devices() -> None:
    alone = system(Chat(rate_per_s=1.0, devices=1000))
    shared = system(Chat(rate_per_s=1.0, devices=2))
    both = system(Chat(rate_per_s=1.0), Chat(mode="target_only", rate_per_s=1.0))
    found = [known_errors(deployed, "chat0", "tpot_ms.p95") for deployed in (alone, shared, both)]
    keys = [("distributed", "open", "plenty"), ("distributed", "open", "shared"), ("mixed", "open", "shared")]
    assert found == [KNOWN[key]["tpot_ms.p95"] for key in keys]


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed"])
def test_the_replay_lies_in_the_interval_nearly_always(mode: str) -> None:
    """Of systems that were not in the study, nine means in ten at least: the two intervals meet."""
    inside = []
    for seed in range(97_000, 97_012):
        deployed = random_system(seed, mode, "open")
        seen = replay(deployed, seed=seed, requests=3000, replications=3)
        told = with_intervals(deployed, predict(deployed), predict)
        for expected, workload in zip(told.workloads, seen.workloads, strict=True):
            for metric in ("ttft_ms", "tpot_ms", "e2e_ms"):
                low, high = (expected.ci or {})[f"{metric}.mean"] or (0.0, 0.0)
                least, most = (workload.ci or {})[f"{metric}.mean"] or (0.0, 0.0)
                inside.append(low <= most and least <= high)
    assert np.mean(inside) > 0.9
