"""Laws of a workload beside it: a trace made by a law lies among its streams, one that is not does not."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.calibrate.synthesis import Gaps, LogNormal, Modulated, synthesize
from dsd_plan.calibrate.workload_fit_view import workload_fit_view
from dsd_plan.domain.workload import RequestTrace

LENGTHS = {"prompts": LogNormal(300.0, 0.8), "outputs": LogNormal(120.0, 0.5), "correlation": 0.4}
BURSTS = Modulated(low=0.4, high=2.8, low_s=60.0, high_s=20.0)


def test_a_poisson_stream_lies_among_its_laws_own() -> None:
    fit, view = workload_fit_view(synthesize(2.0, 1500.0, arrivals=Gaps(1.0), seed=5, **LENGTHS))  # type: ignore[arg-type]
    assert (view.law, view.streams) == ("poisson", 40)
    assert fit.prompts.mean == pytest.approx(300.0, rel=0.05)
    assert sum(row.inside for row in view.rows) >= len(view.rows) - 2
    assert all(row.low <= row.recorded <= row.high for row in view.dispersion)
    for law in (view.prompts, view.outputs):
        assert law.farthest < law.recorded.half_width


def test_bursts_are_made_again() -> None:
    _, view = workload_fit_view(synthesize(3.0, 3000.0, arrivals=BURSTS, seed=7, **LENGTHS))  # type: ignore[arg-type]
    assert view.law == "modulated"
    assert {name for name, _ in view.parameters} == {"low", "high", "low_s", "high_s"}
    # Counts over a minute vary far more than chance, in the recording as in what the law makes.
    last = view.dispersion[-1]
    assert last.recorded > 10.0
    assert last.low < last.recorded < last.high


def test_lengths_of_two_kinds_are_not_log_normal() -> None:
    at_s = np.cumsum(np.random.default_rng(1).exponential(1.0, 400))
    halves = np.where(np.arange(400) % 2, 10, 2000)
    _, view = workload_fit_view(RequestTrace(at_s, halves, np.full(400, 50)))
    # The law passes between: it has no mass like the half at 10 tokens.
    assert view.prompts.farthest > 0.2
    # All alike: the law of no spread is exactly they.
    assert view.outputs.farthest == 0.0
    assert view.outputs.law == (1.0,)


def test_what_is_too_short_is_refused() -> None:
    at_s = np.arange(20.0)
    with pytest.raises(ValueError, match="20 requests are too few"):
        workload_fit_view(RequestTrace(at_s, np.full(20, 5), np.full(20, 5)))
