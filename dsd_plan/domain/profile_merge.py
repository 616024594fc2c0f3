"""Runs of one model on one device, as one profile's points: what may be joined, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, log, sqrt

from dsd_plan.domain.median_error import Z95, log_error, recorded_drift
from dsd_plan.domain.profile import HeldOut, LatencyProfile, LatencyStats, LawFit, ProfilePoint
from dsd_plan.domain.profile_difference import PointDifference, profile_difference
from dsd_plan.errors import Problem

TOLERATED_SHARE, TOLERATED_RATIO = 0.05, 1.25
Scalar = str | float | int | bool | None
Key = tuple[str, int, int, int]

POOLING = (
    "mean and std pooled exactly, p50 weighted by samples with its interval from the runs' (widened where they lie "
    "apart by more), mad, p95 and p99 weighted by samples: an approximation, as pooled quantiles need the samples"
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A step that two of the runs measured as significantly different, beyond chance and drift."""

    first: int
    second: int
    """Which runs, counted from 0."""
    difference: PointDifference


def merge_problems(profiles: Sequence[LatencyProfile], names: Sequence[str]) -> tuple[Problem, ...]:
    """Everything that forbids joining these profiles; empty where they are runs of one model on one device."""
    return tuple(_conflicts(profiles, names))


def _conflicts(profiles: Sequence[LatencyProfile], names: Sequence[str]) -> Iterator[Problem]:
    for name, profile in zip(names, profiles, strict=True):
        if not profile.points:
            yield Problem(
                name, f'holds no measured points (origin "{profile.origin}"); only measured runs can be joined'
            )
    for key, advice in (
        ("device", "a profile is of one device; keep them apart"),
        ("model", "a profile is of one model; keep them apart"),
        ("origin", "measured and imported points are not of one kind; keep them apart"),
        ("backend", "keep one profile a backend"),
        ("precision", "keep one profile a precision"),
        ("threads", "measure again with the same --threads"),
        ("weights_gib", "these are different models under one name"),
        ("kv_mib_per_token", "these are different models under one name"),
        ("slicing", "measure again with the same layers"),
    ):
        values = [_identity(profile, key) for profile in profiles]
        if len(set(values)) > 1:
            found = ", ".join(f"{value} in {name}" for value, name in zip(values, names, strict=True))
            yield Problem(key, f"found {found}; expected the same in all; {advice}")
    sources = {profile.power_source for profile in profiles} - {"none"}
    if len(sources) > 1:
        yield Problem("power_source", f"found {', '.join(sorted(sources))}; powers of different meters are not pooled")


def _identity(profile: LatencyProfile, key: str) -> str:
    if key == "threads":
        return str((profile.method or {}).get("threads", "not said"))
    if key == "slicing":
        cut = profile.slicing
        return "the whole model" if cut is None else f"layers {cut.measured_layers} of {cut.layers}"
    value = getattr(profile, key)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "not said" if value is None else f'"{value}"'


def disagreements(profiles: Sequence[LatencyProfile]) -> tuple[Disagreement, ...]:
    """Common steps of any two runs that differ significantly beyond drift, the worst first."""
    found = [
        Disagreement(first, second, point)
        for (first, one), (second, other) in combinations(enumerate(profiles), 2)
        for point in profile_difference(one, other).points
        if point.change in ("faster", "slower")
    ]
    return tuple(sorted(found, key=lambda d: -abs(log(d.difference.ratio))))


def too_far_apart(profiles: Sequence[LatencyProfile], apart: Sequence[Disagreement]) -> bool:
    """Whether the runs' `disagreements` are too many or too large for one profile to stand for all of them.

    A slow spell of the machine can hit all samples of a few steps, which no interval of one run tells: up to 5 % of
    the compared steps may differ by up to a quarter; the pooled interval then spans them.
    """
    if not apart:
        return False
    keys = [{(p.phase, p.batch, p.new_tokens, p.context_tokens) for p in profile.points} for profile in profiles]
    compared = sum(len(one & other) for one, other in combinations(keys, 2))
    return len(apart) > TOLERATED_SHARE * compared or abs(log(apart[0].difference.ratio)) > log(TOLERATED_RATIO)


def joined_points(profiles: Sequence[LatencyProfile]) -> tuple[ProfilePoint, ...]:
    """Every step that any run measured, once: those of several runs pooled, in the order of phase, batch and tokens."""
    found: dict[Key, list[ProfilePoint]] = {}
    for profile in profiles:
        for point in profile.points:
            found.setdefault((point.phase, point.batch, point.new_tokens, point.context_tokens), []).append(point)
    return tuple(pooled(found[key]) for key in sorted(found))


def pooled(points: Sequence[ProfilePoint]) -> ProfilePoint:
    """Several runs' measurements of one step as one.

    Samples add; mean and standard deviation are those of all samples together, exactly. Of order statistics a run
    keeps only a few, so p50, p95, p99 and mad are means weighted by samples. The median's interval takes the larger of
    two standard errors on the logarithm: of the runs' own, √Σ wᵢ²eᵢ², and of their distances from the pooled median,
    √(k/(k−1) Σ wᵢ²dᵢ²) for k runs. It is left out where a run has a single sample.
    """
    if len(points) == 1:
        return points[0]
    first = points[0]
    samples = sum(point.samples for point in points)
    weights = [point.samples / samples for point in points]
    stats = [point.latency_ms for point in points]
    p50 = _weighted(weights, [s.p50 for s in stats])
    ends = _pooled_ends(points, weights, p50)
    lowest = [s.min for s in stats if s.min is not None]
    mads = [s.mad for s in stats if s.mad is not None]
    energies = [(w, p.energy_j) for w, p in zip(weights, points, strict=True) if p.energy_j is not None]
    known = sum(weight for weight, _ in energies)
    mean, std = pooled_mean_std([(point.samples, s.mean, s.std) for point, s in zip(points, stats, strict=True)])
    return ProfilePoint(
        phase=first.phase,
        batch=first.batch,
        new_tokens=first.new_tokens,
        context_tokens=first.context_tokens,
        samples=samples,
        latency_ms=LatencyStats(
            mean=mean,
            std=std,
            p50=p50,
            p95=_weighted(weights, [s.p95 for s in stats]),
            p99=_weighted(weights, [s.p99 for s in stats]),
            min=min(lowest) if len(lowest) == len(points) else None,
            mad=_weighted(weights, mads) if len(mads) == len(points) else None,
            p50_low=None if ends is None else ends[0],
            p50_high=None if ends is None else ends[1],
        ),
        energy_j=sum(weight * energy for weight, energy in energies) / known if known else None,
    )


def pooled_mean_std(runs: Sequence[tuple[int, float, float]]) -> tuple[float, float]:
    """Mean and sample standard deviation of all samples together, from each run's (samples, mean, std)."""
    samples = sum(count for count, _, _ in runs)
    mean = sum(count * value for count, value, _ in runs) / samples
    squares = sum((count - 1) * std**2 + count * (value - mean) ** 2 for count, value, std in runs)
    return mean, sqrt(squares / (samples - 1))


def _pooled_ends(points: Sequence[ProfilePoint], weights: Sequence[float], p50: float) -> tuple[float, float] | None:
    errors = [log_error(point) for point in points]
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return None
    within = sqrt(sum((w * e) ** 2 for w, e in zip(weights, known, strict=True)))
    apart = [log(point.latency_ms.p50 / p50) for point in points]
    runs = len(points)
    between = sqrt(sum((w * d) ** 2 for w, d in zip(weights, apart, strict=True)) * runs / (runs - 1))
    half = Z95 * max(within, between)
    return p50 * exp(-half), p50 * exp(half)


def _weighted(weights: Sequence[float], values: Sequence[float]) -> float:
    total = sum(weight * value for weight, value in zip(weights, values, strict=True))
    # A mean of equal values may come out a rounding error beside them, above the next quantile.
    return min(max(total, min(values)), max(values))


def joined_profile(
    profiles: Sequence[LatencyProfile], points: tuple[ProfilePoint, ...], fit: LawFit, sources: Mapping[str, str]
) -> LatencyProfile:
    """The runs as one profile of `points`, with the law fitted to them; `sources`: see `joined_method`.

    Powers are means over the runs that know them; of several records of sustained work the longest is kept.
    """
    first = profiles[0]
    idle = [profile.idle_w for profile in profiles if profile.idle_w is not None]
    active = [profile.active_w for profile in profiles if profile.active_w is not None]
    sustained = [profile.sustained for profile in profiles if profile.sustained]
    citations = dict.fromkeys(profile.citation for profile in profiles if profile.citation)
    return LatencyProfile(
        device=first.device,
        model=first.model,
        origin=first.origin,
        fit=fit,
        points=points,
        backend=first.backend,
        precision=first.precision,
        software=joined_software(profiles),
        measured_at=min((p.measured_at for p in profiles if p.measured_at is not None), default=None),
        method=joined_method(profiles, sources) | {"fewest_samples": min(point.samples for point in points)},
        weights_gib=first.weights_gib,
        kv_mib_per_token=first.kv_mib_per_token,
        idle_w=sum(idle) / len(idle) if idle else None,
        active_w=sum(active) / len(active) if active else None,
        power_source=next((p.power_source for p in profiles if p.power_source != "none"), "none"),
        sustained=max(sustained, key=lambda rows: rows[-1][0], default=None),
        held_out=joined_held_out(profiles),
        slicing=first.slicing,
        citation="; ".join(citations) or None,
    )


def joined_method(profiles: Sequence[LatencyProfile], sources: Mapping[str, str]) -> dict[str, Scalar]:
    """How the runs were measured, as one record; `sources` are their files' names and SHA-256 sums.

    What all runs say alike stays. Of what differs, times add, the worst drift, load and contention are kept, and the
    rest is told one after the other.
    """
    methods = [dict(profile.method or {}) for profile in profiles]
    told: dict[str, Scalar] = {}
    for key in dict.fromkeys(key for method in methods for key in method):
        values = [method.get(key) for method in methods]
        told[key] = values[0] if all(value == values[0] for value in values) else _differing(key, values)
    drifts = [drift for profile in profiles if (drift := recorded_drift(profile)) is not None]
    if drifts:
        told["drift"] = max(drifts, key=abs)
    if "seconds" in told:
        told["seconds"] = sum(v for method in methods if isinstance(v := method.get("seconds"), int | float))
    told["runs"] = len(profiles)
    told["pooling"] = POOLING
    told["sources"] = "; ".join(f"{name} sha256:{digest}" for name, digest in sources.items())
    if any(profile.held_out is not None for profile in profiles):
        told["held_out_of"] = "the runs, each before they were joined"
    return told


_LARGEST = {"load_before", "load_after", "others_cores_before", "others_cores_during", "points_left_out_for_memory"}
_SMALLEST = {"cpu_share"}
_SUMMED = {"rounds", "energy_points", "resumed"}


def _differing(key: str, values: Sequence[Scalar]) -> Scalar:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers and key in _LARGEST:
        return max(numbers)
    if numbers and key in _SMALLEST:
        return min(numbers)
    if numbers and key in _SUMMED:
        return sum(numbers)
    return " | ".join(dict.fromkeys(str(value) for value in values if value is not None))


def joined_software(profiles: Sequence[LatencyProfile]) -> dict[str, str] | None:
    """Versions; where runs differ, one after the other."""
    known = [profile.software for profile in profiles if profile.software]
    keys = dict.fromkeys(key for software in known for key in software)
    return {key: " | ".join(dict.fromkeys(s[key] for s in known if key in s)) for key in keys} or None


def joined_held_out(profiles: Sequence[LatencyProfile]) -> HeldOut | None:
    """All runs' interpolation checks as one; None where no run has one."""
    checks = [profile.held_out for profile in profiles if profile.held_out is not None]
    if not checks:
        return None
    points = sum(check.points for check in checks)
    return HeldOut(
        points=points,
        mean_error=sum(check.points * check.mean_error for check in checks) / points,
        max_error=max(check.max_error for check in checks),
    )
