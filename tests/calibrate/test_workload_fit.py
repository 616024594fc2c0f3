"""Fits find the law that a stream was made with."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.calibrate.synthesis import Gaps, LogNormal, Modulated, synthesize
from dsd_plan.calibrate.workload_fit import fit_workload, gap_cv_of
from dsd_plan.domain.workload import RequestTrace


def stream(law: Gaps | Modulated, seed: int = 5, rate_per_s: float = 3.0, span_s: float = 6000.0) -> RequestTrace:
    return synthesize(
        rate_per_s, span_s, arrivals=law, prompts=LogNormal(400.0, 1.1), outputs=LogNormal(90.0, 0.6), seed=seed
    )


def test_poisson_is_found_poisson() -> None:
    found = [fit_workload(stream(Gaps(1.0), seed)).arrivals for seed in range(10)]
    assert sum(law == Gaps(1.0) for law in found) >= 8


def test_independent_gaps_are_found() -> None:
    law = fit_workload(stream(Gaps(2.5))).arrivals
    assert isinstance(law, Gaps)
    assert law.cv == pytest.approx(2.5, rel=0.1)


def test_lasting_bursts_are_found() -> None:
    fit = fit_workload(stream(Modulated(low=0.4, high=2.8, low_s=60.0, high_s=20.0), span_s=60_000.0))
    assert isinstance(fit.arrivals, Modulated)
    rows = {row.what: row for row in fit.rows}
    for gaps in (10, 100, 1000):
        error = rows[f"dispersion over {gaps} mean gaps"].error
        assert error is not None
        assert abs(error) < 0.35
    # Only the variance of the rate and its relaxation time can be told from dispersion, not both levels.
    variance = 0.75 * 0.25 * 2.4**2
    law = fit.arrivals
    assert law.high == pytest.approx(2.8, rel=0.25)
    share = law.high_s / (law.high_s + law.low_s)
    assert share * (1 - share) * (law.high - law.low) ** 2 == pytest.approx(variance, rel=0.3)
    assert 1 / (1 / law.high_s + 1 / law.low_s) == pytest.approx(15.0, rel=0.4)


def test_gaps_of_a_modulated_law() -> None:
    law = Modulated(low=0.2, high=2.6, low_s=40.0, high_s=20.0)
    at_s = stream(law, rate_per_s=2.0, span_s=200_000.0).arrival_s
    gaps = np.diff(at_s)
    assert gap_cv_of(law, 2.0) == pytest.approx(gaps.std() / gaps.mean(), rel=0.02)
    assert gap_cv_of(Modulated(1.0, 1.0, 5.0, 5.0), 3.0) == pytest.approx(1.0)


def test_recorded_lengths_are_drawn_and_laws_told() -> None:
    trace = stream(Gaps(1.0))
    fit = fit_workload(trace)
    assert fit.prompts.mean == pytest.approx(trace.prompt_tokens.mean())
    assert fit.prompts.cv == pytest.approx(trace.prompt_tokens.std() / trace.prompt_tokens.mean())
    by_what = {row.what: row for row in fit.rows}
    assert abs(by_what["prompt tokens p95"].error or 0.0) < 0.1


def test_too_few_or_simultaneous_requests_are_refused() -> None:
    few = stream(Gaps(1.0), span_s=8.0)
    with pytest.raises(ValueError, match="too few"):
        fit_workload(few)
    ones = np.ones(60, dtype=np.int64)
    with pytest.raises(ValueError, match="no rate to fit"):
        fit_workload(RequestTrace(np.zeros(60), ones, ones))
