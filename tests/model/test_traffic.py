"""Rounds of laws and recordings, lengths of recordings, and messages: hand-worked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, rounds_pmf
from dsd_plan.domain.network import Hop
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model.moments import Time, message_ms, product
from dsd_plan.model.traffic import demands_of, rounds_of
from dsd_plan.model.walks import rounds_along, walk_of
from tests.model.systems import Chat, system

ABOUT = TraceMetadata(draft="small", target="big", tokenizer_hash="x", proposal="argmax", recorder="test", version="0")


def recorded(*requests: str) -> TokenTrace:
    return TokenTrace(
        metadata=ABOUT,
        request_id=np.repeat(np.arange(len(requests)), [len(bits) for bits in requests]),
        match=np.array([int(bit) for bits in requests for bit in bits], dtype=np.uint8),
    )


def test_rounds_along_a_recording() -> None:
    # Window 2. From the first request: 11|0 → 3 tokens, 10 → 2 tokens; from the second: 0 → 1, 11|0 wraps → 3, ….
    counts, accepted = rounds_along(walk_of(recorded("11010", "011"), 2), 2, 5)
    assert counts.tolist() == [2.0, 3.0]
    # First request accepts 2, 1; second 0, 2, then 1 (the place after the wrapped miss): 6 of 10 proposals.
    assert accepted == pytest.approx(6 / 10)


def test_a_recording_without_a_miss_accepts_every_window() -> None:
    counts, accepted = rounds_along(walk_of(recorded("1111"), 3), 3, 10)
    assert counts.tolist() == [3.0]
    assert accepted == 1.0


def test_requests_of_a_recording_differ() -> None:
    easy, hard = "1" * 40, "0" * 40
    rounds = rounds_of(demands(acceptance=recorded(easy, hard), window=4, output=21)[0].stream)
    assert rounds.count.mean == pytest.approx((4 + 20) / 2)
    assert rounds.count.variance == pytest.approx(64.0)


def test_rounds_of_a_round_trace_at_another_window_follow_its_survival() -> None:
    trace = RoundTrace(ABOUT, np.zeros(4, int), np.full(4, 2), np.array([2, 1, 0, 1]))
    by_trace = rounds_of(demands(acceptance=trace, window=1)[0].stream)
    by_law = rounds_of(demands(acceptance=AcceptanceLaw(survival=(0.75,)), window=1)[0].stream)
    assert by_trace.count.mean == pytest.approx(by_law.count.mean)
    assert by_trace.accepted == pytest.approx(0.75)


def test_rounds_of_states_that_last() -> None:
    # As in the domain's tests by hand: 3 tokens after the first take 2 rounds (7/8) or 3.
    law = MarkovLaw(
        states=((0.5,), (1.0,)),
        transition=((0.5, 0.5), (0.0, 1.0)),
        start=(1.0, 0.0),
        largest_window=1,
        measured_window=1,
    )
    stream = demands(per_token=0.5, window=1, output=4)[0].stream
    rounds = rounds_of(replace(stream, acceptance=law))
    assert rounds.count == pytest.approx((17 / 8, 7 / 64, 7 / 8 * 1 / 8 * 6 / 8))
    assert rounds.accepted == pytest.approx(1.34375 / 2.125)


def test_rates_that_last_a_request_spread_its_rounds() -> None:
    requests = RequestTrace(np.array([0.0, 1.0]), np.array([10, 10]), np.array([2, 42]))
    stream = demands(requests=requests, window=4, per_token=0.7)[0].stream
    law = BetaLaw(a=7.0, b=3.0, largest_window=4, measured_window=4)
    mixed, alike = rounds_of(replace(stream, acceptance=law)), rounds_of(stream)
    pmf = rounds_pmf(law, 4, 41)
    assert [part.count.mean for part in mixed.parts] == pytest.approx([1.0, pmf @ np.arange(pmf.size)])
    assert mixed.parts[1].count.variance > 2 * alike.parts[1].count.variance
    nearly_one_rate = BetaLaw(a=7e5, b=3e5, largest_window=4, measured_window=4)
    assert rounds_of(replace(stream, acceptance=nearly_one_rate)).count == pytest.approx(alike.count, rel=1e-4)


def demands(**chat: object) -> tuple:
    return demands_of(system(Chat(**chat)))  # type: ignore[arg-type]


def test_a_recording_of_requests_counts_by_its_lengths() -> None:
    requests = RequestTrace(np.array([0.0, 1.0, 4.0]), np.array([100, 200, 300]), np.array([1, 11, 31]))
    found = demands(mode="target_only", requests=requests)[0]
    assert found.rate == pytest.approx(2 / 4 / 1000)
    assert found.lengths.prompt == 200.0
    assert found.lengths.prompt_square == pytest.approx((1e4 + 4e4 + 9e4) / 3)
    assert found.rounds.count.mean == pytest.approx(40 / 3)
    # Plain decoding takes a round for every token after the first, whatever the length.
    assert [part.output for part in found.rounds.parts] == pytest.approx([1.0, 11.0, 31.0])
    assert [part.count.mean for part in found.rounds.parts] == pytest.approx([0.0, 10.0, 30.0])
    assert found.lengths.most_kv == 331.0


def test_a_cached_prefix_is_kept_in_memory_and_not_prefilled() -> None:
    lengths = np.array([100, 300]), np.array([11, 11]), np.array([40, 60])
    requests = RequestTrace(np.array([0.0, 1.0]), *lengths)
    found = demands(mode="target_only", requests=requests)[0].lengths
    assert (found.prompt, found.prefill) == (200.0, 150.0)
    assert found.prompt_square == pytest.approx((60.0**2 + 240.0**2) / 2)
    assert found.context == pytest.approx(205.5)
    assert found.most_kv == 311.0


def test_short_requests_waste_more_of_their_last_round() -> None:
    requests = RequestTrace(np.array([0.0, 1.0]), np.array([10, 10]), np.array([2, 42]))
    mixed = demands(requests=requests, window=4, per_token=1.0)[0].rounds
    # 1 round for 1 token, 9 rounds for 41: each length has its own ratio of rounds to tokens.
    assert [part.output for part in mixed.parts] == pytest.approx([2.0, 42.0])
    assert [part.count.mean for part in mixed.parts] == pytest.approx([1.0, 9.0])
    assert mixed.count.mean == pytest.approx(5.0)
    assert mixed.count.variance == pytest.approx(16.0)


def test_rounds_of_a_recording_by_length_walk_its_matches() -> None:
    """Matches 11010 011 in a circle, window 2: from 0 the rounds give 3, 2, 1, 2 …; from 5 they give 1, 3, 3 …"""
    trace = recorded("11010", "011")
    lengths = np.array([3, 6])
    requests = RequestTrace(np.array([0.0, 1.0]), np.array([10, 10]), lengths)
    mixed = demands(requests=requests, window=2, acceptance=trace)[0].rounds
    for part, tokens in zip(mixed.parts, lengths - 1, strict=True):
        counts, _ = rounds_along(walk_of(trace, 2), 2, int(tokens))
        assert part.count.mean == pytest.approx(counts.mean())
        assert part.count.variance == pytest.approx(counts.var())


def test_many_lengths_are_kept_in_few_parts_that_add_up() -> None:
    outputs = np.random.default_rng(5).integers(1, 900, 3000)
    requests = RequestTrace(np.arange(3000.0), np.full(3000, 10), outputs)
    mixed = demands(requests=requests, window=4, per_token=0.7)[0].rounds
    assert len(mixed.parts) <= 16
    assert sum(part.weight for part in mixed.parts) == pytest.approx(1.0)
    assert sum(part.weight * part.output for part in mixed.parts) == pytest.approx(outputs.mean())
    assert sum(part.weight * part.count.mean for part in mixed.parts) == pytest.approx(mixed.count.mean)


def test_closed_users_and_the_draft_device() -> None:
    found = demands(rate_per_s=None, users=7, think_s=1.5, prompt=100, window=3, rtt_ms=30.0)[0]
    assert (found.rate, found.users, found.think) == (0.0, 7, 1500.0)
    assert found.draft == pytest.approx(3 * 5.0)
    assert found.draft_prefill == pytest.approx(5.0 + 100 * 0.1)
    assert found.away == pytest.approx(1500.0 + 30.0)


def test_cumulants_of_a_message() -> None:
    hop = Hop(mean_ms=10.0, jitter_cv=0.5, mbps=1.0, loss=0.0, rtt_ms=20.0)
    assert message_ms((hop, hop), 125.0) == pytest.approx((22.0, 2 * 25.0, 2 * 2 * 125.0))
    lossy = message_ms((hop._replace(jitter_cv=0.0, loss=0.5),), 0.0)
    # One resending on average (geometric: variance 2, third moment 6), each of 20 ms.
    assert lossy == pytest.approx((30.0, 2 * 400.0, 6 * 8000.0))


def test_product_of_a_count_and_a_time() -> None:
    # 1 or 3 rounds of 1 or 2 ms, all with equal chance: 1, 2, 3, 6.
    found = product(Time(2.0, 1.0, 0.0), Time(1.5, 0.25, 0.0))
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert found == pytest.approx((3.0, values.var(), ((values - 3.0) ** 3).mean()))


def test_shares_of_a_workload_keep_their_sum() -> None:
    deployed = system(Chat(), Chat(mode="target_only", rate_per_s=3.0))
    assert sum(d.rate for d in demands_of(deployed)) == pytest.approx(0.004)
    assert replace(demands_of(deployed)[0], rate=0.5).rate == 0.5


def test_recorded_rounds_are_walked_as_they_were() -> None:
    """Two requests: 2, 2 accepted and 0, 0; five tokens take two rounds of three, or from the second 1 + 1 + 3."""
    trace = RoundTrace(ABOUT, np.array([0, 0, 1, 1]), np.full(4, 2), np.array([2, 2, 0, 0]))
    found = demands(window=2, output=6, acceptance=trace)[0].rounds
    assert found.count.mean == pytest.approx((2 + 3) / 2)
    assert found.count.variance == pytest.approx(0.25)
    # At another window than the recorded one they are drawn by position: nothing was recorded as it would have been.
    assert walk_of(trace, 1) is None


@pytest.mark.parametrize("variance", [0.0, 4.7e-300, 1e-200, 1e-20])
def test_a_spread_that_is_rounding_has_no_skew(variance: float) -> None:
    """Its power of 1.5 is 0 in floating point, and 0 / 0 no number."""
    law = Time(230.0, np.float64(variance), np.float64(0.0)).law()
    assert (law.mean.tolist(), law.variance.tolist(), law.skew.tolist()) == ([230.0], [variance], [0.0])
