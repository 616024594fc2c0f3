"""From steps seen from outside to the step law, with its error on levels that it was not fitted to.

Rows, one a level: a decode step of b streams over c tokens each takes ``step + per_token·b + per_kv·b·c/1000``;
an idle TTFT of a prompt of P tokens, less the round trip, ``step + per_prompt·P + per_prompt_sq·P²/1000 + request``,
where the last is what a request costs before its first step (parsing, tokenising, scheduling) and no step of the law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import LatencyStats, LawFit, StepLaw
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.endpoint.steps import DecodeLevel, half_width, spread

Array = NDArray[np.float64]
Solve = Callable[[Array, Array, Array], Array]
"""Rows, measured times and weights in, coefficients out."""

STEP, TOKEN, KV, PROMPT, REQUEST, SQUARE = range(6)
LEAST_GAIN = 0.8
"""A quadratic term is kept when it brings the prefill rows' left-out error below this share."""
SURE = 0.02
"""Half-width of a median's interval, as a share, down to which a row weighs more; sharper ones weigh the same."""


@dataclass(frozen=True, slots=True)
class PrefillLevel:
    """Idle TTFT of one prompt length, less the round trip of an empty request."""

    nominal_prompt: int
    prompt_tokens: float
    latency_ms: LatencyStats
    samples: int


@dataclass(frozen=True, slots=True)
class EndpointFit:
    """The law, what a request costs beside it, and what the levels could not tell apart."""

    fit: LawFit
    request_ms: float
    notes: tuple[str, ...]


def prefill_levels(
    idle: Sequence[tuple[int, float]], nominal: Sequence[int], floor_ms: float
) -> tuple[PrefillLevel, ...]:
    """Idle TTFTs gathered at the nearest asked length, each less the floor."""
    lengths = np.array([prompt for prompt, _ in idle], dtype=np.float64)
    ttft_ms = np.array([ms for _, ms in idle])
    wanted = np.array(sorted(set(nominal)), dtype=np.float64)
    if not idle:
        return ()
    nearest = np.abs(np.log(lengths[:, None] / wanted[None, :])).argmin(axis=1)
    made = []
    for index in np.unique(nearest):
        chosen = nearest == index
        samples_ms = np.maximum(ttft_ms[chosen] - floor_ms, 1e-3)
        made.append(
            PrefillLevel(
                nominal_prompt=int(wanted[index]),
                prompt_tokens=float(lengths[chosen].mean()),
                latency_ms=spread(samples_ms, len(samples_ms)),
                samples=len(samples_ms),
            )
        )
    return tuple(made)


def fit_endpoint(decode: Sequence[DecodeLevel], prefill: Sequence[PrefillLevel]) -> EndpointFit:
    """Non-negative least squares of relative errors of the medians; each row left out once for its error.

    Columns that the levels do not vary are left out, with a note; prefill has a squared term where that lowers the
    error of prompts left out. Raises MeasurementError for fewer than two decode or two prefill levels.
    """
    if len(decode) < 2 or len(prefill) < 2:
        raise MeasurementError(
            f"{len(decode)} levels of decode and {len(prefill)} prompt lengths were measured, expected two of each at "
            "least; raise --budget-s, or ask for shorter lengths with --contexts and --prompts"
        )
    rows = np.array([_decode_row(level) for level in decode] + [_prefill_row(level) for level in prefill])
    stats = [level.latency_ms for level in decode] + [level.latency_ms for level in prefill]
    measured = np.array([each.p50 for each in stats])
    weight = np.array([_weight(each) for each in stats])
    columns, notes = _separable(decode, prefill)
    errors, coefficients = _left_out(rows, measured, weight, partial(_solve, columns=columns))
    if len(prefill) >= 4:
        curved = partial(_solve, columns=[*columns, SQUARE])
        curved_errors, curved_coefficients = _left_out(rows, measured, weight, curved)
        of_prefill = np.arange(len(rows)) >= len(decode)
        gained = curved_errors[of_prefill].mean() < LEAST_GAIN * errors[of_prefill].mean()
        if curved_coefficients[SQUARE] > 0 and gained:
            errors, coefficients = curved_errors, curved_coefficients
    square_us = float(coefficients[SQUARE])
    law = StepLaw(
        step_ms=float(coefficients[STEP]),
        per_token_ms=float(coefficients[TOKEN]),
        per_prompt_token_ms=float(coefficients[PROMPT]),
        per_kv_token_us=float(coefficients[KV]),
        per_prompt_token_sq_us=square_us if square_us > 0 else None,
    )
    fit = LawFit(law=law, mean_error=float(errors.mean()), max_error=float(errors.max()), folds=len(rows))
    return EndpointFit(fit=fit, request_ms=float(coefficients[REQUEST]), notes=tuple(notes))


def _separable(decode: Sequence[DecodeLevel], prefill: Sequence[PrefillLevel]) -> tuple[list[int], list[str]]:
    columns, notes = [STEP, TOKEN, KV, PROMPT, REQUEST], []
    if len({level.batch for level in decode}) < 2:
        columns.remove(TOKEN)
        notes.append(
            f"every decode step served {decode[0].batch} at a time: what a stream adds cannot be told from the step; "
            f"set batch_cap = {decode[0].batch} for this device"
        )
    contexts = [level.context_tokens for level in decode]
    if max(contexts) < 1.5 * min(contexts):
        columns.remove(KV)
        notes.append("all decode steps had about the same context: what a KV token adds is not known, and taken as 0")
    prompts = [level.prompt_tokens for level in prefill]
    if max(prompts) < 1.5 * min(prompts):
        columns.remove(REQUEST)
        notes.append("all prompts had about the same length: the cost of a request is within that of its tokens")
    return columns, notes


def _left_out(rows: Array, measured: Array, weight: Array, solve: Solve) -> tuple[Array, Array]:
    """|predicted/measured − 1| of every row by the law fitted to the others, and the law fitted to all."""
    errors = np.empty(len(rows))
    for index in range(len(rows)):
        others = np.arange(len(rows)) != index
        law = solve(rows[others], measured[others], weight[others])
        errors[index] = abs(rows[index] @ law / measured[index] - 1.0)
    return errors, solve(rows, measured, weight)


def _solve(rows: Array, measured: Array, weight: Array, columns: list[int]) -> Array:
    from scipy.optimize import nnls

    scale = weight / measured
    scaled = rows[:, columns] * scale[:, None]
    # Columns of one size: squares of prompts are a million times the intercept.
    sizes = np.linalg.norm(scaled, axis=0)
    coefficients = np.zeros(rows.shape[1])
    coefficients[columns] = nnls(scaled / sizes, measured * scale)[0] / sizes
    return coefficients


def _decode_row(level: DecodeLevel) -> tuple[float, ...]:
    return 1.0, float(level.batch), level.batch * level.context_tokens / 1000.0, 0.0, 0.0, 0.0


def _prefill_row(level: PrefillLevel) -> tuple[float, ...]:
    return 1.0, 0.0, 0.0, level.prompt_tokens, 1.0, level.prompt_tokens**2 / 1000.0


def _weight(stats: LatencyStats) -> float:
    return SURE / max(half_width(stats), SURE)
