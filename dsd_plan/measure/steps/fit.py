"""From measured points to the step law, with its error on points that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import LawFit, ProfilePoint, StepLaw
from dsd_plan.errors import MeasurementError

Array = NDArray[np.float64]

FOLDS = 5
FEWEST_POINTS = 8
WORTH = 0.98
"""A quadratic term is kept where it lowers the error on prefills left out to this share of the linear law's."""


def fit_step_law(points: Sequence[ProfilePoint], *, folds: int = FOLDS, seed: int = 0) -> LawFit:
    """Least squares of the relative error of the medians, all coefficients non-negative.

    A decode step of b sequences, q new tokens each over c of context, takes
    ``step_ms + per_token_ms·b·q + per_kv_token_us·b·c/1000``; a prefill step of b prompts of q tokens,
    ``step_ms + b·(per_prompt_token_ms·q + per_prompt_token_sq_us·(q² + 2·q·c)/1000)``: what a prompt of c + q
    tokens adds over one of c, where c is 0 but for chunks and cached prefixes. The quadratic term is kept only
    where prefills that were left out are told better with it. The error is cross-validated: points are dealt at
    random to ``folds`` parts, and each part is predicted by the law fitted to the others. Raises
    ``MeasurementError`` for fewer than eight points.
    """
    if len(points) < FEWEST_POINTS:
        raise MeasurementError(
            f"{len(points)} measured points are too few to fit and check a step law; measure {FEWEST_POINTS}"
        )
    measured = np.array([point.latency_ms.p50 for point in points])
    prefill = np.array([point.phase == "prefill" for point in points])
    dealt = np.random.default_rng(seed).permutation(len(points)) % folds
    linear = _cross_validated(np.array([_row(point)[:4] for point in points]), measured, dealt)
    chosen, square_us = linear, 0.0
    if prefill.any():
        bent = _cross_validated(np.array([_row(point) for point in points]), measured, dealt)
        square_us = float(bent.coefficients[4])
        if square_us > 0.0 and bent.errors[prefill].mean() < WORTH * linear.errors[prefill].mean():
            chosen = bent
        else:
            square_us = 0.0
    step_ms, per_token_ms, per_prompt_token_ms, per_kv_token_us = chosen.coefficients[:4].tolist()
    law = StepLaw(
        step_ms=step_ms,
        per_token_ms=per_token_ms,
        per_prompt_token_ms=per_prompt_token_ms,
        per_kv_token_us=per_kv_token_us,
        per_prompt_token_sq_us=square_us if square_us > 0.0 else None,
    )
    errors = chosen.errors
    return LawFit(law=law, mean_error=float(errors.mean()), max_error=float(errors.max()), folds=folds)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    coefficients: Array
    errors: Array
    """|told / measured − 1| of every point, told by the law fitted to the other parts."""


def _cross_validated(rows: Array, measured: Array, dealt: NDArray[np.int64]) -> _Fitted:
    errors = np.empty(len(measured))
    for fold in range(int(dealt.max()) + 1):
        left_out = dealt == fold
        coefficients = _solve(rows[~left_out], measured[~left_out])
        errors[left_out] = np.abs(rows[left_out] @ coefficients / measured[left_out] - 1.0)
    return _Fitted(_solve(rows, measured), errors)


def _row(point: ProfilePoint) -> tuple[float, float, float, float, float]:
    tokens = float(point.batch * point.new_tokens)
    if point.phase == "prefill":
        return 1.0, 0.0, tokens, 0.0, tokens * (point.new_tokens + 2 * point.context_tokens) / 1000.0
    return 1.0, tokens, 0.0, point.batch * point.context_tokens / 1000.0, 0.0


def _solve(rows: Array, measured: Array) -> Array:
    from scipy.optimize import nnls

    # Columns of one size: squares of prompts are a million times the intercept.
    scaled = rows / measured[:, None]
    size = np.linalg.norm(scaled, axis=0)
    size[size == 0.0] = 1.0
    coefficients: Array = nnls(scaled / size, np.ones(len(measured)))[0] / size
    return coefficients
