"""From measured points to the affine step law, with its error on points that it was not fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import LawFit, ProfilePoint, StepLaw
from dsd_plan.errors import MeasurementError

Array = NDArray[np.float64]

FOLDS = 5


def fit_step_law(points: Sequence[ProfilePoint], *, folds: int = FOLDS, seed: int = 0) -> LawFit:
    """Least squares of the relative error of the medians, all coefficients non-negative.

    A decode step of b sequences, q new tokens each over c of context, takes
    ``step_ms + per_token_ms·b·q + per_kv_token_us·b·c/1000``; a prefill step of b prompts of q tokens,
    ``step_ms + per_prompt_token_ms·b·q``. The error is cross-validated: points are dealt at random to
    ``folds`` parts, and each part is predicted by the law fitted to the others. Raises ``MeasurementError``
    for fewer than eight points.
    """
    if len(points) < 8:
        raise MeasurementError(f"{len(points)} measured points are too few to fit and check a step law; measure 8")
    rows = np.array([_row(point) for point in points])
    measured = np.array([point.latency_ms.p50 for point in points])
    dealt = np.random.default_rng(seed).permutation(len(points)) % folds
    errors = np.empty(len(points))
    for fold in range(folds):
        left_out = dealt == fold
        coefficients = _solve(rows[~left_out], measured[~left_out])
        errors[left_out] = np.abs(rows[left_out] @ coefficients / measured[left_out] - 1.0)
    step_ms, per_token_ms, per_prompt_token_ms, per_kv_token_us = _solve(rows, measured).tolist()
    law = StepLaw(
        step_ms=step_ms,
        per_token_ms=per_token_ms,
        per_prompt_token_ms=per_prompt_token_ms,
        per_kv_token_us=per_kv_token_us,
    )
    return LawFit(law=law, mean_error=float(errors.mean()), max_error=float(errors.max()), folds=folds)


def _row(point: ProfilePoint) -> tuple[float, float, float, float]:
    tokens = float(point.batch * point.new_tokens)
    if point.phase == "prefill":
        return 1.0, 0.0, tokens, 0.0
    return 1.0, tokens, 0.0, point.batch * point.context_tokens / 1000.0


def _solve(rows: Array, measured: Array) -> Array:
    from scipy.optimize import nnls

    coefficients: Array = nnls(rows / measured[:, None], np.ones(len(measured)))[0]
    return coefficients
