"""A deep model's step times from two shallow ones: all layers take the same time, embedding and head the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

from dsd_plan.domain.profile import HeldOut, LatencyProfile, LatencyStats, LayerSlicing, ProfilePoint
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.fit import fit_step_law

Depths = tuple[int, int]
Key = tuple[str, int, int, int]

MOST_NOISY = 0.05
"""Share of points that may be left out because noise outweighs a layer."""
LAYERS = "layers"
"""Key of a profile's method: how many layers ran."""
LAYERS_OF_MODEL = "layers_of_model"
"""Key of a profile's method: how many the whole model has."""
MODEL = "whole_model"
"""Key of a profile's method: the whole model's name."""


def check_depths(model: str, depths: Depths, layers: int) -> None:
    """Raise ``MeasurementError`` unless 1 <= a < b < layers.

    From depth 0 nothing of what a layer costs is seen, and what follows an empty model is not what follows a layer.
    """
    shallow, deep = depths
    if layers < 3:
        raise MeasurementError(f"{model}: has {layers} layers, too few to scale from two depths; measure it whole")
    if shallow < 1 or not shallow < deep < layers:
        raise MeasurementError(
            f"{model}: found depths {shallow},{deep}, expected two of 1 to {layers - 1} layers, the first the smaller; "
            f"the model has {layers}: measure it at --layers 2,4, or whole without --layers"
        )


def scaled_profile(
    shallow: LatencyProfile,
    deep: LatencyProfile,
    whole: LatencyProfile | None = None,
    *,
    check: HeldOut | None = None,
    check_model: str | None = None,
) -> LatencyProfile:
    """The whole model's profile from those of its first a and its first b layers.

    A step takes t_a + (t_b − t_a)·(L − a)/(b − a), and so do weights, cache and energy. Intervals of the median are
    carried on as independent; the spread is the deep profile's, in proportion. The law is fitted to scaled points.
    With ``whole``, measured like the other two, the error is kept; ``check`` and ``check_model`` keep another
    model's. The depths and L are what the profiles' methods say (`LAYERS`, `LAYERS_OF_MODEL`).

    A point where more layers did not take longer is left out and counted: there noise outweighs a layer. Raises
    ``MeasurementError`` where that is more than one point in twenty, where the profiles do not belong together, and
    where no point was measured at both depths.
    """
    depths, layers, model = _depths(shallow, deep)
    check_depths(model, depths, layers)
    factor = (layers - depths[0]) / (depths[1] - depths[0])
    of_deep = {_key(point): point for point in deep.points}
    pairs = [(point, of_deep[_key(point)]) for point in shallow.points if _key(point) in of_deep]
    if not pairs:
        raise MeasurementError(f"{model}: no point was measured at both depths; measure both on one grid")
    noisy = [_words(a) for a, b in pairs if b.latency_ms.p50 <= a.latency_ms.p50]
    if len(noisy) > MOST_NOISY * len(pairs):
        raise MeasurementError(
            f"{model}: {depths[1]} layers took no longer than {depths[0]} at {len(noisy)} of {len(pairs)} points "
            f"({'; '.join(noisy[:3])}); go on with more time (--resume and a larger --budget-s), or choose depths "
            "further apart"
        )
    points = tuple(_scaled_point(a, b, factor) for a, b in pairs if b.latency_ms.p50 > a.latency_ms.p50)
    profile = replace(
        deep,
        model=model,
        fit=fit_step_law(points),
        points=points,
        method=(deep.method or {})
        | {
            LAYERS: layers,
            "points_of_one_depth": len(shallow.points) + len(deep.points) - 2 * len(pairs),
            "points_lost_to_noise": len(noisy),
            "slicing_sum": "t_a + (t_b - t_a)(L - a)/(b - a)",
            **_held_out(shallow, deep),
        },
        weights_gib=_line(shallow.weights_gib, deep.weights_gib, factor),
        kv_mib_per_token=_line(shallow.kv_mib_per_token, deep.kv_mib_per_token, factor),
        held_out=None,
        slicing=LayerSlicing(layers=layers, measured_layers=depths, check=check, check_model=check_model),
    )
    return profile if whole is None else with_check(profile, check_slicing(profile, whole), whole.model)


@dataclass(frozen=True, slots=True)
class SlicingError:
    """One step, told from slices and measured whole."""

    point: ProfilePoint
    """Of the whole model."""
    error: float
    """told/measured − 1."""


def slicing_errors(sliced: LatencyProfile, whole: LatencyProfile) -> tuple[SlicingError, ...]:
    """At every common point. Raises ``MeasurementError`` where there is none."""
    told_ms = {_key(point): point.latency_ms.p50 for point in sliced.points}
    errors = tuple(
        SlicingError(point, told_ms[_key(point)] / point.latency_ms.p50 - 1.0)
        for point in whole.points
        if _key(point) in told_ms
    )
    if not errors:
        raise MeasurementError(f"{whole.model}: sliced and whole have no point in common; measure both on one grid")
    return errors


def check_slicing(sliced: LatencyProfile, whole: LatencyProfile) -> HeldOut:
    """How far the sliced profile is from the whole one, over their common points. Raises as `slicing_errors` does."""
    errors = [abs(found.error) for found in slicing_errors(sliced, whole)]
    return HeldOut(points=len(errors), mean_error=sum(errors) / len(errors), max_error=max(errors))


def with_check(sliced: LatencyProfile, check: HeldOut, check_model: str) -> LatencyProfile:
    """``sliced``, saying how far slices of ``check_model`` were from the whole of it."""
    if sliced.slicing is None:
        raise MeasurementError(f"{sliced.model}: was measured whole; only a sliced profile keeps an error of slicing")
    return replace(sliced, slicing=replace(sliced.slicing, check=check, check_model=check_model))


def _depths(shallow: LatencyProfile, deep: LatencyProfile) -> tuple[Depths, int, str]:
    found = []
    for profile in (shallow, deep):
        method = profile.method or {}
        told = (method.get(LAYERS), method.get(LAYERS_OF_MODEL), method.get(MODEL))
        if not isinstance(told[0], int) or not isinstance(told[1], int) or not isinstance(told[2], str):
            raise MeasurementError(f"{profile.model}: its method does not say how many layers of which model ran")
        found.append((told[0], told[1], told[2]))
    (a, layers, model), (b, of_deep, other) = found
    same = (shallow.device, shallow.backend, shallow.precision) == (deep.device, deep.backend, deep.precision)
    if (layers, model) != (of_deep, other) or not same:
        raise MeasurementError(
            f"{shallow.model} and {deep.model} are not slices of one model on one device in one number format"
        )
    return (a, b), layers, model


def _scaled_point(a: ProfilePoint, b: ProfilePoint, factor: float) -> ProfilePoint:
    energies = (a.energy_j, b.energy_j)
    energy_j = _line(*energies, factor)
    return replace(
        b,
        samples=min(a.samples, b.samples),
        latency_ms=_scaled_stats(a.latency_ms, b.latency_ms, factor),
        energy_j=None if energy_j is None or energy_j <= 0.0 else energy_j,
    )


def _scaled_stats(a: LatencyStats, b: LatencyStats, factor: float) -> LatencyStats:
    p50 = a.p50 + (b.p50 - a.p50) * factor
    ratio = p50 / b.p50
    low = high = None
    if a.p50_low is not None and a.p50_high is not None and b.p50_low is not None and b.p50_high is not None:
        # The shallow median counts with the negative weight 1 − factor: its upper half-width moves the lower end.
        low = max(0.0, p50 - hypot(factor * (b.p50 - b.p50_low), (factor - 1.0) * (a.p50_high - a.p50)))
        high = p50 + hypot(factor * (b.p50_high - b.p50), (factor - 1.0) * (a.p50 - a.p50_low))
    return LatencyStats(
        mean=b.mean * ratio,
        std=b.std * ratio,
        p50=p50,
        p95=b.p95 * ratio,
        p99=b.p99 * ratio,
        min=None if b.min is None else b.min * ratio,
        mad=None if b.mad is None else b.mad * ratio,
        p50_low=low,
        p50_high=high,
    )


def _held_out(shallow: LatencyProfile, deep: LatencyProfile) -> dict[str, float]:
    return {
        f"held_out_of_{name}_mean": round(profile.held_out.mean_error, 4)
        for name, profile in (("shallow", shallow), ("deep", deep))
        if profile.held_out is not None
    }


def _line(a: float | None, b: float | None, factor: float) -> float | None:
    return None if a is None or b is None else a + (b - a) * factor


def _key(point: ProfilePoint) -> Key:
    return point.phase, point.batch, point.new_tokens, point.context_tokens


def _words(point: ProfilePoint) -> str:
    return f"{point.phase} of batch {point.batch}, {point.new_tokens} new, {point.context_tokens} context tokens"
