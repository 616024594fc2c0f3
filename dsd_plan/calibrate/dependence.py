"""What a trace shows before any law: acceptance by position, bursts, and how requests, tasks and contexts differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.intervals import intra_class, ratio_interval, resamples, wilson
from dsd_plan.calibrate.round_table import RoundTable, rounds_of
from dsd_plan.domain.acceptance import RoundTrace, TokenTrace

RESAMPLES = 400
SHORT = 2
"""A round that keeps no more is short."""


@dataclass(frozen=True, slots=True)
class Position:
    """How often position i is kept once all before it were."""

    position: int
    tried: int
    kept: int
    wilson: tuple[float, float]
    over_requests: tuple[float, float] | None
    """Bootstrap interval in which requests, not tokens, are drawn; None for one request."""


@dataclass(frozen=True, slots=True)
class GroupShare:
    """Acceptance of a part of the rows."""

    name: str
    requests: int
    rounds: int
    tokens_per_round: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Dependence:
    """What rounds of one window say about one another. A share that no round tells is None."""

    window: int
    requests: int
    rounds: int
    positions: tuple[Position, ...]
    histogram: tuple[int, ...]
    """Whole rounds that kept 0, 1, … window proposals."""
    autocorrelation: tuple[float, ...]
    """Of accepted, 1, 2, … rounds apart, each request about its own mean and about the mean of all."""
    full_after_full: float | None
    full_after_short: float | None
    intra_class: float | None
    groups: tuple[GroupShare, ...]


def dependence(trace: TokenTrace | RoundTrace, window: int, seed: int = 0) -> Dependence:
    """Describe a trace played at `window`."""
    table = rounds_of(trace, window)
    whole = table.whole(window)
    accepted = whole.accepted.astype(np.float64)
    after_full, after_short = _after(whole, window)
    return Dependence(
        window=window,
        requests=table.requests,
        rounds=table.request.size,
        positions=positions_of(table, window, seed),
        histogram=tuple(np.bincount(whole.accepted, minlength=window + 1).tolist()),
        autocorrelation=tuple(autocorrelation(accepted, whole.request, lag) for lag in range(1, 6)),
        full_after_full=after_full,
        full_after_short=after_short,
        intra_class=intra_class(accepted, whole.request),
        groups=tuple(_groups(trace, window, seed)),
    )


def positions_of(table: RoundTable, window: int, seed: int) -> tuple[Position, ...]:
    """Conditional acceptance by position, with both intervals; positions that nothing tried are left out."""
    tried, kept = table.reached(window), table.kept(window)
    over = None
    if table.requests > 1:
        over = ratio_interval(kept, tried, resamples(table.requests, RESAMPLES, seed))
    return tuple(
        Position(
            position=i + 1,
            tried=int(tried[:, i].sum()),
            kept=int(kept[:, i].sum()),
            wilson=wilson(kept[:, i].sum(), tried[:, i].sum()),
            over_requests=None if over is None else (float(over[0][i]), float(over[1][i])),
        )
        for i in range(window)
        if tried[:, i].sum() > 0
    )


def autocorrelation(values: NDArray[np.float64], group: NDArray[np.int64], lag: int) -> float:
    """Correlation of values `lag` apart within a group, about the mean of all; 0 where nothing varies."""
    centred = values - values.mean()
    variance = float(centred @ centred) / values.size if values.size else 0.0
    same = group[lag:] == group[:-lag]
    if variance == 0 or not same.any():
        return 0.0
    return float((centred[lag:] * centred[:-lag])[same].mean() / variance)


def _after(table: RoundTable, window: int) -> tuple[float | None, float | None]:
    same = table.request[1:] == table.request[:-1]
    before, full = table.accepted[:-1][same], table.accepted[1:][same] == window

    def share(which: NDArray[np.bool_]) -> float | None:
        return float(full[which].mean()) if which.any() else None

    return share(before == window), share(before <= min(SHORT, window - 1))


def _groups(trace: TokenTrace | RoundTrace, window: int, seed: int) -> list[GroupShare]:
    found = []
    if trace.task is not None:
        tasks = sorted(set(trace.task.tolist()))
        if len(tasks) > 1:
            found += [_share(f"task {task}", rounds_of(trace.for_task(task), window), seed) for task in tasks]
    if isinstance(trace, RoundTrace) and trace.context_tokens is not None:
        low, high = np.quantile(trace.context_tokens, [1 / 3, 2 / 3])
        bounds = ((-np.inf, low, f"context to {low:.0f}"), (low, high, f"to {high:.0f}"), (high, np.inf, "longer"))
        for above, most, name in bounds:
            keep = (trace.context_tokens > above) & (trace.context_tokens <= most)
            if keep.any():
                _, request = np.unique(trace.request_id[keep], return_inverse=True)
                order = np.argsort(request, kind="stable")
                proposed = np.minimum(trace.proposed[keep][order], window)
                part = RoundTable(request[order], proposed, np.minimum(trace.accepted[keep][order], proposed))
                found.append(_share(name, part, seed))
    return found


def _share(name: str, table: RoundTable, seed: int) -> GroupShare:
    rounds = np.bincount(table.request).astype(np.float64)
    emitted = np.bincount(table.request, weights=table.accepted) + rounds
    low, high = ratio_interval(emitted, rounds, resamples(table.requests, RESAMPLES, seed))
    mean = float(emitted.sum() / rounds.sum())
    return GroupShare(name, table.requests, table.request.size, mean, float(low), float(high))
