"""How well the surface tells steps that it was not made from: random points between the grid's nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dsd_plan.domain.profile import HeldOut, LatencyProfile, ProfilePoint
from dsd_plan.domain.step_time import decode_ms, prefill_ms, surface_of
from dsd_plan.measure.steps.grid import GridPoint

DECODE_POINTS = 24
PREFILL_POINTS = 6
TRIES = 200
"""Draws for every point wanted: a grid with few places between its nodes gives fewer points."""
WIDE = 64
"""From this ratio of its ends on, an axis of contexts or prompts is drawn from evenly in its logarithm."""


@dataclass(frozen=True, slots=True)
class HeldOutErrors:
    """Over all points left out, and by phase; None where a phase has none."""

    all: HeldOut | None
    decode: HeldOut | None
    prefill: HeldOut | None


def held_out_points(grid: Sequence[GridPoint], fits: Callable[[GridPoint], bool], seed: int) -> tuple[GridPoint, ...]:
    """Random points inside ``grid`` that are none of its nodes, and lie in cells whose far corner was measured.

    Batches are drawn evenly in their logarithm, new tokens evenly, contexts and prompts evenly (in the logarithm
    where they span 64-fold or more).
    """
    rng = np.random.default_rng((seed, 30))
    drawn: list[GridPoint] = []
    for phase, wanted in (("decode", DECODE_POINTS), ("prefill", PREFILL_POINTS)):
        nodes = {point for point in grid if point.phase == phase and (phase == "decode" or point.context_tokens == 0)}
        if not nodes:
            continue
        axes = [sorted({getattr(point, axis) for point in nodes}) for axis in ("batch", "new_tokens", "context_tokens")]
        found: set[GridPoint] = set()
        for _ in range(wanted * TRIES):
            if len(found) == wanted:
                break
            batch, new, context = (
                _drawn(axis, rng, log=position == 0 or (axis[0] > 0 and axis[-1] >= WIDE * axis[0]))
                for position, axis in enumerate(axes)
            )
            point = GridPoint("decode" if phase == "decode" else "prefill", batch, new, context)
            corner = [
                next(node for node in axis if node >= value)
                for axis, value in zip(axes, (batch, new, context), strict=True)
            ]
            if point not in nodes and GridPoint(point.phase, *corner) in nodes and fits(point):
                found.add(point)
        drawn += sorted(found)
    return tuple(drawn)


def _drawn(axis: Sequence[int], rng: np.random.Generator, *, log: bool) -> int:
    low, high = axis[0], axis[-1]
    if low == high:
        return low
    value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if log else float(rng.uniform(low, high))
    return min(max(round(value), low), high)


def held_out_errors(profile: LatencyProfile, measured: Sequence[ProfilePoint]) -> HeldOutErrors:
    """``profile``'s surface against steps that it was not made from."""
    surface = surface_of(profile)
    errors: dict[str, list[float]] = {"decode": [], "prefill": []}
    for point in measured:
        if point.phase == "decode":
            told = decode_ms(surface, point.batch, point.new_tokens, point.context_tokens)
        else:
            told = prefill_ms(surface, point.batch, point.new_tokens)
        errors[point.phase].append(abs(float(told) / point.latency_ms.p50 - 1.0))
    return HeldOutErrors(
        _error([*errors["decode"], *errors["prefill"]]), _error(errors["decode"]), _error(errors["prefill"])
    )


def _error(errors: Sequence[float]) -> HeldOut | None:
    if not errors:
        return None
    return HeldOut(points=len(errors), mean_error=float(np.mean(errors)), max_error=max(errors))
