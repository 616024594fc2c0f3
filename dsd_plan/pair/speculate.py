"""Speculative decoding, really run: the draft proposes, the target verifies, misses are rolled back.

Pure with respect to clock and disk: what happens follows from the models, the prompts and the chance given.
Several requests run in lockstep, each with its own length; a request's tokens do not depend on the others.
With several candidate paths a round proposes that many sequences, and the longest run that stands is kept: argmax
paths start with the draft's most likely first tokens, one each; sampled paths are independent draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dsd_plan.pair.causal import CausalModel, Floats
from dsd_plan.pair.sampling import Chance, Ints, Probabilities, distribution
from dsd_plan.pair.verdicts import Verdict, judge_argmax, judge_argmax_paths, judge_sampled, judge_sampled_paths

Proposal = Literal["argmax", "sampled"]
StopwatchMs = Callable[[], float]
"""Milliseconds that only go forward, read when everything that was started is done."""


@dataclass(frozen=True, slots=True)
class Round:
    """One draft-and-verify round: ``accepted`` of ``proposed`` tokens stood, and one more was emitted."""

    proposed: int
    """The window, whatever the number of candidate paths."""
    accepted: int
    draft_ms: float | None = None
    """Of the whole batch that ran together; None where no stopwatch was given."""
    verify_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Speculation:
    """What one request produced."""

    tokens: tuple[int, ...]
    matches: tuple[bool, ...]
    """By token: did the draft's proposal at this point equal it? Told for one path of argmax proposals only."""
    confidence: tuple[float, ...]
    """By token: the draft's softmax probability (temperature 1) of its proposal there; told where ``matches`` is."""
    rounds: tuple[Round, ...]
    """Every round in full, so the last may have emitted tokens that ``tokens`` no longer holds."""


def speculate_argmax(
    target: CausalModel,
    draft: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    window: int,
    output_tokens: int,
    chance: Chance,
    temperature: float = 1.0,
    top_p: float = 1.0,
    candidates: int = 1,
    stop: Collection[int] = (),
    stopwatch_ms: StopwatchMs | None = None,
) -> tuple[Speculation, ...]:
    """Lossless speculation where only token ids cross the wire.

    The draft proposes its most likely token x; the target samples y from its own distribution p at every
    position; x is accepted iff y = x, which has probability p(x), and y is emitted either way. The output is
    therefore the target's own. With several ``candidates`` the draft's most likely first tokens start a path each,
    which goes on with argmax proposals. Returns one ``Speculation`` a prompt, each of ``output_tokens`` tokens, or
    fewer where one of ``stop`` ends it. Raises ``ValueError`` for an empty prompt, where prompt, output and window
    outgrow the models' context, and for more candidates than there are tokens.
    """
    asked = _Asked("argmax", window, candidates, output_tokens, temperature, top_p, frozenset(stop), stopwatch_ms)
    return _speculate(target, draft, prompts, asked, chance)


def speculate_sampled(
    target: CausalModel,
    draft: CausalModel,
    prompts: Sequence[Sequence[int]],
    *,
    window: int,
    output_tokens: int,
    chance: Chance,
    temperature: float = 1.0,
    top_p: float = 1.0,
    candidates: int = 1,
    stop: Collection[int] = (),
    stopwatch_ms: StopwatchMs | None = None,
) -> tuple[Speculation, ...]:
    """Lossless speculation by accept-or-resample (Leviathan et al. 2211.17192, Algorithm 1).

    The draft samples x from its q; x is accepted with probability min(1, p(x)/q(x)), else the token is
    drawn from (p − q)⁺, normalised. Both distributions are taken after temperature and top-p. Several
    ``candidates`` are independent paths, judged by recursive rejection sampling. Returns and raises like
    ``speculate_argmax``.
    """
    asked = _Asked("sampled", window, candidates, output_tokens, temperature, top_p, frozenset(stop), stopwatch_ms)
    return _speculate(target, draft, prompts, asked, chance)


def decode(
    target: CausalModel,
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


def prefilled(model: CausalModel, prompts: Sequence[Sequence[int]], capacity: int) -> Any:
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """How to speculate."""

    proposal: Proposal
    window: int
    candidates: int
    output_tokens: int
    temperature: float
    top_p: float
    stop: frozenset[int]
    stopwatch_ms: StopwatchMs | None

    def now_ms(self) -> float | None:
        return None if self.stopwatch_ms is None else self.stopwatch_ms()


def _speculate(
    target: CausalModel, draft: CausalModel, prompts: Sequence[Sequence[int]], asked: _Asked, chance: Chance
) -> tuple[Speculation, ...]:
    window, paths = asked.window, asked.candidates
    if window < 1 or asked.output_tokens < 1 or paths < 1:
        raise ValueError(f"window {window}, output_tokens {asked.output_tokens}, candidates {paths}: at least 1 each")
    capacity = max((len(prompt) for prompt in prompts), default=0) + asked.output_tokens + window
    caches = [prefilled(model, prompts, capacity) for model in (target, draft)]
    if paths > 1:
        for cache in caches:
            cache.keep(np.repeat(np.arange(len(prompts)), paths))
    records = [_Record() for _ in prompts]
    going = np.arange(len(prompts))
    last = np.array([prompt[-1] for prompt in prompts], dtype=np.int64)
    while len(going):
        before = caches[0].lengths
        started = asked.now_ms()
        drafted = _draft_round(draft, caches[1], last, asked, chance)
        handed_over = asked.now_ms()
        proposed = drafted.tokens[:, :, :window]
        first = np.broadcast_to(last[:, None, None], (len(going), paths, 1))
        fed = np.concatenate((first, proposed), axis=2).reshape(-1, window + 1)
        logits = target.forward(fed, caches[0])
        wanted = distribution(logits, asked.temperature, asked.top_p).reshape(*proposed.shape[:2], window + 1, -1)
        verdict = _judged(wanted, drafted, asked, chance)
        times = _Times(started, handed_over, asked.now_ms())
        for cache in caches:
            cache.truncate(before + 1 + np.repeat(verdict.accepted, paths))
        last = np.take_along_axis(verdict.emitted, verdict.accepted[:, None], axis=1)[:, 0]
        for row, index in enumerate(going):
            records[index].add(verdict, drafted.confidence[:, 0], row, times, asked.stop)
        left = np.array([not records[index].is_done(asked.output_tokens) for index in going])
        rows = np.flatnonzero(left)
        if len(rows) < len(going):
            going, last = going[rows], last[rows]
            chance.keep(rows)
        if paths > 1 or not left.all():
            winners = rows if verdict.path is None else np.repeat(rows * paths + verdict.path[rows], paths)
            for cache in caches:
                cache.keep(winners)
    return tuple(record.finished(asked.output_tokens) for record in records)


def _judged(wanted: Probabilities, drafted: _Drafted, asked: _Asked, chance: Chance) -> Verdict:
    if asked.candidates == 1:
        wanted, tokens = wanted[:, 0], drafted.tokens[:, 0]
        if asked.proposal == "argmax":
            return judge_argmax(wanted, tokens, chance)
        return judge_sampled(wanted, tokens, drafted.distributions[:, 0], chance)
    if asked.proposal == "argmax":
        return judge_argmax_paths(wanted, drafted.tokens[:, :, : asked.window], chance)
    return judge_sampled_paths(wanted, drafted.tokens, drafted.distributions, chance)


@dataclass(frozen=True, slots=True)
class _Drafted:
    tokens: Ints
    """[batch, paths, window + 1] for argmax, where the last is what the draft would have proposed beyond the window;
    [batch, paths, window] for sampled."""
    distributions: Probabilities
    """[batch, paths, window, vocab], q after temperature and top-p; empty for argmax, which needs none."""
    confidence: NDArray[np.float64]
    """Shape of ``tokens``."""


def _draft_round(draft: CausalModel, cache: Any, last: Ints, asked: _Asked, chance: Chance) -> _Drafted:
    """Propose ``window`` tokens after ``last`` on every path; the draft takes in its last proposal too, so that its
    cache is level with the target's when all are accepted."""
    batch, paths = len(last), asked.candidates
    tokens, distributions, confidence = [], [], []
    token = np.repeat(last[:, None], paths, axis=1)
    for step in range(asked.window + 1):
        logits = draft.forward(token.reshape(-1, 1), cache).reshape(batch, paths, -1)
        if asked.proposal == "argmax":
            token = _first_tokens(logits) if step == 0 and paths > 1 else logits.argmax(axis=-1)
        elif step < asked.window:
            chances = distribution(logits, asked.temperature, asked.top_p)
            token = chance.choose(chances)
            distributions.append(chances)
        else:
            break
        tokens.append(token)
        confidence.append(_softmax_of(logits, token))
    return _Drafted(
        tokens=np.stack(tokens, axis=2),
        distributions=np.stack(distributions, axis=2) if distributions else np.empty((batch, paths, 0, 0)),
        confidence=np.stack(confidence, axis=2),
    )


def _first_tokens(logits: Floats) -> Ints:
    """The most likely tokens [batch, paths], one a path; ``logits`` [batch, paths, vocab] agree on all paths."""
    paths, vocab = logits.shape[1:]
    if paths > vocab:
        raise ValueError(f"{paths} candidate paths need as many different first tokens; the vocabulary has {vocab}")
    ranked: Ints = np.argsort(-logits[:, 0], axis=-1, kind="stable")[:, :paths]
    return ranked


def _softmax_of(logits: Floats, tokens: Ints) -> NDArray[np.float64]:
    shifted = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    chosen: NDArray[np.float64] = np.take_along_axis(shifted, tokens[..., None], axis=-1)[..., 0]
    share: NDArray[np.float64] = chosen / shifted.sum(axis=-1)
    return share


@dataclass(frozen=True, slots=True)
class _Times:
    """When a round's parts began and ended, in milliseconds; None where nobody measures."""

    started: float | None
    handed_over: float | None
    ended: float | None

    def parts_ms(self) -> tuple[float | None, float | None]:
        if self.started is None or self.handed_over is None or self.ended is None:
            return None, None
        return self.handed_over - self.started, self.ended - self.handed_over


class _Record:
    """What one request has produced so far."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._matches: list[bool] = []
        self._confidence: list[float] = []
        self._rounds: list[Round] = []
        self._stopped = False

    def add(
        self, verdict: Verdict, confidence: NDArray[np.float64], row: int, times: _Times, stop: frozenset[int]
    ) -> None:
        accepted = int(verdict.accepted[row])
        emitted = verdict.emitted[row, : accepted + 1].tolist()
        end = next((at for at, token in enumerate(emitted, start=1) if token in stop), None)
        self._stopped = end is not None
        count = len(emitted) if end is None else end
        self.tokens += emitted[:count]
        if verdict.matches is not None:
            self._matches += verdict.matches[row, :count].tolist()
            self._confidence += confidence[row, :count].tolist()
        self._rounds.append(Round(verdict.emitted.shape[1] - 1, accepted, *times.parts_ms()))

    def is_done(self, output_tokens: int) -> bool:
        return self._stopped or len(self.tokens) >= output_tokens

    def finished(self, output_tokens: int) -> Speculation:
        return Speculation(
            tokens=tuple(self.tokens[:output_tokens]),
            matches=tuple(self._matches[:output_tokens]),
            confidence=tuple(self._confidence[:output_tokens]),
            rounds=tuple(self._rounds),
        )
