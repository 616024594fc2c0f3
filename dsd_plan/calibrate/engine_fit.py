"""A step law from a run of a real engine: the law under which a replay of the run takes the times that were measured.

A run under load alone cannot tell what a step costs by itself from what its batch adds, so times on an idle engine are
fitted with it, and the cost of reading the cache is held to what the memory can do. Knots at 1 token, at `bend` and at
the token cap; prompts count among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import StepLaw

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class IdleDecode:
    """A step of one sequence alone: its context and the time per token."""

    context_tokens: int
    step_ms: float


@dataclass(frozen=True, slots=True)
class IdlePrefill:
    """A prompt alone, not longer than the token cap: the time of its step."""

    prompt_tokens: int
    step_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class RequestTimes:
    """Times of a run's requests, in the order in which they came; NaN where there is none."""

    ttft_ms: Reals
    tpot_ms: Reals


Play = Callable[[StepLaw], RequestTimes]
"""The same run replayed under a law."""

REST_MS = 50.0
"""Added to times to first token before they are compared as ratios: no request counts for a few milliseconds."""
KV_SPAN = 1.6
"""Reading the cache takes 1 to this many times what the memory's bandwidth alone allows. Science §9."""
MIXED_SPAN = 2.8
"""Most that it costs more, in units of itself, where a prefill shares the step."""
IDLE_WEIGHT = 0.5
"""Of an idle point, against all the run's requests together, which weigh 1."""
STEP = 0.03
"""Relative step of differences: a replay answers in jumps, for requests change places."""


def fit_step_law(
    play: Play,
    measured: RequestTimes,
    idle: Sequence[IdleDecode | IdlePrefill],
    *,
    token_cap: int,
    kv_read_us: float,
    bend: int = 128,
) -> StepLaw:
    """Fit a law to the requests of a run, in part or whole, and to idle times; a minute or less for 300 requests.

    `measured` holds the requests to fit to; `play` may give more, the first of which are compared. `kv_read_us`: bytes
    of KV a token over the memory's bandwidth, in µs: the floor of `per_kv_token_us`. Raises ValueError without an idle
    decode and two idle prefills of different length.
    """
    from scipy.optimize import least_squares

    decodes = [point for point in idle if isinstance(point, IdleDecode)]
    prefills = sorted((p for p in idle if isinstance(p, IdlePrefill)), key=lambda p: p.prompt_tokens)
    if not decodes or len({p.prompt_tokens for p in prefills}) < 2:
        raise ValueError("a run alone does not tell the law: give one idle decode and two idle prefills at least")
    count = measured.ttft_ms.size

    def residuals(x: Reals) -> Reals:
        law = _law(x, token_cap, bend, kv_read_us)
        played = play(law)
        ttft = np.log((played.ttft_ms[:count] + REST_MS) / (measured.ttft_ms + REST_MS))
        tpot = np.log(played.tpot_ms[:count] / measured.tpot_ms)
        run = np.concatenate([ttft, tpot[np.isfinite(tpot)]]) / np.sqrt(count)
        alone = [IDLE_WEIGHT * log(_idle_ms(law, point) / point.step_ms) for point in idle]
        return np.concatenate([run, alone])

    first, last = prefills[0], prefills[-1]
    slope = max((last.step_ms - first.step_ms) / (last.prompt_tokens - first.prompt_tokens), 1e-6)
    base = min(d.step_ms - kv_read_us / 1000.0 * d.context_tokens for d in decodes)
    start = np.array([log(base), log(0.05), log(slope * 0.85), 0.5, 0.3, log(0.15e3 * slope / token_cap)])
    low = np.array([start[0] - 1.0, -12.0, start[2] - 1.5, 0.0, 0.0, start[5] - 2.0])
    high = np.array([start[0] + 1.0, 1.0, start[2] + 1.5, 1.0, 1.0, start[5] + 1.5])
    found = least_squares(
        residuals, start, bounds=(low, high), diff_step=STEP, loss="soft_l1", f_scale=0.02, max_nfev=40
    )
    return _law(found.x, token_cap, bend, kv_read_us)


def _law(x: Reals, token_cap: int, bend: int, kv_read_us: float) -> StepLaw:
    """x: log base; of the bend over it; of ms a token beyond; kv, mixed in 0 … 1; log of µs a square."""
    base = float(np.exp(x[0]))
    at_bend = base * (1.0 + float(np.exp(x[1])))
    at_cap = at_bend + float(np.exp(x[2])) * (token_cap - bend)
    kv_us = kv_read_us * (1.0 + (KV_SPAN - 1.0) * float(x[3]))
    return StepLaw(
        step_ms=base,
        knots=((1.0, base), (float(bend), at_bend), (float(token_cap), at_cap)),
        per_kv_token_us=kv_us,
        mixed_kv_token_us=kv_us * MIXED_SPAN * float(x[4]),
        per_prompt_token_sq_us=float(np.exp(x[5])),
    )


def _idle_ms(law: StepLaw, point: IdleDecode | IdlePrefill) -> float:
    from dsd_plan.domain.step_time import coefficients, law_decode_ms, law_prefill_ms

    made = coefficients(law)
    if isinstance(point, IdleDecode):
        return law_decode_ms(made, 1.0, 1.0, float(point.context_tokens))
    return law_prefill_ms(made, 1.0, float(point.prompt_tokens))
