"""What changed between two profiles, and whether it is more than chance and drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb, exp, hypot, log
from statistics import median
from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.median_error import (
    Z95,
    Kind,
    beyond_chance,
    discoveries,
    kind_of,
    log_error,
    recorded_drift,
    shared_log_drift,
)
from dsd_plan.domain.profile import LatencyProfile, Phase, ProfilePoint
from dsd_plan.domain.records import record

Change = Literal["faster", "slower", "no significant difference", "not known"]

FALSE_DISCOVERY_RATE = 0.05
OUTCOMES = frozenset(
    {
        *("drift", "seconds", "rounds", "fewest_samples", "cpu_share", "load_before", "load_after", "contention"),
        *("others_cores_before", "others_cores_during", "clock_mhz_after", "resumed", "fewest_visits", "seed"),
        *("points_over_3_percent", "points_left_out_for_memory", "energy_points", "sustained_lowest_share"),
        *("runs", "pooling", "sources", "disagreements", "held_out_of"),
    }
)
"""Keys of a profile's `method` that tell how the run went, not how it was set up. Floats are compared to two digits."""
COEFFICIENTS = (
    *("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us", "mixed_kv_token_us"),
    *("per_prompt_token_sq_us", "load_scale", "active_w"),
)


@record
class Condition:
    """Something that was not the same in the two runs; None: not said."""

    what: str
    before: str | None
    after: str | None


@record
class PointKey:
    """Which step."""

    phase: Phase
    batch: int
    new_tokens: int
    context_tokens: int


@record
class PointDifference:
    """One step in both profiles. `ratio` is after over before; below 1 is faster. 95 % interval, drift included."""

    point: PointKey
    kind: Kind
    before_ms: float
    after_ms: float
    ratio: float
    low: float | None
    high: float | None
    p_value: float | None
    change: Change


@record
class KindDifference:
    """All common steps of a kind: the median of their ratios with a 95 % interval, drift included."""

    kind: Kind
    points: int
    ratio: float
    low: float | None
    high: float | None
    change: Change
    faster: int
    slower: int


@record
class CoefficientDifference:
    """A coefficient of the fitted laws; None: not fitted. `ratio` is None where one of them is 0 or None."""

    coefficient: str
    before: float | None
    after: float | None
    ratio: float | None


@record
class ProfileDifference:
    """Two profiles, side by side."""

    conditions: tuple[Condition, ...]
    kinds: tuple[KindDifference, ...]
    points: tuple[PointDifference, ...]
    law: tuple[CoefficientDifference, ...]
    only_before: tuple[PointKey, ...]
    only_after: tuple[PointKey, ...]
    drift_before: float | None
    drift_after: float | None
    false_discovery_rate: float
    """Expected share of wrong verdicts among the points called faster or slower."""
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        told: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return told


def profile_difference(before: LatencyProfile, after: LatencyProfile) -> ProfileDifference:
    """Compare the medians of the steps that both profiles hold.

    A point's log ratio has the standard error √(e₁² + e₂²) of the two medians'. What both runs' recorded drifts can
    explain, as one shift of all points, is no difference: a point is tested against a true log ratio within ± the
    drifts' root sum of squares, and intervals are widened by it. Verdicts of points hold the false discovery rate at
    5 % (Benjamini and Hochberg). A kind's interval is that of the median of its points' ratios by order statistics;
    with fewer than six points, it spans their own intervals.
    """
    ours, theirs = _by_key(before), _by_key(after)
    common = [key for key in ours if key in theirs]
    drift = shared_log_drift((before, after))
    points = _points([(ours[key], theirs[key]) for key in common], drift)
    kinds: tuple[Kind, ...] = ("decode", "verify", "prefill")
    return ProfileDifference(
        conditions=conditions_that_differ(before, after),
        kinds=tuple(_kind(kind, chosen, drift) for kind in kinds if (chosen := [p for p in points if p.kind == kind])),
        points=points,
        law=_laws(before, after),
        only_before=tuple(_point_key(key) for key in ours if key not in theirs),
        only_after=tuple(_point_key(key) for key in theirs if key not in ours),
        drift_before=recorded_drift(before),
        drift_after=recorded_drift(after),
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        warnings=tuple(_warnings(before, after, len(common), points)),
    )


def conditions_that_differ(before: LatencyProfile, after: LatencyProfile) -> tuple[Condition, ...]:
    """Device, model, backend, precision, software and set-up, where they are not the same."""
    return tuple(
        Condition(what=what, before=first, after=second)
        for what, (first, second) in _paired(_told(before), _told(after)).items()
        if first != second
    )


def _told(profile: LatencyProfile) -> dict[str, str]:
    named = {key: getattr(profile, key) for key in ("device", "model", "origin", "backend", "precision")}
    software = {f"software.{key}": value for key, value in (profile.software or {}).items()}
    method = {
        f"method.{key}": float(f"{value:.2g}") if isinstance(value, float) else value
        for key, value in (profile.method or {}).items()
        if key not in OUTCOMES and not key.startswith("held_out_")
    }
    sizes = {key: getattr(profile, key) for key in ("weights_gib", "kv_mib_per_token", "power_source")}
    sliced = (
        None if profile.slicing is None else f"layers {profile.slicing.measured_layers} of {profile.slicing.layers}"
    )
    every = named | software | method | sizes | {"slicing": sliced}
    return {
        key: f"{value:.6g}" if isinstance(value, float) else str(value)
        for key, value in every.items()
        if value is not None
    }


def _paired(first: dict[str, str], second: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    return {key: (first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])}


Key = tuple[Phase, int, int, int]


def _by_key(profile: LatencyProfile) -> dict[Key, ProfilePoint]:
    return {(p.phase, p.batch, p.new_tokens, p.context_tokens): p for p in profile.points}


def _point_key(key: Key) -> PointKey:
    phase, batch, new_tokens, context_tokens = key
    return PointKey(phase=phase, batch=batch, new_tokens=new_tokens, context_tokens=context_tokens)


def _points(pairs: Sequence[tuple[ProfilePoint, ProfilePoint]], drift: float) -> tuple[PointDifference, ...]:
    ratios = [log(after.latency_ms.p50 / before.latency_ms.p50) for before, after in pairs]
    errors = [_joint(log_error(before), log_error(after)) for before, after in pairs]
    p_values = [
        None if error is None else beyond_chance(ratio, error, drift)
        for ratio, error in zip(ratios, errors, strict=True)
    ]
    called = iter(discoveries([p for p in p_values if p is not None], FALSE_DISCOVERY_RATE))
    found = []
    for (before, after), ratio, error, p_value in zip(pairs, ratios, errors, p_values, strict=True):
        half = None if error is None else Z95 * error + drift
        found.append(
            PointDifference(
                point=_point_key((before.phase, before.batch, before.new_tokens, before.context_tokens)),
                kind=kind_of(before),
                before_ms=before.latency_ms.p50,
                after_ms=after.latency_ms.p50,
                ratio=exp(ratio),
                low=None if half is None else exp(ratio - half),
                high=None if half is None else exp(ratio + half),
                p_value=p_value,
                change="not known" if p_value is None else _change(ratio) if next(called) else _NONE,
            )
        )
    return tuple(found)


_NONE: Change = "no significant difference"


def _change(log_ratio: float) -> Change:
    return "slower" if log_ratio > 0 else "faster"


def _joint(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else hypot(first, second)


def _kind(kind: Kind, points: Sequence[PointDifference], drift: float) -> KindDifference:
    ratios = sorted(log(point.ratio) for point in points)
    middle = median(ratios)
    ends = _median_ends(ratios, drift) or _hull(points)
    change: Change = "not known" if ends is None else _NONE if ends[0] <= 0.0 <= ends[1] else _change(middle)
    return KindDifference(
        kind=kind,
        points=len(points),
        ratio=exp(middle),
        low=None if ends is None else exp(ends[0]),
        high=None if ends is None else exp(ends[1]),
        change=change,
        faster=sum(point.change == "faster" for point in points),
        slower=sum(point.change == "slower" for point in points),
    )


def _median_ends(ordered: Sequence[float], drift: float) -> tuple[float, float] | None:
    """95 % interval of a median from order statistics, widened by `drift`; None below six values."""
    rank = median_rank(len(ordered))
    return None if rank is None else (ordered[rank - 1] - drift, ordered[-rank] + drift)


def median_rank(count: int) -> int | None:
    """The largest k for which the k-th smallest and k-th largest of `count` values hold the median with 95 %."""
    tail, found = 0.0, None
    for rank in range(1, count // 2 + 1):
        tail += comb(count, rank - 1) / 2**count
        if 2.0 * tail > 0.05:
            break
        found = rank
    return found


def _hull(points: Sequence[PointDifference]) -> tuple[float, float] | None:
    ends = [(log(p.low), log(p.high)) for p in points if p.low is not None and p.high is not None]
    if len(ends) < len(points):
        return None
    return min(low for low, _ in ends), max(high for _, high in ends)


def _laws(before: LatencyProfile, after: LatencyProfile) -> tuple[CoefficientDifference, ...]:
    found = []
    for name in COEFFICIENTS:
        first, second = getattr(before.fit.law, name), getattr(after.fit.law, name)
        if first is None and second is None:
            continue
        ratio = second / first if first and second else None
        found.append(CoefficientDifference(coefficient=name, before=first, after=second, ratio=ratio))
    return tuple(found)


def _warnings(
    before: LatencyProfile, after: LatencyProfile, common: int, points: Sequence[PointDifference]
) -> Iterator[str]:
    for key in ("device", "model"):
        first, second = getattr(before, key), getattr(after, key)
        if first != second:
            yield f"not the same {key}: {first}, then {second}; the ratios compare {key}s, not runs"
    for word, profile in (("first", before), ("second", after)):
        contended = (profile.method or {}).get("contention")
        if contended:
            yield f"the {word} was measured on a busy machine: {contended}"
    without = [word for word, p in (("first", before), ("second", after)) if recorded_drift(p) is None]
    if without and common:
        yield f"the {' and the '.join(without)} does not say how far its machine drifted; a whole run may be shifted"
    if not common:
        yield "no step was measured in both; only the laws can be compared"
    unknown = sum(point.change == "not known" for point in points)
    if unknown:
        yield f"{unknown} common points have a single sample, so that nothing can be said of their difference"


_ADAPTER = TypeAdapter(ProfileDifference)
