"""Speculative decoding, really run: the draft proposes, the target verifies, misses are rolled back.

Pure with respect to clock and disk: what happens follows from the models, the prompts and the chance given.
Several requests run in lockstep, each with its own length; a request's tokens do not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsd_plan.pair.sampling import Bools, Chance, Ints, Probabilities, distribution
from dsd_plan.pair.transformer import Floats, KvCache, Transformer

Proposal = Literal["argmax", "sampled"]


@dataclass(frozen=True, slots=True)
class Round:
    """One draft-and-verify round: ``accepted`` of ``proposed`` tokens stood, and one more was emitted."""

    proposed: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Speculation:
    """What one request produced."""

    tokens: tuple[int, ...]
    matches: tuple[bool, ...]
    """By token: did the draft's proposal at this point equal it? Empty for sampled proposals."""
    confidence: tuple[float, ...]
    """By token: the draft's softmax probability (temperature 1) of its proposal there. Empty for sampled proposals."""
    rounds: tuple[Round, ...]
    """Every round in full, so the last may have emitted tokens that ``tokens`` no longer holds."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The target's answer to one round, a row a request."""

    emitted: Ints
    """[batch, window + 1]; the first ``accepted + 1`` of a row count."""
    accepted: Ints
    matches: Bools | None


def speculate_argmax(
    target: Transformer,
    draft: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    window: int,
    output_tokens: int,
    chance: Chance,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> tuple[Speculation, ...]:
    """Lossless speculation where only token ids cross the wire.

    The draft proposes its most likely token x; the target samples y from its own distribution p at every
    position; x is accepted iff y = x, which has probability p(x), and y is emitted either way. The output is
    therefore the target's own. Returns one ``Speculation`` a prompt, each of ``output_tokens`` tokens.
    Raises ``ValueError`` for an empty prompt or where prompt, output and window outgrow the models' context.
    """
    return _speculate(
        target, draft, prompts, "argmax", window, output_tokens, chance=chance, temperature=temperature, top_p=top_p
    )


def speculate_sampled(
    target: Transformer,
    draft: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    window: int,
    output_tokens: int,
    chance: Chance,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> tuple[Speculation, ...]:
    """Lossless speculation by accept-or-resample (Leviathan et al. 2211.17192, Algorithm 1).

    The draft samples x from its q; x is accepted with probability min(1, p(x)/q(x)), else the token is
    drawn from (p − q)⁺, normalised. Both distributions are taken after temperature and top-p. Returns and
    raises like ``speculate_argmax``.
    """
    return _speculate(
        target, draft, prompts, "sampled", window, output_tokens, chance=chance, temperature=temperature, top_p=top_p
    )


def decode(
    target: Transformer,
    prompts: Sequence[Sequence[int]],
    *,
    output_tokens: int,
    chance: Chance,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> tuple[tuple[int, ...], ...]:
    """Plain decoding on the target, token by token: what speculation must be indistinguishable from."""
    longest = max(len(prompt) for prompt in prompts)
    cache = prefilled(target, prompts, longest + output_tokens)
    last = np.array([[prompt[-1]] for prompt in prompts], dtype=np.int64)
    columns = []
    for _ in range(output_tokens):
        last = chance.choose(distribution(target.forward(last, cache), temperature, top_p))
        columns.append(last[:, 0])
    return tuple(tuple(int(token) for token in row) for row in np.stack(columns, axis=1))


def prefilled(model: Transformer, prompts: Sequence[Sequence[int]], capacity: int) -> KvCache:
    """A cache with every prompt but its last token, which is the first to be fed by decoding."""
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise ValueError("every prompt needs at least one token")
    kept = np.array([len(prompt) - 1 for prompt in prompts], dtype=np.int64)
    cache = model.new_cache(len(prompts), capacity)
    if kept.max() > 0:
        padded = np.zeros((len(prompts), int(kept.max())), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, : kept[row]] = prompt[:-1]
        model.forward(padded, cache)
        cache.truncate(kept)
    return cache


def _speculate(
    target: Transformer,
    draft: Transformer,
    prompts: Sequence[Sequence[int]],
    proposal: Proposal,
    window: int,
    output_tokens: int,
    *,
    chance: Chance,
    temperature: float,
    top_p: float,
) -> tuple[Speculation, ...]:
    if window < 1 or output_tokens < 1:
        raise ValueError(f"window {window} and output_tokens {output_tokens} must both be at least 1")
    capacity = max((len(prompt) for prompt in prompts), default=0) + output_tokens + window
    caches = [prefilled(model, prompts, capacity) for model in (target, draft)]
    records = [_Record() for _ in prompts]
    going = np.arange(len(prompts))
    last = np.array([prompt[-1] for prompt in prompts], dtype=np.int64)
    while len(going):
        before = caches[0].lengths
        drafted = _draft_round(draft, caches[1], last, proposal, window, chance, temperature, top_p)
        fed = np.concatenate((last[:, None], drafted.tokens[:, :window]), axis=1)
        wanted = distribution(target.forward(fed, caches[0]), temperature, top_p)
        if proposal == "argmax":
            verdict = judge_argmax(wanted, drafted.tokens, chance)
        else:
            verdict = judge_sampled(wanted, drafted.tokens, drafted.distributions, chance)
        for cache in caches:
            cache.truncate(before + 1 + verdict.accepted)
        last = np.take_along_axis(verdict.emitted, verdict.accepted[:, None], axis=1)[:, 0]
        for row, index in enumerate(going):
            records[index].add(verdict, drafted.confidence, row)
        left = np.array([len(records[index].tokens) < output_tokens for index in going])
        if not left.all():
            rows = np.flatnonzero(left)
            going, last = going[rows], last[rows]
            chance.keep(rows)
            for cache in caches:
                cache.keep(rows)
    return tuple(record.finished(output_tokens) for record in records)


@dataclass(frozen=True, slots=True)
class _Drafted:
    tokens: Ints
    """[batch, window + 1] for argmax, where the last is what the draft would have proposed beyond the window;
    [batch, window] for sampled."""
    distributions: Probabilities
    """[batch, window, vocab], q after temperature and top-p; empty for argmax, which needs none."""
    confidence: NDArray[np.float64]
    """Shape of ``tokens``."""


def _draft_round(
    draft: Transformer,
    cache: KvCache,
    last: Ints,
    proposal: Proposal,
    window: int,
    chance: Chance,
    temperature: float,
    top_p: float,
) -> _Drafted:
    """Propose ``window`` tokens after ``last``; the draft takes in its last proposal too, so that its cache
    is level with the target's when all are accepted."""
    tokens, distributions, confidence = [], [], []
    token = last
    for step in range(window + 1):
        logits = draft.forward(token[:, None], cache)[:, 0]
        if proposal == "argmax":
            token = logits.argmax(axis=-1)
        elif step < window:
            chances = distribution(logits, temperature, top_p)
            token = chance.choose(chances)
            distributions.append(chances)
        else:
            break
        tokens.append(token)
        confidence.append(_softmax_of(logits, token))
    return _Drafted(
        tokens=np.stack(tokens, axis=1),
        distributions=np.stack(distributions, axis=1) if distributions else np.empty((len(last), 0, 0)),
        confidence=np.stack(confidence, axis=1),
    )


def judge_argmax(wanted: Probabilities, proposed: Ints, chance: Chance) -> _Verdict:
    """Sample the target's token at every position and compare.

    ``wanted`` is p, [batch, window + 1, vocab]; ``proposed`` int[batch, window + 1].
    """
    emitted = chance.choose(wanted)
    matches = emitted == proposed
    return _Verdict(emitted=emitted, accepted=_run(matches[:, :-1]), matches=matches)


def judge_sampled(wanted: Probabilities, proposed: Ints, offered: Probabilities, chance: Chance) -> _Verdict:
    """Accept or resample (2211.17192, Algorithm 1).

    ``wanted`` is p, [batch, window + 1, vocab]; ``proposed`` int[batch, window] was drawn from ``offered``, q.
    """
    p = np.take_along_axis(wanted[:, :-1], proposed[..., None], axis=-1)[..., 0]
    q = np.take_along_axis(offered, proposed[..., None], axis=-1)[..., 0]
    accepted = _run(chance.accept(np.minimum(1.0, p / q)))
    rows = np.arange(len(proposed))
    final = wanted[rows, accepted]
    missed = accepted < proposed.shape[1]
    surplus = np.maximum(final[missed] - offered[rows[missed], accepted[missed]], 0.0)
    mass = surplus.sum(axis=-1, keepdims=True)
    # A miss has probability 0 where p = q; only rounding gets there, and then p itself is the limit.
    final[missed] = np.where(mass > 0.0, surplus / np.where(mass > 0.0, mass, 1.0), final[missed])
    emitted = np.concatenate((proposed, np.zeros_like(proposed[:, :1])), axis=1)
    emitted[rows, accepted] = chance.choose(final)
    return _Verdict(emitted=emitted, accepted=accepted, matches=None)


def _run(hits: Bools) -> Ints:
    """Length of the run of True at the start of every row."""
    run: Ints = np.logical_and.accumulate(hits, axis=1).sum(axis=1)
    return run


def _softmax_of(logits: Floats, tokens: Ints) -> NDArray[np.float64]:
    shifted = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    of_token: NDArray[np.float64] = np.take_along_axis(shifted, tokens[:, None], axis=-1)[:, 0] / shifted.sum(axis=-1)
    return of_token


class _Record:
    """What one request has produced so far."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._matches: list[bool] = []
        self._confidence: list[float] = []
        self._rounds: list[Round] = []

    def add(self, verdict: _Verdict, confidence: NDArray[np.float64], row: int) -> None:
        count = int(verdict.accepted[row]) + 1
        self.tokens += verdict.emitted[row, :count].tolist()
        if verdict.matches is not None:
            self._matches += verdict.matches[row, :count].tolist()
            self._confidence += confidence[row, :count].tolist()
        self._rounds.append(Round(proposed=verdict.emitted.shape[1] - 1, accepted=count - 1))

    def finished(self, output_tokens: int) -> Speculation:
        return Speculation(
            tokens=tuple(self.tokens[:output_tokens]),
            matches=tuple(self._matches[:output_tokens]),
            confidence=tuple(self._confidence[:output_tokens]),
            rounds=tuple(self._rounds),
        )
