"""From a recorded trace to the simplest law of acceptance that it does not reject, with what each law gets wrong.

The test. A candidate is rejected where, over requests that its fit had not seen, it falls behind the best candidate by
more than 1.645 standard errors (one-sided 5 %, paired by request), or where its tokens a round at some window lie
outside the trace's 99 % interval (bootstrap over requests). Of those left, the one with the fewest parameters wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.acceptance_candidates import (
    Candidate,
    beta_mixed,
    folds_of,
    independent,
    markov,
    positional,
)
from dsd_plan.calibrate.dependence import RESAMPLES, positions_of
from dsd_plan.calibrate.intervals import ratio_interval, resamples
from dsd_plan.calibrate.round_table import RoundTable, rounds_of, rounds_to_emit
from dsd_plan.domain.acceptance import RoundTrace, TokenTrace, TraceMetadata
from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence, LawKind, LawScore, PositionEvidence

Array = NDArray[np.float64]

FOLDS = 5
LEAST_REQUESTS = 10
"""Fewer cannot tell which law generalises to another request."""
ONE_SIDED = 1.645
LEVEL = 0.99
DRAFT_COSTS = (0.02, 0.05, 0.1, 0.2)
"""Time of a draft step over that of a verify step."""
ROUND_TRIPS = (0.0, 0.5, 2.0)
"""Round trip over time of a verify step."""


@dataclass(frozen=True, slots=True)
class WindowError:
    """A law against the trace at one window. None where the trace does not tell."""

    window: int
    tokens_per_round: float
    observed: float
    low: float
    high: float
    variance: float
    observed_variance: float | None
    rounds_variance: float | None
    observed_rounds_variance: float | None
    """Of the rounds in which a request emits `emitted_tokens`."""

    @property
    def error(self) -> float:
        """Relative error of tokens a round."""
        return self.tokens_per_round / self.observed - 1.0


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """The window that a law would choose where drafting and the network cost so much, and what that loses."""

    draft_cost: float
    round_trip: float
    window: int
    best: int
    slower: float
    """Relative to the trace's own best window; 0 or more."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A candidate with what it gets wrong."""

    candidate: Candidate
    score: LawScore
    windows: tuple[WindowError, ...]
    choices: tuple[WindowChoice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AcceptanceFit:
    """All candidates, simplest first; `chosen` is one of their names; `passes` tells whether the data lets it."""

    window: int
    requests: int
    rounds: int
    emitted_tokens: int
    judged: tuple[Judged, ...]
    chosen: str
    passes: bool
    law: FittedLaw

    def of(self, name: str) -> Judged:
        """The candidate of that name."""
        return next(one for one in self.judged if one.candidate.name == name)


@dataclass(frozen=True, slots=True, eq=False)
class _Observed:
    """What the trace says at each window, by request."""

    tables: tuple[RoundTable, ...]
    tokens: tuple[tuple[float, float, float], ...]
    emitted_tokens: int
    told_rounds: tuple[bool, ...]
    """Whether the trace was played at this window, so that its rounds in a request are known."""
    played_windows: tuple[int, ...]
    """The window that decided how far a round went, and thus how many a request took."""
    goals: tuple[Array, ...]
    """By window: each request takes whole rounds until it has emitted so many tokens."""


def fit_acceptance(
    trace: TokenTrace | RoundTrace,
    window: int,
    *,
    task: str | None = None,
    law: str | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> AcceptanceFit:
    """Fit every candidate to the trace (of one task already) played at `window`, and choose one, or take `law`.

    Raises ValueError with fewer than 10 requests, which cannot tell laws apart, or where nothing or all is accepted.
    """
    table = rounds_of(trace, window)
    if table.requests < LEAST_REQUESTS:
        raise ValueError(
            f"{table.requests} requests cannot tell laws apart: requests are what is held out; record {LEAST_REQUESTS}"
        )
    if table.accepted.sum() in (0, table.proposed.sum()):
        raise ValueError("none or all of the proposals were accepted, to which no law can be fitted")
    weights = folds_of(table.requests, FOLDS, seed)
    candidates = []
    makers: tuple[tuple[str, Callable[[], Candidate]], ...] = (
        ("independent", lambda: independent(table, weights, window)),
        ("beta", lambda: beta_mixed(table, weights, window)),
        ("positional", lambda: positional(table, weights, window)),
        ("markov-2", lambda: markov(table, weights, window, 2)),
        ("markov-3", lambda: markov(table, weights, window, 3)),
    )
    for done, (name, make) in enumerate(makers):
        if on_progress is not None:
            on_progress(done, len(makers) + 1, name)
        candidates.append(make())
    candidates.sort(key=lambda one: one.parameters)
    if on_progress is not None:
        on_progress(len(makers), len(makers) + 1, "what each gets wrong")
    observed = _observe(trace, window, table, seed)
    judged = _judge(candidates, observed, table, window)
    passing = [one for one in judged if not one.score.rejected]
    best = min(judged, key=lambda one: one.score.bits_behind)
    chosen = next(one for one in judged if one.candidate.kind == law) if law is not None else (passing or [best])[0]
    if law == "markov":
        several = [one for one in judged if one.candidate.kind == law]
        chosen = min(several, key=lambda one: (one.score.rejected, one.score.bits_behind))
    passes = not chosen.score.rejected
    return AcceptanceFit(
        window=window,
        requests=table.requests,
        rounds=table.request.size,
        emitted_tokens=observed.emitted_tokens,
        judged=judged,
        chosen=chosen.candidate.name,
        passes=passes,
        law=_law(chosen, judged, observed, table, trace.metadata, window, task, passes, seed),
    )


def _observe(trace: TokenTrace | RoundTrace, window: int, table: RoundTable, seed: int) -> _Observed:
    played = isinstance(trace, TokenTrace)
    tables = tuple(rounds_of(trace, w) if played and w < window else table.whole(w) for w in range(1, window + 1))
    lengths = np.bincount(table.request, weights=table.accepted + 1)
    tokens = []
    for one in tables:
        whole = one.whole(int(one.proposed.max()))
        rounds = np.bincount(whole.request).astype(np.float64)
        emitted = np.bincount(whole.request, weights=whole.accepted) + rounds
        drawn = resamples(whole.requests, RESAMPLES, seed)
        low, high = ratio_interval(emitted, rounds, drawn, LEVEL)
        tokens.append((float(emitted.sum() / rounds.sum()), float(low), float(high)))
    same = bool(np.all((table.proposed == window) | (np.diff(table.request, append=-1) != 0)))
    told = tuple(played or (w == window and same) for w in range(1, window + 1))
    windows = tuple(w if played else window for w in range(1, window + 1))
    if isinstance(trace, TokenTrace):
        said = np.diff(np.append(trace.request_starts(), trace.match.size))
        goals = tuple(np.maximum(said - w + 1, 0) for w in windows)
    else:
        goals = (_goals(table, window),) * window
    emitted_tokens = max(1, int(np.quantile(lengths, 0.1)) - window)
    return _Observed(tables, tuple(tokens), emitted_tokens, told, windows, goals)


def _goals(table: RoundTable, window: int) -> Array:
    """Tokens until which recorded requests took whole rounds: a last round cut short tells where the request ended."""
    emitted = table.accepted + 1
    total = np.bincount(table.request, weights=emitted)
    last = np.flatnonzero(np.diff(table.request, append=-1))
    cut = table.proposed[last] < window
    ends = total - emitted[last] + table.proposed[last]
    return np.asarray(np.maximum(np.where(cut, ends - window + 1, total), 0))


def _judge(candidates: Sequence[Candidate], observed: _Observed, table: RoundTable, window: int) -> tuple[Judged, ...]:
    rounds = np.bincount(table.request).astype(np.float64)
    best = max(candidates, key=lambda one: float(one.held_out.sum()))
    judged = []
    for one in candidates:
        behind = (best.held_out - one.held_out) / log(2.0)
        mean = float(behind.sum() / rounds.sum())
        residual = behind - mean * rounds
        error = sqrt(float(residual @ residual) / (rounds.size * (rounds.size - 1))) / float(rounds.mean())
        errors = tuple(_error(one, observed, w) for w in range(1, window + 1))
        outside = any(not e.low <= e.tokens_per_round <= e.high for e in errors)
        worst = max((e.error for e in errors), key=abs)
        score = LawScore(
            law=one.name,
            parameters=one.parameters,
            bits_behind=mean,
            standard_error=error,
            tokens_error=worst,
            rejected=mean > ONE_SIDED * error or outside,
        )
        judged.append(Judged(one, score, errors, _choices(errors)))
    return tuple(judged)


def _error(one: Candidate, observed: _Observed, window: int) -> WindowError:
    tokens, low, high = observed.tokens[window - 1]
    table = observed.tables[window - 1]
    whole = table.whole(window)
    told = observed.told_rounds[window - 1]
    needed = rounds_to_emit(table, observed.emitted_tokens) if told else np.zeros(0)
    shares = one.chain.shares(observed.played_windows[window - 1], observed.goals[window - 1])
    return WindowError(
        window=window,
        tokens_per_round=one.chain.tokens_per_round(window, shares),
        observed=tokens,
        low=low,
        high=high,
        variance=one.chain.accepted_variance(window, shares),
        observed_variance=float(whole.accepted.var()),
        rounds_variance=one.chain.rounds_moments(window, observed.emitted_tokens)[1] if told else None,
        observed_rounds_variance=float(needed.var(ddof=1)) if needed.size > 1 else None,
    )


def _choices(errors: tuple[WindowError, ...]) -> tuple[WindowChoice, ...]:
    windows = np.array([e.window for e in errors])
    predicted = np.array([e.tokens_per_round for e in errors])
    observed = np.array([e.observed for e in errors])
    found = []
    for round_trip in ROUND_TRIPS:
        for cost in DRAFT_COSTS:
            time = 1.0 + round_trip + cost * windows
            pick, best = int(np.argmax(predicted / time)), int(np.argmax(observed / time))
            slower = 1.0 - (observed / time)[pick] / (observed / time)[best]
            found.append(WindowChoice(cost, round_trip, int(windows[pick]), int(windows[best]), float(slower)))
    return tuple(found)


def _law(
    chosen: Judged,
    judged: Sequence[Judged],
    observed: _Observed,
    table: RoundTable,
    metadata: TraceMetadata,
    window: int,
    task: str | None,
    passes: bool,
    seed: int,
) -> FittedLaw:
    one = chosen.candidate
    kind: LawKind = one.kind  # type: ignore[assignment]
    pmf = one.chain.accepted_pmf(window, one.chain.shares(window, observed.goals[-1]))
    mean = np.clip(np.cumsum(pmf[::-1])[::-1][1:], 0.0, 1.0)
    hidden = kind == "markov"
    return FittedLaw(
        metadata=metadata,
        kind=kind,
        measured_window=window,
        largest_window=window,
        survival=tuple(np.minimum.accumulate(mean).tolist()),
        per_token=one.per_token,
        beta_a=None if one.beta is None else one.beta[0],
        beta_b=None if one.beta is None else one.beta[1],
        states=tuple(tuple(row) for row in one.chain.survival.tolist()) if hidden else (),
        transition=tuple(tuple(row) for row in one.chain.transition.tolist()) if hidden else (),
        start=tuple(one.chain.start.tolist()) if hidden else (),
        task=task,
        evidence=LawEvidence(
            requests=table.requests,
            rounds=table.request.size,
            tried=tuple(
                PositionEvidence(
                    position=p.position,
                    tried=p.tried,
                    kept=p.kept,
                    low=min(p.wilson[0], p.wilson[0] if p.over_requests is None else p.over_requests[0]),
                    high=max(p.wilson[1], p.wilson[1] if p.over_requests is None else p.over_requests[1]),
                )
                for p in positions_of(table, window, seed)
            ),
            compared=tuple(each.score for each in judged),
            accepted_by_test=passes,
        ),
    )
