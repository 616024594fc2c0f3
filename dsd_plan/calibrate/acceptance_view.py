"""Recorded acceptance arranged for reading: positions, windows, bursts, and how requests differ, with intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.acceptance_fit import ONE_SIDED, AcceptanceFit, Judged, WindowError
from dsd_plan.calibrate.dependence import RESAMPLES, SHORT, Dependence, GroupShare, dependence
from dsd_plan.calibrate.intervals import ratio_interval, resamples, wilson
from dsd_plan.calibrate.round_table import RoundTable, rounds_of
from dsd_plan.domain.acceptance import (
    AcceptanceCounts,
    RoundTrace,
    TokenTrace,
    acceptance_form,
    counted_totals,
)
from dsd_plan.domain.acceptance_law import FittedLaw
from dsd_plan.domain.acceptance_view import (
    AcceptanceFitView,
    AcceptanceView,
    Ends,
    GroupRow,
    LagRow,
    LawAtWindow,
    LawRow,
    PositionRow,
    RecordedTokens,
    RequestSpread,
    WindowChosen,
    WindowRow,
)

Array = NDArray[np.float64]

DESCRIBED_WINDOW = 8
LARGEST_WINDOW = 12
LAGS = 10
SHUFFLES = 50
SPREAD_BINS = 24


def acceptance_view(
    trace: TokenTrace | RoundTrace | AcceptanceCounts,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> AcceptanceView:
    """Arrange a trace, or counters. A token trace is played at windows up to 12, or as many as it has tokens."""
    if isinstance(trace, AcceptanceCounts):
        return _of_counts(trace)
    largest = min(LARGEST_WINDOW, trace.match.size - 1 if isinstance(trace, TokenTrace) else int(trace.proposed.max()))
    window = min(largest, DESCRIBED_WINDOW)
    tell = on_progress or (lambda done, total, what: None)
    tell(0, largest + 1, "rounds")
    told = dependence(trace, window, seed)
    table = rounds_of(trace, window)
    whole = table.whole(window)
    rate = float(table.accepted.sum() / max(1.0, table.reached(window).sum()))
    windows = []
    for size in range(1, largest + 1):
        tell(size, largest + 1, f"window {size}")
        windows.append(_at_window(trace, size, rate, seed))
    return AcceptanceView(
        form=acceptance_form(trace),
        metadata=trace.metadata,
        requests=table.requests,
        entries=int(trace.match.size if isinstance(trace, TokenTrace) else trace.proposed.size),
        rate=rate,
        mean_tokens_per_round=None,
        window=window,
        positions=_positions(told, table, rate, seed),
        windows=tuple(windows),
        lags=tuple(_lags(whole, seed)),
        full_after_full=told.full_after_full,
        full_after_short=told.full_after_short,
        short=min(SHORT, window - 1),
        spread=_spread(whole, told.intra_class, seed),
        groups=tuple(_group(one) for one in told.groups),
    )


def _of_counts(counts: AcceptanceCounts) -> AcceptanceView:
    totals = counted_totals(counts)
    kept, tried = sum(counts.kept), sum(_tried(counts))
    proposed = totals["proposed"]
    rate = kept / tried if tried else None if not proposed else (totals["accepted"] or 0) / proposed
    rows = []
    for i, (reached, first) in enumerate(zip(counts.reached, counts.kept, strict=True), start=1):
        before = _tried(counts)[i - 1]
        if before and reached:
            rows.append(
                PositionRow(
                    position=i,
                    tried=before,
                    kept=first,
                    wilson=wilson(first, before),
                    over_requests=None,
                    survival=first / reached,
                    survival_ends=wilson(first, reached),
                    survival_at_one_rate=(rate or 0.0) ** i,
                )
            )
    return AcceptanceView(
        form=acceptance_form(counts),
        metadata=counts.metadata,
        requests=None,
        entries=None if totals["rounds"] is None else int(totals["rounds"]),
        rate=rate,
        mean_tokens_per_round=totals["mean_tokens_per_round"],
        window=len(rows),
        positions=tuple(rows),
    )


def _tried(counts: AcceptanceCounts) -> list[int]:
    """Rounds that proposed position i and had kept all before it; no fewer than kept it."""
    before = [counts.reached[0], *counts.kept[:-1]] if counts.reached else []
    return [max(k, min(r, b)) for r, b, k in zip(counts.reached, before, counts.kept, strict=True)]


def _positions(told: Dependence, table: RoundTable, rate: float, seed: int) -> tuple[PositionRow, ...]:
    rows = []
    for one in told.positions:
        survival, ends = _ratio(table, one.position, seed)
        rows.append(
            PositionRow(
                position=one.position,
                tried=one.tried,
                kept=one.kept,
                wilson=one.wilson,
                over_requests=one.over_requests,
                survival=survival,
                survival_ends=ends,
                survival_at_one_rate=rate**one.position,
            )
        )
    return tuple(rows)


def _ratio(table: RoundTable, position: int, seed: int) -> tuple[float, Ends]:
    """Share of the rounds that proposed `position` tokens which kept them all."""
    whole = table.whole(position)
    kept, rounds = whole.kept(position)[:, position - 1], np.bincount(whole.request).astype(np.float64)
    ends = wilson(kept.sum(), rounds.sum())
    if whole.requests > 1:
        low, high = ratio_interval(kept, rounds, resamples(whole.requests, RESAMPLES, seed))
        ends = min(ends[0], float(low)), max(ends[1], float(high))
    return float(kept.sum() / rounds.sum()), ends


def _at_window(trace: TokenTrace | RoundTrace, window: int, rate: float, seed: int) -> WindowRow:
    whole = rounds_of(trace, window).whole(window)
    rounds = np.bincount(whole.request).astype(np.float64)
    emitted = np.bincount(whole.request, weights=whole.accepted) + rounds
    ends = None
    if whole.requests > 1:
        low, high = ratio_interval(emitted, rounds, resamples(whole.requests, RESAMPLES, seed))
        ends = float(low), float(high)
    return WindowRow(
        window=window,
        played=isinstance(trace, TokenTrace) or bool(np.any(trace.proposed == window)),
        rounds=int(rounds.sum()),
        tokens_per_round=float(emitted.sum() / rounds.sum()),
        ends=ends,
        at_one_rate=float(1.0 + sum(rate**i for i in range(1, window + 1))),
        histogram=tuple(np.bincount(whole.accepted, minlength=window + 1).tolist()),
        histogram_at_one_rate=tuple(
            float(rounds.sum()) * rate**kept * (1.0 if kept == window else 1.0 - rate) for kept in range(window + 1)
        ),
    )


def _group(one: GroupShare) -> GroupRow:
    if one.name.startswith("task "):
        return GroupRow("task", one.name[5:], one.requests, one.rounds, one.tokens_per_round, one.low, one.high)
    name = one.name.removeprefix("context ")
    return GroupRow("context", name, one.requests, one.rounds, one.tokens_per_round, one.low, one.high)


def _lags(whole: RoundTable, seed: int) -> list[LagRow]:
    accepted = whole.accepted.astype(np.float64)
    centred = accepted - accepted.mean()
    variance = float((centred**2).mean())
    means = np.bincount(whole.request, weights=accepted) / np.bincount(whole.request)
    own = accepted - means[whole.request]
    own_variance = float((own**2).mean())
    if variance == 0:
        return []
    drawn = resamples(whole.requests, RESAMPLES, seed) if whole.requests > 1 else None
    rows = []
    for lag in range(1, LAGS + 1):
        same = whole.request[lag:] == whole.request[:-lag]
        if not same.any():
            break
        of = whole.request[lag:][same]
        products = (centred[lag:] * centred[:-lag])[same]
        ends = None
        if drawn is not None:
            sums = np.bincount(of, weights=products, minlength=whole.requests).astype(np.float64)
            pairs = np.bincount(of, minlength=whole.requests).astype(np.float64)
            low, high = ratio_interval(sums, pairs, drawn)
            ends = float(low) / variance, float(high) / variance
        within = float((own[lag:] * own[:-lag])[same].mean()) / own_variance if own_variance > 0 else None
        rows.append(LagRow(lag, int(same.sum()), float(products.mean()) / variance, ends, within))
    return rows


def _spread(whole: RoundTable, between: float | None, seed: int) -> RequestSpread | None:
    """None for fewer than five requests, whose spread nobody can tell."""
    if whole.requests < 5:
        return None
    rounds = np.bincount(whole.request)
    accepted = whole.accepted.astype(np.float64)
    means = 1.0 + np.bincount(whole.request, weights=accepted) / rounds
    rng = np.random.default_rng(seed)
    shuffled = np.concatenate(
        [1.0 + np.bincount(whole.request, weights=rng.permutation(accepted)) / rounds for _ in range(SHUFFLES)]
    )
    ends = float(min(means.min(), shuffled.min())), float(max(means.max(), shuffled.max()))
    counts, edges = np.histogram(means, bins=SPREAD_BINS, range=ends)
    chance, _ = np.histogram(shuffled, bins=SPREAD_BINS, range=ends)
    p5, p50, p95 = np.quantile(means, [0.05, 0.5, 0.95]).tolist()
    chance_p5, chance_p95 = np.quantile(shuffled, [0.05, 0.95]).tolist()
    return RequestSpread(
        edges=tuple(edges.tolist()),
        requests=tuple(counts.tolist()),
        by_chance=tuple((chance / SHUFFLES).tolist()),
        p5=p5,
        p50=p50,
        p95=p95,
        chance_p5=chance_p5,
        chance_p95=chance_p95,
        between=between,
    )


def acceptance_fit_view(
    law: FittedLaw, fit: AcceptanceFit | None = None, *, asked_for: bool = False, warnings: tuple[str, ...] = ()
) -> AcceptanceFitView:
    """Arrange a fit; without one, the law of counters alone."""
    if fit is None:
        return AcceptanceFitView(law=law, asked_for=asked_for, warnings=warnings)
    return AcceptanceFitView(
        law=law,
        laws=tuple(_law_row(one) for one in fit.judged),
        chosen=fit.chosen,
        asked_for=asked_for,
        emitted_tokens=fit.emitted_tokens,
        recorded=tuple(
            RecordedTokens(each.window, each.observed, each.low, each.high) for each in fit.judged[0].windows
        ),
        warnings=warnings,
    )


def _law_row(one: Judged) -> LawRow:
    return LawRow(
        name=one.candidate.name,
        parameters=one.score.parameters,
        bits_behind=one.score.bits_behind,
        standard_error=one.score.standard_error,
        rejected=one.score.rejected,
        falls_behind=one.score.bits_behind > ONE_SIDED * one.score.standard_error,
        windows=tuple(_law_at(each) for each in one.windows),
        choices=tuple(
            WindowChosen(each.draft_cost, each.round_trip, each.window, each.best, each.slower) for each in one.choices
        ),
    )


def _law_at(each: WindowError) -> LawAtWindow:
    return LawAtWindow(
        window=each.window,
        tokens_per_round=each.tokens_per_round,
        error=each.error,
        outside=not each.low <= each.tokens_per_round <= each.high,
        variance_error=_relative(each.variance, each.observed_variance),
        rounds_variance_error=_relative(each.rounds_variance, each.observed_rounds_variance),
    )


def _relative(value: float | None, observed: float | None) -> float | None:
    return None if value is None or not observed else value / observed - 1.0
