"""Fits of laws that are known."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.profile import ProfilePoint, StepLaw
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.fit import fit_step_law
from dsd_plan.measure.steps.grid import QUICK_GRID, GridPoint
from dsd_plan.measure.steps.sampling import latency_stats
from tests.measure.fake_device import LAW, law_ms


def measured(point: GridPoint, ms: float) -> ProfilePoint:
    return ProfilePoint(
        phase=point.phase,
        batch=point.batch,
        new_tokens=point.new_tokens,
        context_tokens=point.context_tokens,
        samples=1,
        latency_ms=latency_stats([ms]),
    )


def test_an_affine_device_is_fitted_exactly() -> None:
    fit = fit_step_law([measured(point, law_ms(point)) for point in QUICK_GRID.points(512)])
    for name in ("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us"):
        assert getattr(fit.law, name) == pytest.approx(getattr(LAW, name), rel=1e-9)
    assert fit.folds == 5
    assert fit.max_error == pytest.approx(0.0, abs=1e-9)


def test_the_error_is_that_of_points_left_out() -> None:
    """One point off by half is invisible to no fold but its own, which misses it by a third."""
    points = QUICK_GRID.points(512)
    factors = np.ones(len(points))
    factors[7] = 1.5
    fit = fit_step_law([measured(p, law_ms(p) * f) for p, f in zip(points, factors, strict=True)])
    assert fit.max_error == pytest.approx(1.0 / 3.0, abs=0.02)
    assert fit.mean_error is not None
    assert 0.0 < fit.mean_error < 0.02


def test_coefficients_are_never_negative() -> None:
    """Steps that get cheaper with context: the coefficient stops at 0."""
    points = QUICK_GRID.points(512)
    law = StepLaw(step_ms=2.0, per_token_ms=0.05, per_prompt_token_ms=0.03)
    fit = fit_step_law([measured(p, law_ms(p, law) - p.context_tokens / 1000) for p in points])
    assert fit.law.per_kv_token_us == 0.0
    assert fit.law.step_ms > 0.0


def test_too_few_points_are_refused() -> None:
    with pytest.raises(MeasurementError, match="7 measured points are too few"):
        fit_step_law([measured(p, law_ms(p)) for p in QUICK_GRID.points(512)[:7]])


def prefills(square_us: float, contexts: tuple[int, ...] = (0,)) -> list[ProfilePoint]:
    """Decodes of the known law, and prefills that cost so much more for each pair of tokens."""
    points = [point for point in QUICK_GRID.points(512) if point.phase == "decode"]
    found = [measured(point, law_ms(point)) for point in points]
    for context in contexts:
        for batch in (1, 4):
            for tokens in (16, 64, 128, 256, 448):
                point = GridPoint("prefill", batch, tokens, context)
                pairs = batch * ((tokens + context) ** 2 - context**2)
                found.append(measured(point, law_ms(point) + square_us * pairs / 1000.0))
    return found


@pytest.mark.parametrize("contexts", [(0,), (0, 128, 256)])
def test_a_quadratic_prefill_is_found(contexts: tuple[int, ...]) -> None:
    fit = fit_step_law(prefills(0.05, contexts))
    assert fit.law.per_prompt_token_sq_us == pytest.approx(0.05, rel=1e-6)
    for name in ("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us"):
        assert getattr(fit.law, name) == pytest.approx(getattr(LAW, name), rel=1e-6)
    assert fit.max_error == pytest.approx(0.0, abs=1e-6)


def test_a_linear_prefill_keeps_a_linear_law() -> None:
    assert fit_step_law(prefills(0.0)).law.per_prompt_token_sq_us is None
    rng = np.random.default_rng(2)
    noisy = [measured_again(point, float(rng.normal(1.0, 0.03))) for point in prefills(0.0)]
    square_us = fit_step_law(noisy).law.per_prompt_token_sq_us or 0.0
    # At most what noise of 3 % can hide: 3 % of the longest prefill, over its pairs.
    assert square_us <= 0.03 * 0.03 * 448 * 1000.0 / 448**2


def measured_again(point: ProfilePoint, factor: float) -> ProfilePoint:
    at = GridPoint(point.phase, point.batch, point.new_tokens, point.context_tokens)
    return measured(at, point.latency_ms.p50 * factor)
