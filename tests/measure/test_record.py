"""A recorded trace says of every token and round what speculation said."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan import __version__
from dsd_plan.domain.acceptance import RoundTrace, TokenTrace, TraceMetadata, survival_by_position
from dsd_plan.measure.acceptance.record import RecordedPair, bundled_pair, record_acceptance, round_trace, token_trace
from dsd_plan.pair.bundled import tokenizer_hash
from dsd_plan.pair.prompts import TASKS, Prompt
from dsd_plan.pair.speculate import Round, Speculation

METADATA = TraceMetadata("d", "t", "h", "argmax", "r", "v")
PROMPTS = (Prompt("code", "m", (1, 2, 3)), Prompt("prose", "n", (4, 5)))
OUTPUTS = (
    Speculation((7, 8), (True, False), (0.9, 0.2), (Round(2, 1),)),
    Speculation((9, 7, 8), (False, True, True), (0.5, 0.6, 0.7), (Round(2, 0), Round(2, 2))),
)


@pytest.fixture(scope="module")
def pair() -> RecordedPair:
    return bundled_pair()


def test_rows_by_hand() -> None:
    tokens = token_trace(METADATA, PROMPTS, OUTPUTS)
    assert tokens.request_id.tolist() == [0, 0, 1, 1, 1]
    assert tokens.match.tolist() == [1, 0, 0, 1, 1]
    assert tokens.task is not None
    assert tokens.task.tolist() == ["code"] * 2 + ["prose"] * 3
    assert tokens.confidence is not None
    assert tokens.confidence.tolist() == [0.9, 0.2, 0.5, 0.6, 0.7]
    assert tokens.context_tokens is not None
    assert tokens.context_tokens.tolist() == [3, 4, 2, 3, 4]
    rounds = round_trace(METADATA, PROMPTS, OUTPUTS)
    assert rounds.request_id.tolist() == [0, 1, 1]
    assert rounds.proposed.tolist() == [2, 2, 2]
    assert rounds.accepted.tolist() == [1, 0, 2]
    assert rounds.task is not None
    assert rounds.task.tolist() == ["code", "prose", "prose"]


def test_argmax_gives_a_token_trace_with_its_metadata(pair: RecordedPair) -> None:
    told: list[tuple[int, int, str]] = []
    trace = record_acceptance(
        pair, requests=72, prompt_tokens=48, output_tokens=24, on_progress=lambda *row: told.append(row)
    )
    assert isinstance(trace, TokenTrace)
    assert trace.match.size == 72 * 24
    assert trace.task is not None
    assert set(trace.task.tolist()) == set(TASKS)
    assert np.bincount(trace.request_id).tolist() == [24] * 72
    assert trace.metadata == TraceMetadata(
        draft=pair.draft_name,
        target=pair.target_name,
        tokenizer_hash=tokenizer_hash(),
        proposal="argmax",
        recorder="dsd-plan recorder",
        version=__version__,
        temperature=1.0,
        top_p=1.0,
        candidates=1,
    )
    assert [row[:2] for row in told] == [(64, 72), (72, 72)]


def test_match_bits_do_not_depend_on_the_window_that_recorded_them(pair: RecordedPair) -> None:
    """Greedy decoding has one output, so every window must see the same bits on it."""
    traces = [
        record_acceptance(pair, requests=8, prompt_tokens=48, output_tokens=40, temperature=0.0, window=window)
        for window in (1, 4)
    ]
    assert all(isinstance(trace, TokenTrace) for trace in traces)
    first, second = (trace.match for trace in traces if isinstance(trace, TokenTrace))
    assert first.tolist() == second.tolist()


def test_sampled_gives_a_round_trace_that_agrees_with_its_tokens(pair: RecordedPair) -> None:
    trace = record_acceptance(
        pair, requests=8, prompt_tokens=48, output_tokens=40, proposal="sampled", window=3, temperature=0.8
    )
    assert isinstance(trace, RoundTrace)
    assert set(trace.proposed.tolist()) == {3}
    assert 0 <= trace.accepted.min() <= trace.accepted.max() <= 3
    emitted = np.bincount(trace.request_id, weights=trace.accepted + 1)
    assert (emitted >= 40).all()
    assert (emitted < 40 + 4).all()
    assert 0.3 < survival_by_position(trace, 1)[0] < 1.0


def test_the_seed_fixes_the_trace(pair: RecordedPair) -> None:
    one, same, other = (
        record_acceptance(pair, requests=8, prompt_tokens=32, output_tokens=24, seed=seed) for seed in (4, 4, 5)
    )
    assert isinstance(one, TokenTrace)
    assert isinstance(same, TokenTrace)
    assert isinstance(other, TokenTrace)
    assert one.match.tolist() == same.match.tolist() != other.match.tolist()
