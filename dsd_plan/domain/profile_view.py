"""A profile arranged for reading: step times by axis, what verifying costs, and how far the numbers can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, hypot, log
from statistics import median
from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.median_error import (
    IntervalSource,
    Kind,
    interval_source,
    kind_of,
    median_interval,
    recorded_drift,
)
from dsd_plan.domain.profile import HeldOut, LatencyProfile, LayerSlicing, Origin, Phase, ProfilePoint
from dsd_plan.domain.records import record
from dsd_plan.domain.step_time import StepSurface, decode_ms, decode_origin, prefill_ms, prefill_origin, surface_of

TRUSTED_HALF_WIDTH = 0.03
"""A median is well known when its 95 % interval reaches no further than this share of it, either way."""
LAW_BATCHES = (1, 2, 4, 8, 16, 32, 64)
LAW_NEW_TOKENS = (1, 2, 3, 5, 9, 13)
LAW_CONTEXTS = (0, 1024)
LAW_PROMPTS = (64, 256, 1024, 4096)
"""Where a declared law, which has no grid, is read."""


@record
class StepCell:
    """One step time in ms with its 95 % interval, where it was measured."""

    new_tokens: int
    ms: float
    low: float | None
    high: float | None
    origin: Origin


@record
class StepRow:
    """Steps of one batch by new tokens a sequence; `verify_cost` is their time over that of one new token."""

    batch: int
    tokens_per_s: float
    """Of plain decoding: one new token a sequence."""
    cells: tuple[StepCell, ...]
    verify_cost: tuple[StepCell, ...]
    """`ms` is a ratio here."""


@record
class StepTable:
    """Steps over one context, by batch."""

    context_tokens: int
    new_tokens: tuple[int, ...]
    rows: tuple[StepRow, ...]
    beyond: StepRow
    """The row of twice the largest batch: what the law says outside the grid."""


@record
class ContextCell:
    """A step over this context, over the same step at the smallest context."""

    context_tokens: int
    ratio: float
    low: float | None
    high: float | None
    origin: Origin


@record
class ContextRow:
    """What context costs a plain step of one batch."""

    batch: int
    cells: tuple[ContextCell, ...]


@record
class PrefillRow:
    """Reading `batch` prompts of `prompt_tokens` each in one step."""

    batch: int
    prompt_tokens: int
    ms: float
    low: float | None
    high: float | None
    tokens_per_s: float
    origin: Origin
    beyond: bool
    """Whether it lies outside the grid, at twice the longest prompt: what the law says there."""


@record
class PointTrust:
    """A measured step, how well its median is known, and what the law alone says of it."""

    phase: Phase
    kind: Kind
    batch: int
    new_tokens: int
    context_tokens: int
    samples: int
    p50_ms: float
    low: float | None
    high: float | None
    half_width: float | None
    """Half of the interval over the median."""
    p95_ms: float
    p99_ms: float
    energy_j: float | None
    law_ms: float
    law_error: float
    """Law over measured, less 1."""


@record
class Trust:
    """How far a profile can be trusted; None: not known."""

    points: int
    samples: int
    fewest_samples: int | None
    most_samples: int | None
    intervals: IntervalSource
    """Whether the medians' intervals were recorded at every point, or are told from the samples' spread."""
    well_known: int | None
    """Points whose median is known within 3 %."""
    median_half_width: float | None
    widest_half_width: float | None
    drift: float | None
    contention: str | None
    held_out: HeldOut | None
    law_mean_error: float | None
    law_max_error: float | None
    slicing: LayerSlicing | None
    power_source: Literal["nvml", "rapl", "declared", "none"]


@record
class ProfileView:
    """Everything that a reader is shown of a profile, beside what the profile itself says."""

    steps: tuple[StepTable, ...]
    """By context, ascending."""
    context: tuple[ContextRow, ...]
    """Empty where there is one context."""
    prefill: tuple[PrefillRow, ...]
    points: tuple[PointTrust, ...]
    trust: Trust

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        told: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return told


def profile_view(profile: LatencyProfile) -> ProfileView:
    """Arrange a profile as it was measured, without the law's `load_scale`.

    Cells of the grid that were not measured are told by the surface, and marked so.
    """
    profile = replace(profile, fit=replace(profile.fit, law=replace(profile.fit.law, load_scale=None)))
    surface = surface_of(profile)
    law = surface_of(replace(profile, points=(), origin="declared"))
    points = tuple(_point(point, law) for point in profile.points)
    steps = _steps(profile, surface)
    return ProfileView(
        steps=steps,
        context=_context(steps) if len(steps) > 1 else (),
        prefill=_prefill(profile, surface),
        points=points,
        trust=_trust(profile, points),
    )


Measured = dict[tuple[int, int, int], ProfilePoint]


def _steps(profile: LatencyProfile, surface: StepSurface) -> tuple[StepTable, ...]:
    measured: Measured = {(p.batch, p.new_tokens, p.context_tokens): p for p in profile.points if p.phase == "decode"}
    batches = sorted({key[0] for key in measured}) or list(LAW_BATCHES)
    news = sorted({key[1] for key in measured} | {1}) if measured else list(LAW_NEW_TOKENS)
    contexts = sorted({key[2] for key in measured}) or list(LAW_CONTEXTS)
    tables = []
    for context in contexts:
        rows = [_row(profile, surface, measured, batch, news, context) for batch in [*batches, 2 * batches[-1]]]
        tables.append(StepTable(context_tokens=context, new_tokens=tuple(news), rows=tuple(rows[:-1]), beyond=rows[-1]))
    return tuple(tables)


def _row(
    profile: LatencyProfile, surface: StepSurface, measured: Measured, batch: int, news: Sequence[int], context: int
) -> StepRow:
    cells = tuple(_cell(profile, surface, measured.get((batch, new, context)), batch, new, context) for new in news)
    plain = cells[0]
    costs = []
    for cell in cells[1:]:
        ratio = cell.ms / plain.ms
        half = _joint_half(plain, cell)
        costs.append(
            StepCell(
                new_tokens=cell.new_tokens,
                ms=ratio,
                low=None if half is None else ratio * exp(-half),
                high=None if half is None else ratio * exp(half),
                origin=max(plain.origin, cell.origin, key=_WORSE.index),
            )
        )
    return StepRow(batch=batch, tokens_per_s=1000.0 * batch / plain.ms, cells=cells, verify_cost=tuple(costs))


_WORSE: tuple[Origin, ...] = ("measured", "interpolated", "extrapolated", "declared")


def _cell(
    profile: LatencyProfile, surface: StepSurface, point: ProfilePoint | None, batch: int, new: int, context: int
) -> StepCell:
    ends = None if point is None else median_interval(point)
    return StepCell(
        new_tokens=new,
        ms=float(decode_ms(surface, batch, new, context)) if point is None else point.latency_ms.p50,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        origin=decode_origin(profile, batch, new, context),
    )


def _context(steps: Sequence[StepTable]) -> tuple[ContextRow, ...]:
    found = []
    for rows in zip(*(table.rows for table in steps), strict=True):
        first = rows[0].cells[0]
        cells = []
        for table, row in zip(steps, rows, strict=True):
            cell = row.cells[0]
            ratio = cell.ms / first.ms
            half = None if cell is first else _joint_half(first, cell)
            cells.append(
                ContextCell(
                    context_tokens=table.context_tokens,
                    ratio=ratio,
                    low=None if half is None else ratio * exp(-half),
                    high=None if half is None else ratio * exp(half),
                    origin=max(first.origin, cell.origin, key=_WORSE.index),
                )
            )
        found.append(ContextRow(batch=rows[0].batch, cells=tuple(cells)))
    return tuple(found)


def _joint_half(first: StepCell, second: StepCell) -> float | None:
    """Half of the interval of a ratio of two medians, on the logarithm."""
    if not (first.low and first.high and second.low and second.high):
        return None
    return hypot(log(first.high / first.low), log(second.high / second.low)) / 2.0


def _prefill(profile: LatencyProfile, surface: StepSurface) -> tuple[PrefillRow, ...]:
    measured = {(p.batch, p.new_tokens): p for p in _prompts(profile)}
    batches = sorted({batch for batch, _ in measured}) or [1]
    prompts = sorted({prompt for _, prompt in measured}) or list(LAW_PROMPTS)
    rows = []
    for batch in batches:
        for prompt in [*prompts, 2 * prompts[-1]]:
            point = measured.get((batch, prompt))
            ms = float(prefill_ms(surface, batch, prompt)) if point is None else point.latency_ms.p50
            ends = None if point is None else median_interval(point)
            rows.append(
                PrefillRow(
                    batch=batch,
                    prompt_tokens=prompt,
                    ms=ms,
                    low=None if ends is None else ends[0],
                    high=None if ends is None else ends[1],
                    tokens_per_s=1000.0 * batch * prompt / ms,
                    origin=prefill_origin(profile, batch, prompt),
                    beyond=prompt > prompts[-1],
                )
            )
    return tuple(rows)


def _prompts(profile: LatencyProfile) -> list[ProfilePoint]:
    """Prefills from nothing; those on top of a context are chunks, and tell the law alone."""
    return [point for point in profile.points if point.phase == "prefill" and point.context_tokens == 0]


def _law_ms(law: StepSurface, point: ProfilePoint) -> float:
    batch, new, context = point.batch, point.new_tokens, point.context_tokens
    if point.phase == "decode":
        return float(decode_ms(law, batch, new, context))
    if context == 0:
        return float(prefill_ms(law, batch, new))
    # A chunk costs what the longer prompt does over the shorter, and reads the context as a decode step does.
    added = prefill_ms(law, batch, new + context) - prefill_ms(law, batch, context)
    return float(added + decode_ms(law, batch, 0, context))


def _point(point: ProfilePoint, law: StepSurface) -> PointTrust:
    stats = point.latency_ms
    ends = median_interval(point)
    law_ms = _law_ms(law, point)
    return PointTrust(
        phase=point.phase,
        kind=kind_of(point),
        batch=point.batch,
        new_tokens=point.new_tokens,
        context_tokens=point.context_tokens,
        samples=point.samples,
        p50_ms=stats.p50,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        half_width=None if ends is None else (ends[1] - ends[0]) / (2.0 * stats.p50),
        p95_ms=stats.p95,
        p99_ms=stats.p99,
        energy_j=point.energy_j,
        law_ms=law_ms,
        law_error=law_ms / stats.p50 - 1.0,
    )


def _trust(profile: LatencyProfile, points: Sequence[PointTrust]) -> Trust:
    widths = [point.half_width for point in points if point.half_width is not None]
    sources = {interval_source(point) for point in profile.points}
    counts = [point.samples for point in points]
    contention = (profile.method or {}).get("contention")
    return Trust(
        points=len(points),
        samples=sum(counts),
        fewest_samples=min(counts, default=None),
        most_samples=max(counts, default=None),
        intervals="recorded" if sources == {"recorded"} else "spread" if widths else "none",
        well_known=sum(width <= TRUSTED_HALF_WIDTH for width in widths) if widths else None,
        median_half_width=median(widths) if widths else None,
        widest_half_width=max(widths, default=None),
        drift=recorded_drift(profile),
        contention=str(contention) if contention else None,
        held_out=profile.held_out,
        law_mean_error=profile.fit.mean_error,
        law_max_error=profile.fit.max_error,
        slicing=profile.slicing,
        power_source=profile.power_source,
    )


_ADAPTER = TypeAdapter(ProfileView)
