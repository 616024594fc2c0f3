"""What a recorded stream of requests is like: its rate over time, its bursts, its lengths, its conversations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import RequestTrace

Array = NDArray[np.float64]

BINS = 48
"""Parts of the span over which the rate is told."""
WINDOWS_IN_MEAN_GAPS = (10.0, 100.0, 1000.0)
"""Windows of the index of dispersion, in mean gaps: how bursts add up."""
FEWEST_WINDOWS = 5
QUANTILES = (0.05, 0.5, 0.95, 0.99)
LARGEST_COUNTED = 1_000_000
"""Lengths below this are ranked by counting, without sorting."""
LEAST_CV = 1e-9
"""Of gaps: below it they are equal, but for the digits of their sums."""
FEWEST_EQUAL = 0.05
"""Share of requests at the time of the one before from which a clock may be too coarse."""
FEWEST_STEPS = 20
STEP_SLACK = 0.02
"""Of a step: a clock may itself be late by a little."""
LONGEST_STEPS = 20
DAY_S, HOUR_S = 86_400.0, 3600.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of prompts or outputs."""

    mean: float
    cv: float
    p5: float
    p50: float
    p95: float
    p99: float
    most: int


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Variance over mean of the arrivals in windows of one length; 1 for Poisson arrivals."""

    window_s: float
    index: float


@dataclass(frozen=True, slots=True)
class Conversations:
    """Requests that continue one another."""

    count: int
    mean_turns: float
    most_turns: int


@dataclass(frozen=True, slots=True)
class WorkloadStatistics:
    """A request trace in figures."""

    requests: int
    span_s: float
    rate_per_s: float | None
    """None where all requests come at one time."""
    gap_cv: float | None
    """Standard deviation of the gaps over their mean; 1 for Poisson arrivals."""
    dispersion: tuple[Dispersion, ...]
    bin_s: float
    rate_by_bin: tuple[float, ...]
    """Requests a second in each part of the span."""
    peak_to_mean: float | None
    rate_by_hour: tuple[float, ...] | None
    """By hour since the start, modulo 24; None for less than a day."""
    prompt_tokens: Lengths
    output_tokens: Lengths
    correlation: float | None
    """Spearman's, of prompt and output; None where one of them never changes."""
    cached_share: float | None
    """Of all prompt tokens; None where the trace does not tell."""
    conversations: Conversations | None
    users: int | None
    workloads: dict[str, int] | None
    tasks: dict[str, int] | None
    distinct_times: int = 0
    clock_s: float | None = None
    """Step of the clock that told the times, where it is so coarse that many requests share one; else None."""


def workload_statistics(trace: RequestTrace) -> WorkloadStatistics:
    """Figures of a trace. Gaps need two requests; dispersion is told for windows of which five fit."""
    at_s = trace.arrival_s - trace.arrival_s[0]
    span_s = float(at_s[-1])
    gaps = np.diff(at_s)
    edges = np.linspace(0.0, span_s, BINS + 1)
    by_bin = np.diff(np.searchsorted(at_s, edges)) / (span_s / BINS) if span_s > 0 else np.zeros(0)
    rate = (at_s.size - 1) / span_s if span_s > 0 else None
    cached = trace.cached_prefix_tokens
    return WorkloadStatistics(
        requests=int(at_s.size),
        span_s=span_s,
        rate_per_s=rate,
        gap_cv=_gap_cv(gaps),
        dispersion=tuple(_dispersions(at_s, span_s)),
        bin_s=span_s / BINS,
        rate_by_bin=tuple(by_bin.tolist()),
        peak_to_mean=float(by_bin.max() / by_bin.mean()) if by_bin.size else None,
        rate_by_hour=_by_hour(at_s) if span_s >= DAY_S else None,
        prompt_tokens=_lengths(trace.prompt_tokens),
        output_tokens=_lengths(trace.output_tokens),
        correlation=spearman(trace.prompt_tokens, trace.output_tokens),
        cached_share=None if cached is None else float(cached.sum() / trace.prompt_tokens.sum()),
        conversations=_conversations(trace),
        users=None if trace.user is None else int(np.unique(trace.user).size),
        workloads=_counts(trace.workload),
        tasks=_counts(trace.task),
        distinct_times=int(np.count_nonzero(gaps)) + 1,
        clock_s=clock_step_s(gaps),
    )


def _gap_cv(gaps: Array) -> float | None:
    if not gaps.size or gaps.mean() <= 0:
        return None
    cv = float(gaps.std() / gaps.mean())
    # Times are sums: what differs in their last digits is regular.
    return cv if cv > LEAST_CV else 0.0


def clock_step_s(gaps: Array) -> float | None:
    """The step of which gaps are whole multiples, where FEWEST_EQUAL of them or more are 0; else None.

    Bursts that truly come at once have no such step between them.
    """
    apart = gaps[gaps > 0]
    if apart.size < FEWEST_STEPS or apart.size > (1.0 - FEWEST_EQUAL) * gaps.size:
        return None
    step_s = float(np.median(apart[apart < 1.5 * apart.min()]))
    steps = apart[apart < LONGEST_STEPS * step_s] / step_s
    # One gap far below the others is no step of theirs.
    whole = 2 * steps.size >= apart.size and float(np.abs(steps - np.rint(steps)).max()) < STEP_SLACK
    return step_s if whole else None


def index_of_dispersion(at_s: Array, window_s: float) -> float | None:
    """Var/mean of the counts in adjoining windows; None where fewer than five fit.

    Cox and Lewis, The Statistical Analysis of Series of Events (1966), chapter 4.
    """
    windows = int((at_s[-1] - at_s[0]) / window_s)
    if windows < FEWEST_WINDOWS:
        return None
    # Arrivals are in order, so that windows are found by bisection.
    counts = np.diff(np.searchsorted(at_s - at_s[0], window_s * np.arange(windows + 1)))
    return float(counts.var(ddof=1) / counts.mean())


def spearman(first: NDArray[np.int64], second: NDArray[np.int64]) -> float | None:
    """Correlation of ranks, ties shared; None where one side never changes."""
    one, two = _ranks(first), _ranks(second)
    if one.std() == 0 or two.std() == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def _ranks(values: NDArray[np.int64]) -> Array:
    """1, 2, …; equal values share the mean of their ranks."""
    if values.max() < 2 * values.size + LARGEST_COUNTED:
        counts, places = np.bincount(values), values
    else:
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts).astype(np.float64)
    mean_rank: Array = (last - (counts - 1) / 2.0)[places]
    return mean_rank


def _dispersions(at_s: Array, span_s: float) -> list[Dispersion]:
    if span_s <= 0:
        return []
    found = []
    for gaps in WINDOWS_IN_MEAN_GAPS:
        window_s = gaps * span_s / (at_s.size - 1)
        index = index_of_dispersion(at_s, window_s)
        if index is not None:
            found.append(Dispersion(window_s, index))
    return found


def _by_hour(at_s: Array) -> tuple[float, ...]:
    """Requests a second in each hour of the day, over the whole days that the trace spans."""
    days = int(at_s[-1] // DAY_S)
    whole = at_s[at_s < days * DAY_S]
    counts = np.bincount((whole % DAY_S // HOUR_S).astype(np.int64), minlength=24)
    return tuple((counts / (days * HOUR_S)).tolist())


def _lengths(values: NDArray[np.int64]) -> Lengths:
    p5, p50, p95, p99 = np.quantile(values, QUANTILES).tolist()
    mean = float(values.mean())
    return Lengths(mean, float(values.std() / mean), p5, p50, p95, p99, int(values.max()))


def _conversations(trace: RequestTrace) -> Conversations | None:
    if trace.conversation is None:
        return None
    turns = np.unique(trace.conversation, return_counts=True)[1]
    return Conversations(int(turns.size), float(turns.mean()), int(turns.max()))


def _counts(values: NDArray[np.str_] | None) -> dict[str, int] | None:
    if values is None:
        return None
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
