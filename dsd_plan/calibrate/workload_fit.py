"""A recorded request stream as laws that can make more of it, with how well they tell what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.calibrate.synthesis import FLAT, ArrivalLaw, Gaps, LogNormal, Modulated, Recorded, synthesize
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_statistics import index_of_dispersion, workload_statistics

Array = NDArray[np.float64]

WINDOWS_IN_MEAN_GAPS = tuple(3.0 * 3.0**step for step in range(8))
POISSON_BAND = 0.1
"""A gap CV this near to 1 may be Poisson's."""
ALLOWED = 0.1
"""Relative error of a figure that nobody minds."""
CLOSE = 2.0
"""Errors of gap CV and dispersion, in units of what is allowed, below which the simpler law serves."""


@dataclass(frozen=True, slots=True)
class FitRow:
    """One figure of the recording, and of a stream that the laws made."""

    what: str
    recorded: float
    made: float | None
    """None where the stream is too short to tell."""
    gaps: float | None = None
    """Of a dispersion: its window, in mean gaps."""

    @property
    def error(self) -> float | None:
        """Relative; None where the recorded figure is 0, or the other not told."""
        return None if self.recorded == 0 or self.made is None else self.made / self.recorded - 1.0


@dataclass(frozen=True, slots=True, eq=False)
class WorkloadFit:
    """Laws of a recording."""

    rate_per_s: float
    arrivals: ArrivalLaw
    prompts: LogNormal
    outputs: LogNormal
    correlation: float
    by_hour: tuple[float, ...]
    rows: tuple[FitRow, ...]
    """How the laws' own stream compares."""
    clock_s: float | None = None
    """Step of the recording's clock, where it is coarser than the gaps."""


def fit_workload(trace: RequestTrace, *, seed: int = 0, recorded_lengths: bool = True) -> WorkloadFit:
    """Fit arrivals by their gaps and their dispersion over windows, lengths by mean and CV.

    Poisson where gaps and dispersion allow it, else independent gamma gaps where their stream is like the
    recording, else the nearer of them and a modulated rate, whose bursts last. Raises ValueError for fewer than
    50 requests.
    """
    if trace.arrival_s.size < 50:
        raise ValueError(f"{trace.arrival_s.size} requests are too few to fit a law of arrivals; give 50")
    told = workload_statistics(trace)
    if told.rate_per_s is None or told.gap_cv is None:
        raise ValueError("the requests come at one time: there is no rate to fit")
    by_hour: tuple[float, ...] = FLAT
    if told.rate_by_hour is not None and min(told.rate_by_hour) > 0:
        by_hour = tuple(rate / (sum(told.rate_by_hour) / 24) for rate in told.rate_by_hour)
    prompts = LogNormal(told.prompt_tokens.mean, told.prompt_tokens.cv)
    outputs = LogNormal(told.output_tokens.mean, told.output_tokens.cv)
    # Pearson's of the normals that have this rank correlation (Kruskal 1958).
    correlation = 2.0 * np.sin(np.pi / 6.0 * (told.correlation or 0.0))
    lengths = Recorded(trace) if recorded_lengths else None
    tried = [
        _try(law, trace, told.rate_per_s, prompts, outputs, float(correlation), lengths, by_hour, seed)
        for law in _candidates(trace.arrival_s, told.rate_per_s, told.gap_cv)
    ]
    distances = [_distance(fit, trace.arrival_s.size) for fit in tried]
    return tried[0] if distances[0] < CLOSE else tried[int(np.argmin(distances))]


def _try(
    arrivals: ArrivalLaw,
    trace: RequestTrace,
    rate_per_s: float,
    prompts: LogNormal,
    outputs: LogNormal,
    correlation: float,
    recorded: Recorded | None,
    by_hour: tuple[float, ...],
    seed: int,
) -> WorkloadFit:
    span_s = float(trace.arrival_s[-1] - trace.arrival_s[0])
    made = synthesize(
        rate_per_s,
        span_s,
        arrivals=arrivals,
        prompts=prompts,
        outputs=outputs,
        correlation=correlation,
        recorded=recorded,
        by_hour=by_hour,
        seed=seed,
    )
    clock_s = workload_statistics(trace).clock_s
    return WorkloadFit(rate_per_s, arrivals, prompts, outputs, correlation, by_hour, compared(trace, made), clock_s)


def _distance(fit: WorkloadFit, requests: int) -> float:
    """Root mean square of the log errors of what makes bursts, each in units of what chance and taste allow."""
    errors = []
    for row in fit.rows:
        if row.what == "gap CV" or row.gaps is not None:
            # The log of a variance over n windows has a standard error of √(2/n), on either side.
            windows = requests if row.gaps is None else requests / row.gaps
            allowed = 4.0 / windows + ALLOWED**2
            errors.append(np.log(max(row.made or 0.0, 1e-9) / max(row.recorded, 1e-9)) ** 2 / allowed)
    return float(np.sqrt(np.mean(errors)))


def _candidates(at_s: Array, rate_per_s: float, gap_cv: float) -> list[ArrivalLaw]:
    """Laws to try: Poisson alone where gaps and dispersion allow it, else the gaps' own and a modulated rate."""
    windows = np.array([gaps / rate_per_s for gaps in WINDOWS_IN_MEAN_GAPS])
    told = [index_of_dispersion(at_s, window) for window in windows]
    known = np.array([index is not None for index in told])
    indices = np.array([index for index in told if index is not None])
    # Of n windows the index has a standard error of √(2/n); three of them are what chance does.
    fitting = ((at_s[-1] - at_s[0]) / windows[known]).astype(int)
    if abs(gap_cv - 1.0) < POISSON_BAND and np.all(np.abs(indices - 1.0) < 3.0 * np.sqrt(2.0 / fitting)):
        return [Gaps(1.0)]
    found: list[ArrivalLaw] = [Gaps(gap_cv)]
    if indices.size >= 3 and indices.max() > 1.0:
        found.append(_modulated(windows[known], indices, rate_per_s, gap_cv))
    return found


def _modulated(windows: Array, indices: Array, rate: float, gap_cv: float) -> ArrivalLaw:
    """Variance and relaxation time of the rate from I(t) = 1 + (2σ²τ/λ)(1 − (τ/t)(1 − e^{−t/τ})).

    How long it is high, which dispersion cannot tell, is chosen so that the gaps' CV comes nearest.
    """
    from scipy.optimize import least_squares

    def told(parameters: Array) -> Array:
        plateau, relaxation_s = np.exp(parameters)
        ratio = windows / relaxation_s
        values: Array = np.log(1.0 + plateau * (1.0 - (1.0 - np.exp(-ratio)) / ratio))
        return values

    start = np.log([max(indices[-1] - 1.0, 0.1), windows[len(windows) // 2]])
    found = least_squares(lambda x: told(x) - np.log(np.maximum(indices, 1e-3)), start, bounds=(-12.0, 30.0))
    plateau, relaxation_s = exp(found.x[0]), exp(found.x[1])
    variance = plateau * rate / (2.0 * relaxation_s) / rate**2
    # The quiet rate must not fall below 0, and it is the bursts that are rare.
    shares = np.linspace(0.02, 1.0, 50) * min(0.5, 1.0 / (1.0 + variance))
    laws = [_two_levels(share, variance, relaxation_s) for share in shares.tolist()]
    return min(laws, key=lambda law: abs(log(gap_cv_of(law, rate) / gap_cv)))


def _two_levels(share: float, variance: float, relaxation_s: float) -> Modulated:
    """The law that is high for this share of the time, with this variance of the rate (mean 1)."""
    low = max(1.0 - sqrt(variance * share / (1.0 - share)), 0.0)
    high = (1.0 - (1.0 - share) * low) / share
    return Modulated(low=low, high=high, low_s=relaxation_s / share, high_s=relaxation_s / (1.0 - share))


def gap_cv_of(law: Modulated, rate_per_s: float) -> float:
    """CV of the gaps of an MMPP-2: E[T²] = 2φD₀⁻²1 with φ the states at arrivals (Fischer, Meier-Hellstern 1993)."""
    rates = np.array([law.low, law.high]) * rate_per_s
    leave = np.array([1.0 / law.low_s, 1.0 / law.high_s])
    between = np.array([[-rates[0] - leave[0], leave[0]], [leave[1], -rates[1] - leave[1]]])
    states = leave[::-1] / leave.sum()
    at_arrivals = states * rates / (states @ rates)
    inverse = np.linalg.inv(between)
    second = 2.0 * at_arrivals @ inverse @ inverse @ np.ones(2)
    return float(sqrt(second * rate_per_s**2 - 1.0))


def compared(trace: RequestTrace, made: RequestTrace, slower: float = 1.0) -> tuple[FitRow, ...]:
    """Figures of a recording, and of a stream whose gaps were to be `slower` times the recorded ones."""
    sides = [workload_statistics(side) for side in (trace, made)]
    mean_gap_s = sides[0].span_s / (sides[0].requests - 1)
    rows = [
        FitRow("requests a second", sides[0].rate_per_s or 0.0, sides[1].rate_per_s),
        FitRow("gap CV", sides[0].gap_cv or 0.0, sides[1].gap_cv),
    ]
    for gaps in (10.0, 100.0, 1000.0):
        recorded = index_of_dispersion(trace.arrival_s, gaps * mean_gap_s)
        index = index_of_dispersion(made.arrival_s, gaps * mean_gap_s * slower)
        if recorded is not None and index is not None:
            rows.append(FitRow(f"dispersion over {gaps:g} mean gaps", recorded, index, gaps))
    for name in ("prompt_tokens", "output_tokens"):
        for quantile in ("mean", "p50", "p95", "p99"):
            told = [float(getattr(getattr(side, name), quantile)) for side in sides]
            rows.append(FitRow(f"{name.replace('_', ' ')} {quantile}", told[0], told[1]))
    if sides[0].correlation is not None:
        rows.append(FitRow("rank correlation of prompt and output", sides[0].correlation, sides[1].correlation))
    if sides[0].cached_share is not None:
        rows.append(FitRow("cached share of prompt tokens", sides[0].cached_share, sides[1].cached_share))
    return tuple(rows)
