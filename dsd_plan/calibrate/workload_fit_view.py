"""Laws fitted to a request stream, beside it: what streams that the laws make look like, many times over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from math import log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.synthesis import Gaps, LogNormal, synthesize
from dsd_plan.calibrate.workload_fit import WorkloadFit, fit_workload
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_statistics import index_of_dispersion, workload_statistics
from dsd_plan.domain.workload_view import (
    LawLengths,
    LengthCurve,
    MadeDispersion,
    MadeRow,
    WorkloadFitView,
    dispersion_windows,
    gap_shares,
    rates_by_bin,
    workload_view,
)

Array = NDArray[np.float64]

STREAMS = 40
MOST_REQUESTS = 2_000_000
"""Made in all streams together; a long recording is compared with fewer of them."""
FEWEST_STREAMS = 5
FEWEST_REQUESTS = 10


def workload_fit_view(
    trace: RequestTrace, seed: int = 0, on_progress: Callable[[int, int, str], None] | None = None
) -> tuple[WorkloadFit, WorkloadFitView]:
    """Fit laws to a trace, and compare it with streams that they make. Raises ValueError for fewer than 50 requests."""
    tell = on_progress or (lambda done, total, what: None)
    tell(0, 3, "laws")
    fit = fit_workload(trace, seed=seed, recorded_lengths=False)
    tell(1, 3, "streams")
    view = workload_view(trace)
    streams = _streams(fit, trace, seed)
    tell(2, 3, "how they compare")
    figures = [_figures(each) for each in (trace, *streams)]
    names = [name for name in figures[0] if all(name in each for each in figures)]
    dispersion = []
    for window_s in dispersion_windows(trace.arrival_s, fit.rate_per_s):
        recorded = index_of_dispersion(trace.arrival_s, window_s)
        made = [index for each in streams if (index := index_of_dispersion(each.arrival_s, window_s))]
        if recorded and made:
            middle = float(np.median(made))
            dispersion.append(MadeDispersion(window_s, recorded, middle, min(made), max(made)))
    edges = view.gaps.edges_s if view.gaps is not None else ()
    shares = [gap_shares(np.diff(s.arrival_s), float(np.ptp(s.arrival_s)), edges).share for s in streams]
    parts = np.concatenate([rates_by_bin(s.arrival_s - s.arrival_s[0], float(np.ptp(s.arrival_s))) for s in streams])
    low, high = np.quantile(parts, [0.025, 0.975]).tolist()
    return fit, WorkloadFitView(
        view=view,
        law="modulated" if not isinstance(fit.arrivals, Gaps) else "poisson" if fit.arrivals.cv == 1.0 else "gamma",
        parameters=tuple(asdict(fit.arrivals).items()),
        streams=len(streams),
        rows=tuple(_row(name, [each[name] for each in figures]) for name in names),
        dispersion=tuple(dispersion),
        gaps_made=tuple((min(part), float(np.median(part)), max(part)) for part in zip(*shares, strict=True)),
        rates_made=(low, high),
        prompts=_beside(view.prompts, trace.prompt_tokens, fit.prompts),
        outputs=_beside(view.outputs, trace.output_tokens, fit.outputs),
    )


def _streams(fit: WorkloadFit, trace: RequestTrace, seed: int) -> list[RequestTrace]:
    """Raises ValueError where the law is so bursty that a stream of this span may hold next to nothing."""
    count = max(FEWEST_STREAMS, min(STREAMS, MOST_REQUESTS // trace.arrival_s.size))
    made = [
        synthesize(
            fit.rate_per_s,
            float(trace.arrival_s[-1] - trace.arrival_s[0]),
            arrivals=fit.arrivals,
            prompts=fit.prompts,
            outputs=fit.outputs,
            correlation=fit.correlation,
            by_hour=fit.by_hour,
            seed=seed + 1 + at,
        )
        for at in range(count)
    ]
    fewest = min(each.arrival_s.size for each in made)
    if fewest < FEWEST_REQUESTS:
        raise ValueError(f"a stream of the fitted law holds {fewest} requests: the trace is too short for its bursts")
    return made


def _figures(stream: RequestTrace) -> dict[str, float]:
    """Those that a fit has to tell; a figure that the stream does not have is left out."""
    told = workload_statistics(stream)
    found = {
        "requests a second": told.rate_per_s,
        "gap CV": told.gap_cv,
        "busiest part of the span over the mean": told.peak_to_mean,
        "rank correlation of prompt and output": told.correlation,
    }
    for name, lengths in (("prompt", told.prompt_tokens), ("output", told.output_tokens)):
        found |= {f"{name} tokens, {each}": float(getattr(lengths, each)) for each in ("mean", "p50", "p95", "p99")}
    return {name: value for name, value in found.items() if value is not None}


def _row(name: str, values: list[float]) -> MadeRow:
    recorded, *made = values
    return MadeRow(name, recorded, float(np.median(made)), min(made), max(made))


def _beside(recorded: LengthCurve, tokens: NDArray[np.int64], law: LogNormal) -> LawLengths:
    """Lengths are whole, so that both shares step, and part most just before or at a length that was recorded."""
    lengths, counts = np.unique(tokens, return_counts=True)
    at = np.cumsum(counts) / tokens.size
    before = np.append(0.0, at[:-1])
    farthest = max(np.abs(_below(law, lengths) - at).max(), np.abs(_below(law, lengths - 1) - before).max())
    return LawLengths(recorded, tuple(_below(law, np.array(recorded.tokens)).tolist()), float(farthest))


def _below(law: LogNormal, tokens: NDArray[Any]) -> Array:
    """P(length ≤ tokens), lengths rounded to whole ones and at least 1."""
    from scipy.special import ndtr

    if law.cv == 0:
        return np.asarray((tokens >= max(1.0, round(law.mean))).astype(np.float64))
    variance = log(1.0 + law.cv**2)
    normal = (np.log(np.maximum(tokens, 0.0) + 0.5) - (log(law.mean) - variance / 2.0)) / sqrt(variance)
    return np.where(tokens >= 1, ndtr(normal), 0.0)
