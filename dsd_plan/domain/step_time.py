"""Step time of a batch: one definition, used by the model and compiled into the replay kernel.

A surface is plain arrays, and the functions are plain loops over scalars, so that numba can compile them as
they stand. Inside the measured grid the surface is interpolated multilinearly; outside, the value at the
nearest edge is scaled by the fitted law, so that the surface is continuous and the law only carries the shape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import LatencyProfile, Origin, StepLaw

Array = NDArray[np.float64]
Points = dict[tuple[float, ...], float]


class StepSurface(NamedTuple):
    """Step times in ms as arrays. Empty axes mean: nothing measured, the law alone answers."""

    decode_batch: Array
    decode_new: Array
    decode_context: Array
    decode_ms: Array
    """Shape (batch, new tokens per sequence, context)."""
    prefill_batch: Array
    prefill_prompt: Array
    prefill_ms: Array
    """Shape (batch, prompt tokens)."""
    law: Array
    """As `coefficients` has it: `law[0]` is the time of a step with nothing in it."""


AFFINE = 6
"""Size of a law without knots."""


def coefficients(law: StepLaw) -> Array:
    """step_ms, per_token_ms, per_prompt_token_ms, per_kv_token_ms, per_prompt_token_sq_ms, mixed_kv_token_ms; then any
    knots.

    `load_scale` is in all of them. With knots, step_ms is the first knot's time and per_token_ms the mean slope from
    the first knot to the last: what a token adds, where work is shared out among its owners.
    """
    step_ms, per_token_ms = law.step_ms, law.per_token_ms
    knots = law.knots or ()
    if knots:
        step_ms = knots[0][1]
        tokens = knots[-1][0] - knots[0][0]
        per_token_ms = (knots[-1][1] - knots[0][1]) / tokens if tokens > 0.0 else 0.0
    found = [
        step_ms,
        per_token_ms,
        law.per_prompt_token_ms,
        law.per_kv_token_us / 1000.0,
        (law.per_prompt_token_sq_us or 0.0) / 1000.0,
        (law.mixed_kv_token_us or 0.0) / 1000.0,
    ]
    scale = 1.0 if law.load_scale is None else law.load_scale
    scaled = [value * scale for value in found]
    for new_tokens, ms in knots:
        scaled += [new_tokens, ms * scale]
    return np.array(scaled, dtype=np.float64)


def law_step_ms(law: Array, new_tokens: float) -> float:
    """Time of a step of so many new tokens in all, before what their context adds: affine, or between knots.

    Below the first knot its time; beyond the last the slope of the last piece.
    """
    if law.size == AFFINE:
        return law[0] + law[1] * new_tokens  # type: ignore[no-any-return]
    i = AFFINE
    last = law.size - 2
    if i == last or new_tokens <= law[i]:
        return law[i + 1]  # type: ignore[no-any-return]
    while i < last - 2 and new_tokens > law[i + 2]:
        i += 2
    width = law[i + 2] - law[i]
    if width <= 0.0:
        return law[i + 3]  # type: ignore[no-any-return]
    return law[i + 1] + (law[i + 3] - law[i + 1]) * (new_tokens - law[i]) / width  # type: ignore[no-any-return]


def affine_decode_ms(
    step_ms: float, token_ms: float, kv_token_ms: float, batch: float, new_tokens: float, context_tokens: float
) -> float:
    """A law without knots for `batch` sequences of `new_tokens` each over `context_tokens` of KV each."""
    return step_ms + batch * (token_ms * new_tokens + kv_token_ms * context_tokens)


def law_decode_ms(law: Array, batch: float, new_tokens: float, context_tokens: float) -> float:
    """The law for `batch` sequences of `new_tokens` each over `context_tokens` of KV each."""
    if law.size == AFFINE:
        return affine_decode_ms(law[0], law[1], law[3], batch, new_tokens, context_tokens)
    return law_step_ms(law, batch * new_tokens) + batch * law[3] * context_tokens  # type: ignore[no-any-return]


def prompts_in_knots(law: Array) -> bool:
    """Whether prompt tokens count among the new tokens of the knots: where a law has knots and no slope of prompts."""
    return law.size > AFFINE and law[2] == 0.0


def law_prefill_ms(law: Array, batch: float, prompt_tokens: float) -> float:
    """The law for `batch` prompts of `prompt_tokens` each: linear and quadratic in each prompt."""
    each = batch * law[4] * prompt_tokens * prompt_tokens
    if prompts_in_knots(law):
        return law_step_ms(law, batch * prompt_tokens) + each  # type: ignore[no-any-return]
    return law[0] + batch * law[2] * prompt_tokens + each  # type: ignore[no-any-return]


def clamp(value: float, axis: Array) -> float:
    """`value` moved into the measured range of `axis`."""
    if value < axis[0]:
        return axis[0]  # type: ignore[no-any-return]
    if value > axis[axis.size - 1]:
        return axis[axis.size - 1]  # type: ignore[no-any-return]
    return value


def cell(value: float, axis: Array) -> tuple[int, float]:
    """Index of the grid interval that holds a clamped `value`, and its position in it, 0 … 1."""
    if axis.size == 1:
        return 0, 0.0
    i = 0
    while i < axis.size - 2 and value > axis[i + 1]:
        i += 1
    return i, (value - axis[i]) / (axis[i + 1] - axis[i])


def decode_ms(surface: StepSurface, batch: float, new_tokens: float, context_tokens: float) -> float:
    """Time in ms of one decode or verify step; trilinear inside the grid, law-scaled outside."""
    law = surface.law
    if surface.decode_batch.size == 0:
        return law_decode_ms(law, batch, new_tokens, context_tokens)
    b = clamp(batch, surface.decode_batch)
    q = clamp(new_tokens, surface.decode_new)
    c = clamp(context_tokens, surface.decode_context)
    i, x = cell(b, surface.decode_batch)
    j, y = cell(q, surface.decode_new)
    k, z = cell(c, surface.decode_context)
    table = surface.decode_ms
    total: float = 0.0
    for di in range(2):
        wx = x if di == 1 else 1.0 - x
        for dj in range(2):
            wy = y if dj == 1 else 1.0 - y
            for dk in range(2):
                weight = wx * wy * (z if dk == 1 else 1.0 - z)
                if weight > 0.0:
                    total += weight * table[i + di, j + dj, k + dk]
    if b == batch and q == new_tokens and c == context_tokens:
        return total
    scale: float = law_decode_ms(law, batch, new_tokens, context_tokens) / law_decode_ms(law, b, q, c)
    return total * scale


def prefill_ms(surface: StepSurface, batch: float, prompt_tokens: float) -> float:
    """Time in ms of one step that prefills `batch` prompts; bilinear inside the grid, law-scaled outside."""
    law = surface.law
    if surface.prefill_batch.size == 0:
        return law_prefill_ms(law, batch, prompt_tokens)
    b = clamp(batch, surface.prefill_batch)
    p = clamp(prompt_tokens, surface.prefill_prompt)
    i, x = cell(b, surface.prefill_batch)
    j, y = cell(p, surface.prefill_prompt)
    table = surface.prefill_ms
    total = 0.0
    for di in range(2):
        wx = x if di == 1 else 1.0 - x
        for dj in range(2):
            weight = wx * (y if dj == 1 else 1.0 - y)
            if weight > 0.0:
                total += weight * table[i + di, j + dj]
    if b == batch and p == prompt_tokens:
        return total
    scale: float = law_prefill_ms(law, batch, prompt_tokens) / law_prefill_ms(law, b, p)
    return total * scale


def mixed_kv_ms(surface: StepSurface, decode_jobs: float, mean_context_tokens: float) -> float:
    """What decodes and verifies take longer to read their KV where a prefill shares the step (mixed_kv_token_us)."""
    return surface.law[5] * decode_jobs * mean_context_tokens  # type: ignore[no-any-return]


def chunks_over_context_ms(surface: StepSurface, over_context: float) -> float:
    """What chunks of prompts add for lying on what was computed before: Σ 2·k·c over chunks of c tokens on k.

    With it the chunks of a prompt add in all what the prompt would, by a quadratic law; 0 of prompts in one piece.
    """
    return surface.law[4] * over_context  # type: ignore[no-any-return]


def iteration_ms(
    surface: StepSurface,
    decode_jobs: float,
    mean_new_tokens: float,
    mean_context_tokens: float,
    prefill_jobs: float,
    mean_prompt_tokens: float,
) -> float:
    """Time in ms of a mixed iteration: the decode step, plus what the prefills add over the step's intercept, plus
    what reading KV takes longer in a mixed step.

    A homogeneous iteration reproduces its table; a law reproduces its sums exactly, for prompts of one length.
    """
    if prefill_jobs <= 0.0:
        return decode_ms(surface, decode_jobs, mean_new_tokens, mean_context_tokens)
    prefill = prefill_ms(surface, prefill_jobs, mean_prompt_tokens)
    if decode_jobs <= 0.0:
        return prefill
    added: float = prefill - surface.law[0]
    if added < 0.0:
        added = 0.0
    mixed = mixed_kv_ms(surface, decode_jobs, mean_context_tokens)
    return decode_ms(surface, decode_jobs, mean_new_tokens, mean_context_tokens) + mixed + added


def engine_step_ms(
    surface: StepSurface,
    decode_jobs: float,
    mean_new_tokens: float,
    mean_context_tokens: float,
    chunks: float,
    chunk_tokens: float,
    chunk_squares: float,
) -> float:
    """Time in ms of a step of decodes, verifies and prefill chunks: as `iteration_ms`, and what chunks add to it.

    `chunk_squares` is Σ (k + c)² − k² over chunks of c tokens on top of k already there, so that the chunks of a prompt
    add what the prompt would. Where the law's knots hold prompts, the tokens of chunks follow those of decodes along
    them. Decodes read their KV at mixed_kv_token_us more where a chunk shares the step. Science: T, K, Σ c·(k + c/2).
    """
    if chunks <= 0.0:
        return decode_ms(surface, decode_jobs, mean_new_tokens, mean_context_tokens)
    law = surface.law
    mean_chunk = chunk_tokens / chunks
    bent = law[4] * (chunk_squares - chunks * mean_chunk * mean_chunk)
    if decode_jobs <= 0.0:
        return prefill_ms(surface, chunks, mean_chunk) + bent  # type: ignore[no-any-return]
    step = decode_ms(surface, decode_jobs, mean_new_tokens, mean_context_tokens)
    mixed = mixed_kv_ms(surface, decode_jobs, mean_context_tokens)
    if prompts_in_knots(law):
        tokens = decode_jobs * mean_new_tokens
        along = law_step_ms(law, tokens + chunk_tokens) - law_step_ms(law, tokens)
        return step + mixed + along + law[4] * chunk_squares  # type: ignore[no-any-return]
    added = prefill_ms(surface, chunks, mean_chunk) + bent - law[0]
    if added < 0.0:
        added = 0.0
    return step + mixed + added  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def surface_of(profile: LatencyProfile) -> StepSurface:
    """Arrays of a profile. Grid cells that were not measured are filled by the nearest measured one, law-scaled.

    `load_scale` is one factor on measured and on lawful times alike. Prefills on top of a context (chunks, cached
    prefixes) are not prompts from nothing: they inform the law and stay out of the prefill surface.
    """
    law = coefficients(profile.fit.law)
    load = 1.0 if profile.fit.law.load_scale is None else profile.fit.law.load_scale
    decode: Points = {
        (float(p.batch), float(p.new_tokens), float(p.context_tokens)): load * p.latency_ms.p50
        for p in profile.points
        if p.phase == "decode"
    }
    prefill: Points = {
        (float(p.batch), float(p.new_tokens)): load * p.latency_ms.p50
        for p in profile.points
        if p.phase == "prefill" and p.context_tokens == 0
    }
    axes = [_axis(decode, 0), _axis(decode, 1), _axis(decode, 2), _axis(prefill, 0), _axis(prefill, 1)]
    decode_table = np.empty((axes[0].size, axes[1].size, axes[2].size))
    for i, b in enumerate(axes[0]):
        for j, q in enumerate(axes[1]):
            for k, c in enumerate(axes[2]):
                at = _nearest((b, q, c), decode)
                scale = law_decode_ms(law, b, q, c) / law_decode_ms(law, *at)
                decode_table[i, j, k] = decode[at] * scale
    prefill_table = np.empty((axes[3].size, axes[4].size))
    for i, b in enumerate(axes[3]):
        for j, p in enumerate(axes[4]):
            at2 = _nearest((b, p), prefill)
            scale = law_prefill_ms(law, b, p) / law_prefill_ms(law, *at2)
            prefill_table[i, j] = prefill[at2] * scale
    return StepSurface(axes[0], axes[1], axes[2], decode_table, axes[3], axes[4], prefill_table, law)


def decode_origin(profile: LatencyProfile, batch: float, new_tokens: float, context_tokens: float) -> Origin:
    """How a decode or verify time at this point is known."""
    return _origin((batch, new_tokens, context_tokens), *_decode_nodes(profile))


def prefill_origin(profile: LatencyProfile, batch: float, prompt_tokens: float) -> Origin:
    """How a prefill time at this point is known."""
    return _origin((batch, prompt_tokens), *_prefill_nodes(profile))


Nodes = tuple[frozenset[tuple[int, ...]], tuple[tuple[int, ...], ...]]
"""Measured points, and the axes of the grid that holds them."""


@lru_cache(maxsize=4096)
def _decode_nodes(profile: LatencyProfile) -> Nodes:
    return _nodes((p.batch, p.new_tokens, p.context_tokens) for p in profile.points if p.phase == "decode")


@lru_cache(maxsize=4096)
def _prefill_nodes(profile: LatencyProfile) -> Nodes:
    points = (p for p in profile.points if p.phase == "prefill" and p.context_tokens == 0)
    return _nodes((p.batch, p.new_tokens) for p in points)


def _nodes(points: Iterable[tuple[int, ...]]) -> Nodes:
    measured = frozenset(points)
    return measured, tuple(tuple(sorted(set(axis))) for axis in zip(*measured, strict=True))


def _origin(at: tuple[float, ...], measured: frozenset[tuple[int, ...]], axes: tuple[tuple[int, ...], ...]) -> Origin:
    """Interpolated only where all corners of the cell were measured: the law fills those that were not."""
    if not measured:
        return "declared"
    sides = [_around(value, axis) for value, axis in zip(at, axes, strict=True)]
    if at in measured:
        return "measured"
    return "interpolated" if all(sides) and measured.issuperset(product(*sides)) else "extrapolated"


def _around(value: float, axis: tuple[int, ...]) -> tuple[int, ...]:
    """The nodes of an axis on both sides of a value, or the one that it is; none outside."""
    if not axis[0] <= value <= axis[-1]:
        return ()
    after = bisect_left(axis, value)
    return (axis[after],) if axis[after] == value else axis[after - 1 : after + 1]


def _axis(points: Points, position: int) -> Array:
    return np.array(sorted({key[position] for key in points}), dtype=np.float64)


def _nearest(at: tuple[float, ...], points: Points) -> tuple[float, ...]:
    if at in points:
        return at
    return min(points, key=lambda key: sum(abs(log((x + 1) / (y + 1))) for x, y in zip(at, key, strict=True)))
