"""Which of several drafts, judged on the same completions, would serve best, and with which window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import TokenTrace, accepted_by_round, tokens_per_round
from dsd_plan.domain.performance import Interval
from dsd_plan.measure.acceptance.score import Scored

RESAMPLES = 2000
LEVEL = 0.95
DRAFT_SHARE = 0.1
"""Cost of a draft step in target steps where none is told."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a round's parts take, in ``unit``."""

    draft: float
    """One draft step."""
    verify: float
    """One verify step, whatever the window."""
    target: float
    """One step of plain decoding on the target."""
    rtt: float = 0.0
    unit: str = "ms"
    """"ms", or "target steps" where nothing was told."""

    def tpot(self, window: int, tokens_per_round: float) -> float:
        """Time an output token: (γ t_d + RTT + t_v) / E[X], without queueing and serialisation."""
        return (window * self.draft + self.rtt + self.verify) / tokens_per_round

    def break_even_rtt(self, window: int, tokens_per_round: float) -> float:
        """Round trip below which drafting beats plain decoding: E[X] t_T − γ t_d − t_v; below 0 it never does."""
        return tokens_per_round * self.target - window * self.draft - self.verify


@dataclass(frozen=True, slots=True)
class WindowScore:
    """A draft with one window."""

    window: int
    tokens_per_round: float
    interval: Interval | None
    """Of the tokens a round; None for a single request."""
    tpot: float
    break_even_rtt: float


@dataclass(frozen=True, slots=True)
class RankedDraft:
    """A draft, how it would serve, and its best window."""

    draft: str
    weight_bytes: int
    tokens: int
    requests: int
    match_rate: float
    match_interval: Interval | None
    windows: tuple[WindowScore, ...]
    best: WindowScore
    """The window of least time an output token, the smallest among equals."""
    costs: Costs


def ranked(scored: Sequence[Scored], costs: Sequence[Costs], *, largest_window: int = 12) -> tuple[RankedDraft, ...]:
    """Drafts by the time an output token takes with each one's best window, least first.

    Intervals are of level 0.95, from resampling whole requests.
    """
    made = [_ranked(one, cost, largest_window) for one, cost in zip(scored, costs, strict=True)]
    return tuple(sorted(made, key=lambda one: (one.best.tpot, -one.match_rate)))


def tokens_per_round_interval(trace: TokenTrace, window: int, level: float = LEVEL) -> Interval | None:
    """Of the mean tokens a round, over requests; a round counts for the request in which it starts."""
    accepted = accepted_by_round(trace, window)
    starts = np.concatenate([[0], np.cumsum(accepted + 1)[:-1]])
    request = _numbered(trace.request_id)
    rounds = np.bincount(request[starts], minlength=int(request[-1]) + 1)
    emitted = np.bincount(request[starts], weights=accepted + 1.0, minlength=rounds.size)
    return _ratio_interval(emitted.astype(np.float64), rounds.astype(np.float64), level)


def match_rate_interval(trace: TokenTrace, level: float = LEVEL) -> Interval | None:
    """Of the share of matching tokens, over requests."""
    request = _numbered(trace.request_id)
    matched = np.bincount(request, weights=trace.match.astype(np.float64))
    return _ratio_interval(matched.astype(np.float64), np.bincount(request).astype(np.float64), level)


def _ranked(scored: Scored, costs: Costs, largest_window: int) -> RankedDraft:
    trace = scored.trace
    windows = []
    for window in range(1, min(largest_window, trace.match.size - 1) + 1):
        mean = tokens_per_round(trace, window)
        windows.append(
            WindowScore(
                window=window,
                tokens_per_round=mean,
                interval=tokens_per_round_interval(trace, window),
                tpot=costs.tpot(window, mean),
                break_even_rtt=costs.break_even_rtt(window, mean),
            )
        )
    return RankedDraft(
        draft=scored.draft,
        weight_bytes=scored.weight_bytes,
        tokens=int(trace.match.size),
        requests=int(np.unique(trace.request_id).size),
        match_rate=float(trace.match.mean()),
        match_interval=match_rate_interval(trace),
        windows=tuple(windows),
        best=min(windows, key=lambda one: (one.tpot, one.window)),
        costs=costs,
    )


def _numbered(request_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2, … by request, rows of a request standing together."""
    changes = np.concatenate([[0], (np.diff(request_id) != 0).astype(np.int64)])
    return np.cumsum(changes)


def _ratio_interval(above: NDArray[np.float64], below: NDArray[np.float64], level: float) -> Interval | None:
    """Of Σ above / Σ below: percentiles of a bootstrap over their entries, one a request; None for a single one."""
    if above.size < 2:
        return None
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(above.size, np.full(above.size, 1.0 / above.size), size=RESAMPLES)
    under = drawn @ below
    ratios = (drawn @ above)[under > 0] / under[under > 0]
    low, high = np.quantile(ratios, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(point=float(above.sum() / below.sum()), low=float(low), high=float(high), level=level)
