"""Acceptance scored from logs is what speculation records; logs that cannot be scored exactly are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.acceptance import TokenTrace, TraceMetadata, accepted_by_round, tokens_per_round
from dsd_plan.errors import InputError, TraceError
from dsd_plan.measure.acceptance.drafts import load_draft_model, load_drafts
from dsd_plan.measure.acceptance.logs import Completion, CompletionLog, Said, completion_rows, read_completions
from dsd_plan.measure.acceptance.prompt_file import read_prompts
from dsd_plan.measure.acceptance.ranking import Costs, match_rate_interval, ranked, tokens_per_round_interval
from dsd_plan.measure.acceptance.record import Asked, Recording, bundled_pair, record
from dsd_plan.measure.acceptance.score import Scored, score, score_all
from dsd_plan.pair.bundled import DRAFT_NAME, TARGET_NAME, ByteTokenizer, tokenizer_hash
from dsd_plan.pair.prompts import library_prompts

BYTES = ByteTokenizer()
ROW: dict[str, Any] = {
    "model": "big",
    "tokenizer_hash": tokenizer_hash(),
    "temperature": 0.7,
    "prompt_token_ids": [72, 105],
    "completion_token_ids": [33, 10],
}


def log_of(recorded: Recording) -> CompletionLog:
    return CompletionLog(recorded.completions, TARGET_NAME, tokenizer_hash(), 1.0, 1.0, retokenised=0, empty=0)


def recording(seed: int) -> Recording:
    prompts = library_prompts(64, prompt_tokens=64, seed=7)
    return record(bundled_pair(), prompts, Asked(output_tokens=96, seed=seed))


@pytest.fixture(scope="module")
def first() -> Recording:
    return recording(1)


@pytest.fixture(scope="module")
def second() -> Recording:
    return recording(2)


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "completions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def without(*keys: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key not in keys} | more


def test_scored_bits_are_those_that_speculation_recorded_on_the_same_completions(first: Recording) -> None:
    scored = score(load_draft_model("bundled"), log_of(first))
    assert isinstance(first.trace, TokenTrace)
    # The two passes add in another order; a proposal may change only where two tokens are as good as equal.
    assert np.count_nonzero(scored.trace.match != first.trace.match) <= 2
    assert scored.trace.confidence == pytest.approx(first.trace.confidence, abs=1e-4)
    assert scored.trace.task is not None
    assert first.trace.task is not None
    assert scored.trace.task.tolist() == first.trace.task.tolist()
    assert np.array_equal(scored.trace.context_tokens, first.trace.context_tokens)
    assert np.array_equal(scored.trace.request_id, first.trace.request_id)
    assert (scored.cut_tokens, scored.left_out) == (0, 0)


def test_scored_and_recorded_acceptance_agree_for_every_window(first: Recording, second: Recording) -> None:
    scored = score(load_draft_model("bundled"), log_of(first)).trace
    recorded = second.trace
    assert isinstance(recorded, TokenTrace)
    for window in range(1, 13):
        one, other = (tokens_per_round_interval(trace, window) for trace in (scored, recorded))
        assert one is not None
        assert other is not None
        allowed = math.hypot((one.high - one.low) / 2, (other.high - other.low) / 2)
        assert abs(one.point - other.point) < allowed
        assert allowed < 0.25


def test_what_was_said_is_what_plain_decoding_says_at_temperature_zero() -> None:
    prompts = library_prompts(4, prompt_tokens=48, seed=3)
    asked = [Asked(output_tokens=24, temperature=0.0, proposal="argmax", form="rounds", window=w) for w in (1, 5)]
    asked += [Asked(output_tokens=24, temperature=0.0, proposal="sampled", window=3, candidates=2)]
    said = [record(bundled_pair(), prompts, one).completions for one in asked]
    assert said[0] == said[1] == said[2]


def test_a_log_that_was_written_is_read_back(tmp_path: Path) -> None:
    requests = (Completion((1, 2), (3, 4, 5), "code"), Completion((6,), (7,), "prose"))
    path = tmp_path / "log.jsonl"
    rows = completion_rows(requests, target="t", tokenizer_hash=BYTES.hash, temperature=0.5, top_p=0.9)
    path.write_text("".join(rows), encoding="utf-8")
    assert read_completions(path, BYTES) == CompletionLog(requests, "t", BYTES.hash, 0.5, 0.9, 0, 0)


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        without("completion_token_ids", choices=[{"token_ids": [33, 10], "text": "!\n"}]),
        without("prompt_token_ids", "completion_token_ids", prompt="Hi", completion="!\n"),
        without("prompt_token_ids", "completion_token_ids", prompt="Hi", choices=[{"text": "!\n"}]),
        without("temperature", sampling_params={"temperature": 0.7}),
        without("tokenizer_hash", prompt="Hi", completion="!\n"),
    ],
)
def test_the_shapes_that_logs_come_in(tmp_path: Path, row: dict[str, Any]) -> None:
    log = read_completions(written(tmp_path, row), BYTES)
    assert log.requests == (Completion((72, 105), (33, 10)),)
    assert (log.target, log.temperature, log.top_p) == ("big", 0.7, None)
    assert log.retokenised == ("prompt_token_ids" not in row)


def test_what_a_log_does_not_tell_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, without("model", "temperature", "tokenizer_hash"))
    log = read_completions(path, BYTES, Said("mine", 0.3, 0.8, BYTES))
    assert (log.target, log.temperature, log.top_p) == ("mine", 0.3, 0.8)


class OtherBytes(ByteTokenizer):
    hash = "sha256:other"


class Merging(ByteTokenizer):
    """Knows the pair "i!" as one more token."""

    hash = "sha256:merging"
    vocabulary = 257

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(256 if part == "\0" else ord(part) for part in text.replace("i!", "\0"))

    def decode(self, ids: Any) -> str:
        return "".join("i!" if token == 256 else chr(token) for token in ids)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (without("temperature"), "temperature: no line tells it.*say --temperature T"),
        (without("model"), "model: no line tells it.*say --target NAME"),
        (without("tokenizer_hash"), "nothing tells whose token ids these are; say --tokenizer FOLDER"),
        (without(tokenizer_hash="sha256:another"), "the log was made with sha256:another, the draft has sha256:"),
        (without(completion_token_ids=[33, 256]), "line 1: completion_token_ids: found 256, .* ids 0 to 255"),
        (without(completion_token_ids=["a"]), "expected a list of whole numbers"),
        (without("completion_token_ids"), "line 1: has no token ids"),
        (without(prompt_token_ids=[]), "line 1: the prompt has no tokens"),
        (without(temperature="hot"), "temperature: found hot, expected a number"),
        ([1], "line 1: found no table"),
        (without(completion_token_ids=[]), "has no completion"),
        (without("prompt_token_ids", "completion_token_ids", prompt="\ud800", completion="a"), "does not come back"),
    ],
)
def test_logs_that_cannot_be_scored_exactly_are_refused(tmp_path: Path, row: Any, says: str) -> None:
    with pytest.raises(TraceError, match=says):
        read_completions(written(tmp_path, row), BYTES)


def test_all_problems_of_a_log_are_in_one_message(tmp_path: Path) -> None:
    rows = [without("model", completion_token_ids=[300]), without("model", temperature=1.0), [], *([[]] * 30)]
    with pytest.raises(TraceError) as caught:
        read_completions(written(tmp_path, *rows), BYTES)
    for says in ("line 1: completion", "line 3: found", "lines more", "model: no line", "several: 0.7 (line 1), 1.0"):
        assert says in str(caught.value)


def test_a_token_across_the_end_of_the_prompt_has_no_exact_ids(tmp_path: Path) -> None:
    row = without("prompt_token_ids", "completion_token_ids", prompt="Hi", completion="!\n")
    with pytest.raises(TraceError, match="a token spans the end of the prompt"):
        read_completions(written(tmp_path, row), Merging(), Said(tokenizer=Merging()))


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for content, says in ((b"", "is empty"), (b"{}\n{", "line 2 is not JSON"), (b"\xff\xfe\n", "not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(TraceError, match=says):
            read_completions(path, BYTES)
    with pytest.raises(TraceError, match="no such file"):
        read_completions(tmp_path / "missing.jsonl", BYTES)


def test_the_targets_tokenizer_has_to_be_the_drafts(tmp_path: Path) -> None:
    for other, says in ((OtherBytes(), "other tokens or merges"), (Merging(), "257 token ids against 256")):
        with pytest.raises(TraceError, match=says):
            read_completions(written(tmp_path, without("tokenizer_hash")), BYTES, Said(tokenizer=other))


def test_completions_that_generated_nothing_are_counted(tmp_path: Path) -> None:
    log = read_completions(written(tmp_path, ROW, without(completion_token_ids=[])), BYTES)
    assert (len(log.requests), log.empty) == (1, 1)


class Parrot:
    """Proposes the token that it was just given, with certainty 0.5."""

    name = "parrot"
    tokenizer = BYTES
    max_context = 6
    weight_bytes = 2**20

    def proposals(self, tokens: Any) -> Any:
        return tokens, np.full(tokens.shape, 0.5)


def test_scores_by_hand_and_what_lies_past_the_context() -> None:
    requests = (
        Completion((1, 2), (2, 2, 3), "a"),
        Completion((5,), (5, 6, 6, 6, 6, 6, 7, 7), "b"),
        Completion((9,) * 7, (9,), "b"),
    )
    scored = score(Parrot(), CompletionLog(requests, "t", BYTES.hash, 1.0, None, 0, 0))
    assert scored.trace.request_id.tolist() == [0] * 3 + [1] * 6
    assert scored.trace.match.tolist() == [1, 1, 0, 1, 0, 1, 1, 1, 1]
    assert scored.trace.context_tokens is not None
    assert scored.trace.context_tokens.tolist() == [2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert scored.trace.task is not None
    assert scored.trace.task.tolist() == ["a"] * 3 + ["b"] * 6
    assert (scored.cut_tokens, scored.left_out) == (2, 1)
    with pytest.raises(TraceError, match="every prompt is longer than the 6 tokens"):
        score(Parrot(), CompletionLog(requests[2:], "t", BYTES.hash, 1.0, None, 0, 0))


def trace_of(*requests: list[int]) -> TokenTrace:
    return TokenTrace(
        metadata=TraceMetadata("d", "t", "h", "argmax", "r", "v"),
        request_id=np.repeat(np.arange(len(requests)), [len(bits) for bits in requests]),
        match=np.concatenate(requests).astype(np.uint8),
    )


def test_intervals_are_over_requests_and_hold_the_point() -> None:
    rng = np.random.default_rng(0)
    alike = trace_of(*(list((rng.random(50) < 0.6).astype(int)) for _ in range(40)))
    apart = trace_of(*([0, 1] * 25 if i % 2 else [1] * 50 for i in range(40)))
    widths = []
    for trace in (alike, apart):
        interval = match_rate_interval(trace)
        assert interval is not None
        assert interval.low < interval.point < interval.high
        assert interval.point == pytest.approx(float(trace.match.mean()))
        widths.append(interval.high - interval.low)
        rounds = tokens_per_round_interval(trace, 3)
        assert rounds is not None
        assert rounds.point == pytest.approx(1.0 + accepted_by_round(trace, 3).mean())
        assert rounds.point == pytest.approx(tokens_per_round(trace, 3))
    # Binomial: ± 1.96 √(.6 · .4 / 2000) = ± .0215; halves at .5 and 1: ± 1.96 · .25 / √40 = ± .0775.
    assert widths == pytest.approx([2 * 0.0215, 2 * 0.0775], rel=0.15)
    assert match_rate_interval(trace_of([1, 0, 1])) is None


def test_drafts_are_ranked_by_the_time_of_a_token() -> None:
    good, fair = (
        Scored(name, trace_of(*([bits] * 8)), 2**20, 0, 0)
        for name, bits in (("good", [1, 1, 1, 0] * 6), ("fair", [1, 0] * 12))
    )
    table = ranked((fair, good), (Costs(1.0, 10.0, 10.0), Costs(1.0, 10.0, 10.0)), largest_window=4)
    assert [one.draft for one in table] == ["good", "fair"]
    # Window 3 keeps all three and emits 4: (3 · 1 + 10) / 4 = 3.25 ms, and 4 · 10 − 3 − 10 = 27 ms of round trip.
    assert (table[0].best.window, table[0].best.tokens_per_round) == (3, 4.0)
    assert table[0].best.tpot == pytest.approx(3.25)
    assert table[0].best.break_even_rtt == pytest.approx(27.0)
    assert (table[1].best.window, table[1].best.tpot) == (1, pytest.approx(5.5))
    dear = ranked((fair, good), (Costs(1.0, 10.0, 10.0), Costs(9.0, 10.0, 10.0)), largest_window=4)
    assert [one.draft for one in dear] == ["fair", "good"]
    at_break_even = Costs(1.0, 10.0, 10.0, rtt=27.0)
    assert at_break_even.tpot(3, 4.0) == pytest.approx(10.0)


def test_the_target_as_its_own_draft_agrees_most(first: Recording) -> None:
    drafts = load_drafts(["bundled", TARGET_NAME])
    log = log_of(first)
    part = CompletionLog(log.requests[:8], log.target, log.tokenizer_hash, 1.0, 1.0, 0, 0)
    small, large = score_all(drafts, part)
    assert (small.draft, large.draft) == (DRAFT_NAME, TARGET_NAME)
    assert large.trace.match.mean() > small.trace.match.mean()
    assert large.weight_bytes > 50 * small.weight_bytes
    with pytest.raises(InputError, match="is given more than once"):
        load_drafts(["bundled", DRAFT_NAME])
    with pytest.raises(InputError, match="no such folder"):
        load_drafts(["missing-folder"])


def test_prompts_of_a_file(tmp_path: Path) -> None:
    text, table = tmp_path / "p.txt", tmp_path / "p.jsonl"
    text.write_text("Hi\n\nyou\n", encoding="utf-8")
    assert [prompt.tokens for prompt in read_prompts(text, BYTES)] == [(72, 105), (121, 111, 117)]
    assert len(read_prompts(text, BYTES, 1)) == 1
    table.write_text('{"prompt": "Hi", "task": "a"}\n{"prompt_token_ids": [1, 2], "task": "b"}\n', encoding="utf-8")
    assert [(prompt.task, prompt.tokens) for prompt in read_prompts(table, BYTES)] == [("a", (72, 105)), ("b", (1, 2))]
    table.write_text(
        '{"prompt": "Hi", "task": "a"}\n{"prompt": ""}\n{"prompt_token_ids": [300]}\n[]\nx\n{"prompt": "b"}'
    )
    with pytest.raises(InputError) as caught:
        read_prompts(table, BYTES)
    for says in ("line 2: expected prompt", "line 3: prompt_token_ids", "line 4", "line 5: is not JSON", "task: some"):
        assert says in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (Asked(proposal="sampled", form="tokens"), "--form tokens: sampled proposals"),
        (Asked(candidates=2, form="tokens"), "--form tokens: with several candidate paths"),
        (Asked(timed=True, form="tokens"), "--timed: a token has no"),
        (Asked(output_tokens=500), "prompt 1: 64 tokens, 500 of output and a window of 1 are more than the 512"),
    ],
)
def test_recordings_that_make_no_sense_are_refused(asked: Asked, says: str) -> None:
    with pytest.raises(InputError, match=says):
        record(bundled_pair(), library_prompts(2, prompt_tokens=64, seed=0), asked)


def test_timed_rounds_tell_their_times_and_context() -> None:
    prompts = library_prompts(2, prompt_tokens=32, seed=0)
    trace = record(bundled_pair(), prompts, Asked(output_tokens=8, window=2, timed=True)).trace
    assert not isinstance(trace, TokenTrace)
    assert trace.draft_ms is not None
    assert trace.verify_ms is not None
    assert trace.context_tokens is not None
    assert (trace.draft_ms > 0).all()
    assert (trace.verify_ms > 0).all()
    for request in (0, 1):
        own = trace.request_id == request
        before = 32 + np.concatenate([[0], np.cumsum(trace.accepted[own] + 1)[:-1]])
        assert trace.context_tokens[own].tolist() == before.tolist()
