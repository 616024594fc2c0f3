"""Fits of laws that are known."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.profile import ProfilePoint, StepLaw
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.fit import fit_step_law
from dsd_plan.measure.grid import QUICK_GRID, GridPoint
from dsd_plan.measure.sampling import latency_stats
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
