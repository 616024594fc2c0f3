"""How well a measured median is known, and what a difference of two medians is worth."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, hypot, inf, log, log1p, sqrt
from typing import Literal

from dsd_plan.domain.profile import LatencyProfile, ProfilePoint

Z95 = 1.959964
MEDIAN_FACTOR = 1.2533
"""√(π/2): a median's standard error in those of a mean, for normal samples."""
MAD_TO_STD = 1.4826
ROBUST_SAMPLES = 12
"""From so many samples on, the median absolute deviation is a steadier spread than the standard deviation."""
MOST_LOG_ERROR = 10.0
"""Standard error of a logarithm beyond which an interval would say nothing: a factor of 10⁸ each way."""
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1 … 9 degrees of freedom."""

Kind = Literal["decode", "verify", "prefill"]
IntervalSource = Literal["recorded", "spread", "none"]


def kind_of(point: ProfilePoint) -> Kind:
    """A decode step of several new tokens a sequence verifies."""
    if point.phase == "prefill":
        return "prefill"
    return "decode" if point.new_tokens == 1 else "verify"


def interval_source(point: ProfilePoint) -> IntervalSource:
    """Whether the median's interval was recorded, must be told from the samples' spread, or cannot be told."""
    if point.latency_ms.p50_low and point.latency_ms.p50_high:
        return "recorded"
    return "spread" if point.samples > 1 else "none"


def log_error(point: ProfilePoint) -> float | None:
    """Standard error of the logarithm of a point's median; None where one sample is all there is.

    From the recorded 95 % interval; else √(π/2) σ/√n of the median, σ from the median absolute deviation (12 samples
    and more) or the standard deviation, widened as Student's t for few samples; this takes samples as independent.
    """
    stats = point.latency_ms
    if stats.p50_low and stats.p50_high:
        return log(stats.p50_high / stats.p50_low) / (2.0 * Z95)
    if point.samples < 2:
        return None
    robust = point.samples >= ROBUST_SAMPLES and stats.mad
    spread = MAD_TO_STD * stats.mad if robust and stats.mad is not None else stats.std
    widening = student_t95(point.samples - 1) / Z95
    return widening * MEDIAN_FACTOR * spread / (sqrt(point.samples) * stats.p50)


def median_interval(point: ProfilePoint) -> tuple[float, float] | None:
    """95 % confidence interval of a point's median, in ms; None where the samples cannot tell it."""
    stats = point.latency_ms
    if stats.p50_low and stats.p50_high:
        return stats.p50_low, stats.p50_high
    error = log_error(point)
    # Few samples that differ by orders of magnitude bound the median by nothing that can be printed.
    return (
        None
        if error is None or error > MOST_LOG_ERROR
        else (stats.p50 * exp(-Z95 * error), stats.p50 * exp(Z95 * error))
    )


def student_t95(freedom: int) -> float:
    """97.5 % quantile of Student's t; beyond 9 degrees of freedom by Cornish and Fisher's series."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = Z95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def recorded_drift(profile: LatencyProfile) -> float | None:
    """Relative change of the anchor step from the beginning of the run to its end; None where it was not recorded."""
    found = (profile.method or {}).get("drift")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found > -1 else None


def shared_log_drift(profiles: Sequence[LatencyProfile]) -> float:
    """How far whole runs may lie apart by their machines' drift alone, as a logarithm; unknown drifts count nothing."""
    return hypot(*(log1p(drift) for profile in profiles if (drift := recorded_drift(profile)) is not None))


def beyond_chance(log_ratio: float, error: float, drift: float) -> float:
    """Two-sided p-value of the hypothesis that the true log ratio lies within ± `drift`."""
    beyond = max(0.0, abs(log_ratio) - drift)
    if error == 0.0:
        return 1.0 if beyond == 0.0 else 0.0
    return erfc(beyond / (error * sqrt(2.0)))


def discoveries(p_values: Sequence[float], rate: float) -> tuple[bool, ...]:
    """Which hypotheses are rejected at this false discovery rate (Benjamini and Hochberg 1995)."""
    limit = -inf
    for rank, p_value in enumerate(sorted(p_values), 1):
        if p_value <= rate * rank / len(p_values):
            limit = p_value
    return tuple(p_value <= limit for p_value in p_values)
