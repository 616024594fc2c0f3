"""Where a load curve ends: at the knee, or before it, where another limit than steps is reached."""

from __future__ import annotations

from dsd_plan.domain.study import LoadCurve, LoadPoint
from dsd_plan.report.steady_end import end_of


def curve(*points: tuple[float, float, float | None]) -> LoadCurve:
    """A curve of (load, saturation, TPOT)."""
    return LoadCurve(
        workload="chat",
        mode="fused",
        window=4,
        points=tuple(
            LoadPoint(load=load, saturation=full, ttft_p95_ms=tpot, tpot_mean_ms=tpot, tpot_p95_ms=tpot)
            for load, full, tpot in points
        ),
    )


def test_the_end_is_the_knee_where_steps_run_out() -> None:
    end = end_of(curve((1.0, 0.5, 30.0), (1.9, 0.95, 60.0), (2.1, 1.05, None)))
    assert end is not None
    assert end.is_knee
    assert end.words == "knee 2×"
    assert "without bound at 2 ×" in end.sentence


def test_the_end_is_no_knee_where_steps_are_left() -> None:
    # In proportion, saturation would be 0.60 at 1.2 times today's load.
    end = end_of(curve((1.0, 0.5, 30.0), (1.2, 1.3, None)))
    assert end is not None
    assert not end.is_knee
    assert end.load == 1.2
    assert end.words == "unsettled from 1.2×"
    assert "not for want of steps" in end.sentence


def test_a_curve_that_always_settles_has_no_end() -> None:
    assert end_of(curve((1.0, 0.5, 30.0), (1.5, 0.75, 40.0))) is None
