"""Acceptance from completions that a target has already given: one teacher-forced pass of the draft over them.

A logged completion is a sample of the target, so the token that the draft thinks most likely at every place, compared
with the token that stands there, is the match bit that speculation with argmax proposals would have recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsd_plan import __version__
from dsd_plan.domain.acceptance import TokenTrace, TraceMetadata
from dsd_plan.errors import TraceError
from dsd_plan.measure.acceptance.logs import Completion, CompletionLog, Tokenizer
from dsd_plan.measure.machine import pinned_threads
from dsd_plan.pair.transformer import Transformer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""

SCORER = "dsd-plan scorer"
TOKENS_TOGETHER = 8192
"""Tokens of one pass, padding included."""


class DraftModel(Protocol):
    """A model that may draft, as scoring needs it."""

    name: str
    max_context: int
    """Most tokens that it can be given at once."""
    weight_bytes: int

    @property
    def tokenizer(self) -> Tokenizer:
        """What its token ids mean."""
        ...

    def proposals(self, tokens: Ints) -> tuple[Ints, Floats]:
        """The likeliest token after every one of ``tokens`` [batch, length], and its probability at temperature 1."""
        ...


class BundledDraft:
    """A byte-level model of the bundled pair."""

    def __init__(self, name: str, model: Transformer, tokenizer: Tokenizer) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.max_context = model.shape.max_context
        self.weight_bytes = model.shape.weight_bytes
        self._model = model

    def proposals(self, tokens: Ints) -> tuple[Ints, Floats]:
        """One pass over an empty cache."""
        logits = self._model.forward(tokens, self._model.new_cache(*tokens.shape))
        chosen: Ints = logits.argmax(axis=-1)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return chosen, 1.0 / weights.sum(axis=-1, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Scored:
    """One draft's acceptance on a log."""

    draft: str
    trace: TokenTrace
    weight_bytes: int
    cut_tokens: int
    """Generated tokens that lie past the longest context and were not scored."""
    left_out: int
    """Requests whose prompt alone fills the longest context."""


def score(
    draft: DraftModel,
    log: CompletionLog,
    *,
    max_context: int | None = None,
    on_progress: Progress | None = None,
) -> Scored:
    """The match bit and the draft's confidence at every generated token of ``log``.

    ``max_context`` shortens the longest context further, so that several drafts are judged on the same tokens. Raises
    ``TraceError`` where no token is left to score.
    """
    longest = min(draft.max_context, max_context or draft.max_context)
    kept = [_fitting(request, longest) for request in log.requests]
    requests = [request for request in kept if request is not None]
    if not requests:
        raise TraceError("the log", f"every prompt is longer than the {longest} tokens that {draft.name} takes")
    matches: list[NDArray[np.bool_]] = [np.empty(0, dtype=np.bool_)] * len(requests)
    confidence: list[Floats] = [np.empty(0)] * len(requests)
    done, total = 0, sum(len(request.completion) for request in requests)
    for rows in _batches(requests):
        fed = [requests[row].prompt + requests[row].completion[:-1] for row in rows]
        padded = np.zeros((len(rows), max(map(len, fed))), dtype=np.int64)
        for at, tokens in enumerate(fed):
            padded[at, : len(tokens)] = tokens
        chosen, sure = draft.proposals(padded)
        for at, row in enumerate(rows):
            said = requests[row].completion
            place = slice(len(fed[at]) - len(said), len(fed[at]))
            matches[row] = chosen[at, place] == np.array(said)
            confidence[row] = np.asarray(sure[at, place], dtype=np.float64)
            done += len(said)
        if on_progress is not None:
            on_progress(done, total, f"{draft.name}: tokens scored")
    return Scored(
        draft=draft.name,
        trace=_trace(draft, log, requests, matches, confidence),
        weight_bytes=draft.weight_bytes,
        cut_tokens=sum(
            len(whole.completion) - len(part.completion)
            for whole, part in zip(log.requests, kept, strict=True)
            if part is not None
        ),
        left_out=len(kept) - len(requests),
    )


def score_all(
    drafts: Sequence[DraftModel], log: CompletionLog, *, threads: int = 1, on_progress: Progress | None = None
) -> tuple[Scored, ...]:
    """``score`` every draft on the same tokens: those that fit the shortest context among them."""
    longest = min(draft.max_context for draft in drafts)
    with pinned_threads(threads):
        return tuple(score(draft, log, max_context=longest, on_progress=on_progress) for draft in drafts)


def _fitting(request: Completion, longest: int) -> Completion | None:
    """The request with as much of its completion as a model can be asked about; the last token is not fed."""
    room = longest - len(request.prompt) + 1
    if room < 1:
        return None
    return Completion(request.prompt, request.completion[:room], request.task)


def _batches(requests: Sequence[Completion]) -> list[list[int]]:
    """Rows of like length together, as many as a pass may hold."""
    lengths = [len(request.prompt) + len(request.completion) - 1 for request in requests]
    batches: list[list[int]] = []
    for row in sorted(range(len(requests)), key=lambda row: -lengths[row]):
        # Lengths fall, so the first of a batch is its longest.
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= TOKENS_TOGETHER:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def _trace(
    draft: DraftModel,
    log: CompletionLog,
    requests: Sequence[Completion],
    matches: Sequence[NDArray[np.bool_]],
    confidence: Sequence[Floats],
) -> TokenTrace:
    counts = [len(request.completion) for request in requests]
    before = [len(request.prompt) + np.arange(count) for request, count in zip(requests, counts, strict=True)]
    tasks = [request.task for request in requests if request.task is not None]
    return TokenTrace(
        metadata=TraceMetadata(
            draft=draft.name,
            target=log.target,
            tokenizer_hash=log.tokenizer_hash,
            proposal="argmax",
            recorder=SCORER,
            version=__version__,
            temperature=log.temperature,
            top_p=log.top_p,
            candidates=1,
        ),
        request_id=np.repeat(np.arange(len(requests), dtype=np.int64), counts),
        match=np.concatenate(matches).astype(np.uint8),
        task=np.repeat(np.array(tasks), counts) if tasks else None,
        confidence=np.concatenate(confidence),
        context_tokens=np.concatenate(before).astype(np.int64),
    )
