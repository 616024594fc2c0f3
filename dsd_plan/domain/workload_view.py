"""A request stream arranged for reading: its rate, gaps, bursts and lengths, with what chance alone would give."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_statistics import (
    DAY_S,
    HOUR_S,
    WorkloadStatistics,
    index_of_dispersion,
    workload_statistics,
)

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Ends = tuple[float, float]
"""A 95 % interval."""

NORMAL_95 = 1.96
RATE_BINS = 96
GAP_BINS_A_DECADE = 6
LEAST_GAP = 1e-4
"""Of the mean gap: shorter ones count as at the same time."""
WINDOW_GROWTH = 3.0
FEWEST_WINDOWS = 10
CURVE = 101
"""Points of a curve of lengths."""
LENGTH_BINS = 18
GROUPS = 8
"""Parts of like size into which requests are put by their prompts."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second in each part of the span."""

    bin_s: float
    per_s: tuple[float, ...]
    chance: Ends
    """Where 95 % of the parts would lie if requests came independently at the mean rate."""


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour of the day, counted from the first request."""

    hour: int
    per_s: float
    low: float
    high: float
    """Least and most over days."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Times between requests, in parts of the logarithm."""

    edges_s: tuple[float, ...]
    share: tuple[float, ...]
    """Of all gaps."""
    poisson: tuple[float, ...]
    """The same if requests came independently at the mean rate."""
    at_once: float
    """Share of gaps too short to draw."""
    at_once_poisson: float


@dataclass(frozen=True, slots=True)
class DispersionRow:
    """Variance over mean of the arrivals in windows of one length."""

    window_s: float
    windows: int
    index: float
    ends: Ends
    """By the normal law of the logarithm of a variance, √(2/n)."""


@dataclass(frozen=True, slots=True)
class LengthCurve:
    """Share of requests that are no longer than so many tokens."""

    tokens: tuple[float, ...]
    share: tuple[float, ...]
    half_width: float
    """Of a 95 % band on the share (Dvoretzky, Kiefer and Wolfowitz 1956, with Massart's constant)."""


@dataclass(frozen=True, slots=True)
class Joint:
    """Requests by prompt and output, in parts of the logarithm."""

    prompt_edges: tuple[float, ...]
    output_edges: tuple[float, ...]
    requests: tuple[tuple[int, ...], ...]
    """A row for each part of outputs."""


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """Requests of like prompts."""

    prompt_p50: float
    requests: int
    output_p50: float
    ends: Ends
    """Of the median, by order statistics."""


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload trace."""

    told: WorkloadStatistics
    rates: Rates | None
    hours: tuple[HourRow, ...]
    """Empty for less than a day."""
    days: int
    gaps: Gaps | None
    dispersion: tuple[DispersionRow, ...]
    prompts: LengthCurve
    outputs: LengthCurve
    joint: Joint | None
    """None where one side never changes."""
    groups: tuple[PromptGroup, ...]
    correlation_ends: Ends | None


@dataclass(frozen=True, slots=True)
class MadeRow:
    """One figure of a recording, and of streams that the laws fitted to it made."""

    what: str
    recorded: float
    made: float
    low: float
    high: float
    """Least and most over the streams."""

    @property
    def error(self) -> float | None:
        """Relative, of the middle stream; None where the recorded figure is 0."""
        return None if self.recorded == 0 else self.made / self.recorded - 1.0

    @property
    def inside(self) -> bool:
        """Whether the recording lies among the streams."""
        return self.low <= self.recorded <= self.high


@dataclass(frozen=True, slots=True)
class MadeDispersion:
    """Dispersion over one window, of the recording and of the streams."""

    window_s: float
    recorded: float
    made: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LawLengths:
    """Recorded lengths, and the log-normal law of the same mean and spread."""

    recorded: LengthCurve
    law: tuple[float, ...]
    """Share that the law puts at or below each of `recorded.tokens`."""
    farthest: float
    """The greatest distance of both shares."""


@dataclass(frozen=True, slots=True)
class WorkloadFitView:
    """Laws fitted to a recording, beside it."""

    view: WorkloadView
    law: str
    """"poisson", "gamma" or "modulated"."""
    parameters: tuple[tuple[str, float], ...]
    streams: int
    rows: tuple[MadeRow, ...]
    dispersion: tuple[MadeDispersion, ...]
    gaps_made: tuple[tuple[float, float, float], ...]
    """Least, middle and greatest share of gaps in each part of the recording's own."""
    rates_made: Ends | None
    """Where 95 % of the streams' parts lie, requests a second."""
    prompts: LawLengths
    outputs: LawLengths


def workload_view(trace: RequestTrace) -> WorkloadView:
    """Arrange a trace."""
    told = workload_statistics(trace)
    at_s = trace.arrival_s - trace.arrival_s[0]
    joint = _joint(trace) if told.correlation is not None else None
    return WorkloadView(
        told=told,
        rates=_rates(at_s, told.span_s),
        hours=_hours(at_s) if told.rate_by_hour is not None else (),
        days=int(told.span_s // DAY_S),
        gaps=gap_shares(np.diff(at_s), told.span_s) if told.gap_cv is not None else None,
        dispersion=_dispersion(at_s, told.rate_per_s) if told.rate_per_s is not None else (),
        prompts=length_curve(trace.prompt_tokens),
        outputs=length_curve(trace.output_tokens),
        joint=joint,
        groups=_groups(trace) if joint is not None else (),
        correlation_ends=_correlation_ends(told.correlation, told.requests),
    )


def rates_by_bin(at_s: Array, span_s: float) -> Array:
    """Requests a second in RATE_BINS parts of the span."""
    edges = np.linspace(0.0, span_s, RATE_BINS + 1)
    return np.asarray(np.histogram(at_s, edges)[0] / (span_s / RATE_BINS))


def _rates(at_s: Array, span_s: float) -> Rates | None:
    if span_s <= 0:
        return None
    per_s, bin_s = rates_by_bin(at_s, span_s), span_s / RATE_BINS
    # The square root of a Poisson count has a standard deviation of a half, whatever its mean.
    root, half = sqrt(float(per_s.mean()) * bin_s), NORMAL_95 / 2.0
    chance = max(0.0, root - half) ** 2 / bin_s, (root + half) ** 2 / bin_s
    return Rates(bin_s, tuple(per_s.tolist()), chance)


def _hours(at_s: Array) -> tuple[HourRow, ...]:
    """Hours of whole days."""
    days = int(at_s[-1] // DAY_S)
    whole = at_s[at_s < days * DAY_S]
    counts = np.bincount((whole // HOUR_S).astype(np.int64), minlength=24 * days).reshape(days, 24) / HOUR_S
    return tuple(
        HourRow(hour, float(column.mean()), float(column.min()), float(column.max()))
        for hour, column in enumerate(counts.T)
    )


def gap_shares(gaps: Array, span_s: float, edges_s: tuple[float, ...] | None = None) -> Gaps:
    """Shares of gaps between edges, or between those chosen for them."""
    mean = span_s / gaps.size
    edges = np.array(edges_s) if edges_s is not None else _gap_edges(gaps, mean)
    inside = np.histogram(gaps, edges)[0] / gaps.size
    reach = np.exp(-edges / mean)
    return Gaps(
        edges_s=tuple(edges.tolist()),
        share=tuple(inside.tolist()),
        poisson=tuple((reach[:-1] - reach[1:]).tolist()),
        at_once=float((gaps < edges[0]).mean()),
        at_once_poisson=float(1.0 - reach[0]),
    )


def _gap_edges(gaps: Array, mean: float) -> Array:
    shown = gaps[gaps >= LEAST_GAP * mean]
    # The ends leave room for what Poisson would do, so that both can be seen.
    low = min(float(np.quantile(shown, 0.001)), 0.01 * mean)
    high = max(float(shown.max()) * 1.0001, 7.0 * mean)
    bins = max(8, int(np.ceil(GAP_BINS_A_DECADE * np.log10(high / low))))
    return np.asarray(np.geomspace(low, high, bins + 1))


def dispersion_windows(at_s: Array, rate_per_s: float) -> list[float]:
    """Window lengths in seconds, from three mean gaps up to a tenth of the span."""
    found, window_s = [], 3.0 / rate_per_s
    while (at_s[-1] - at_s[0]) / window_s >= FEWEST_WINDOWS:
        found.append(window_s)
        window_s *= WINDOW_GROWTH
    return found


def _dispersion(at_s: Array, rate_per_s: float) -> tuple[DispersionRow, ...]:
    rows = []
    for window_s in dispersion_windows(at_s, rate_per_s):
        index, windows = index_of_dispersion(at_s, window_s), int((at_s[-1] - at_s[0]) / window_s)
        if index:
            factor = exp(NORMAL_95 * sqrt(2.0 / windows))
            rows.append(DispersionRow(window_s, windows, index, (index / factor, index * factor)))
    return tuple(rows)


def length_curve(tokens: Whole) -> LengthCurve:
    """At most CURVE points, by even steps of the share."""
    ordered = np.sort(tokens)
    ranks = np.ceil(np.linspace(0.0, 1.0, CURVE) * tokens.size).astype(np.int64)
    at = np.unique(ordered[np.maximum(ranks - 1, 0)]).astype(np.float64)
    below = np.searchsorted(ordered, at, side="right") / tokens.size
    return LengthCurve(tuple(at.tolist()), tuple(below.tolist()), sqrt(log(2.0 / 0.05) / (2.0 * tokens.size)))


def _joint(trace: RequestTrace) -> Joint:
    edges = [_length_edges(values) for values in (trace.prompt_tokens, trace.output_tokens)]
    rows, columns = edges[0].size - 1, edges[1].size - 1
    # Edges lie between whole numbers, and hold the least and the most: a bisection finds every part.
    places = [np.searchsorted(e, v) - 1 for e, v in zip(edges, (trace.prompt_tokens, trace.output_tokens), strict=True)]
    counts = np.bincount(places[0] * columns + places[1], minlength=rows * columns).reshape(rows, columns)
    return Joint(
        prompt_edges=tuple(edges[0].tolist()),
        output_edges=tuple(edges[1].tolist()),
        requests=tuple(tuple(row) for row in counts.T.tolist()),
    )


def _length_edges(tokens: Whole) -> Array:
    """Even on the logarithm, but none nearer than a token to the one before: lengths are whole."""
    low, high = float(tokens.min()) - 0.5, float(tokens.max()) + 0.5
    edges = np.geomspace(max(low, 0.5), high, LENGTH_BINS + 1)
    return np.unique(np.floor(edges) + 0.5)


def _groups(trace: RequestTrace) -> tuple[PromptGroup, ...]:
    """Requests of equal prompts are never parted."""
    bounds = np.unique(np.quantile(trace.prompt_tokens, np.linspace(0.0, 1.0, GROUPS + 1)[1:], method="inverted_cdf"))
    group = np.searchsorted(bounds, trace.prompt_tokens)
    rows = []
    for which in range(bounds.size):
        own = group == which
        outputs = np.sort(trace.output_tokens[own])
        if outputs.size:
            # Of n the rank of the median is binomial: half ± √n / 2 standard errors.
            reach = NORMAL_95 * sqrt(outputs.size) / 2.0
            low = max(0, int(np.floor(outputs.size / 2.0 - reach)) - 1)
            high = min(outputs.size - 1, int(np.ceil(outputs.size / 2.0 + reach)))
            rows.append(
                PromptGroup(
                    prompt_p50=float(np.median(trace.prompt_tokens[own])),
                    requests=int(outputs.size),
                    output_p50=float(np.median(outputs)),
                    ends=(float(outputs[low]), float(outputs[high])),
                )
            )
    return tuple(rows)


def _correlation_ends(correlation: float | None, requests: int) -> Ends | None:
    """Of Spearman's, by Fisher's transform with the variance 1.06/(n − 3) (Fieller, Hartley and Pearson 1957)."""
    if correlation is None or requests < 10 or abs(correlation) >= 1.0:
        return None
    middle, half = log((1.0 + correlation) / (1.0 - correlation)) / 2.0, NORMAL_95 * sqrt(1.06 / (requests - 3))
    return tanh(middle - half), tanh(middle + half)
