"""Step times: hand-worked numbers inside the grid, the law outside, and mixed iterations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.profile import LatencyProfile, LatencyStats, LawFit, ProfilePoint, StepLaw, declared_profile
from dsd_plan.domain.step_time import decode_ms, decode_origin, iteration_ms, prefill_ms, prefill_origin, surface_of

LAW = StepLaw(step_ms=10.0, per_token_ms=1.0, per_prompt_token_ms=0.1, per_kv_token_us=2.0)
LAW_ONLY = surface_of(declared_profile("gpu", "m", LAW))


def point(phase: str, batch: int, new: int, context: int, ms: float) -> ProfilePoint:
    stats = LatencyStats(mean=ms, std=0.0, p50=ms, p95=ms, p99=ms)
    return ProfilePoint(
        phase=phase,  # type: ignore[arg-type]
        batch=batch,
        new_tokens=new,
        context_tokens=context,
        samples=5,
        latency_ms=stats,
    )


def measured(*points: ProfilePoint) -> LatencyProfile:
    return LatencyProfile(device="gpu", model="m", origin="measured", fit=LawFit(law=LAW), points=points)


SQUARE = measured(
    point("decode", 1, 1, 100, 12.0),
    point("decode", 1, 5, 100, 20.0),
    point("decode", 4, 1, 100, 18.0),
    point("decode", 4, 5, 100, 30.0),
    point("prefill", 1, 100, 0, 25.0),
    point("prefill", 1, 300, 0, 45.0),
)


def test_an_affine_law_adds_up() -> None:
    # 10 + 3·(1·5 + 0.002·200) = 26.2; prefill 10 + 2·0.1·50 = 20
    assert decode_ms(LAW_ONLY, 3, 5, 200) == pytest.approx(26.2)
    assert prefill_ms(LAW_ONLY, 2, 50) == pytest.approx(20.0)


def test_a_mixed_iteration_of_a_law_pays_the_intercept_once() -> None:
    # 10 + 3·(5 + 0.4) + 2·0.1·50 = 36.2
    assert iteration_ms(LAW_ONLY, 3, 5, 200, 2, 50) == pytest.approx(36.2)
    assert iteration_ms(LAW_ONLY, 0, 0, 0, 2, 50) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("batch", "new", "ms"), [(1, 1, 12.0), (4, 5, 30.0), (2.5, 1, 15.0), (1, 3, 16.0), (2.5, 3, 20.0)]
)
def test_inside_the_grid_it_interpolates(batch: float, new: float, ms: float) -> None:
    assert decode_ms(surface_of(SQUARE), batch, new, 100) == pytest.approx(ms)


def test_outside_the_grid_the_law_carries_the_shape() -> None:
    # edge value 30 at (4, 5, 100), law there 10 + 4·5.2 = 30.8, law at batch 8: 10 + 8·5.2 = 51.6
    assert decode_ms(surface_of(SQUARE), 8, 5, 100) == pytest.approx(30.0 * 51.6 / 30.8)
    # prefill edge 45 at 300 (law 40), law at 500: 60
    assert prefill_ms(surface_of(SQUARE), 1, 500) == pytest.approx(45.0 * 60.0 / 40.0)


def test_a_mixed_iteration_of_a_table_reproduces_both_tables_when_homogeneous() -> None:
    surface = surface_of(SQUARE)
    assert iteration_ms(surface, 4, 5, 100, 0, 0) == pytest.approx(30.0)
    assert iteration_ms(surface, 0, 0, 0, 1, 300) == pytest.approx(45.0)
    assert iteration_ms(surface, 4, 5, 100, 1, 300) == pytest.approx(30.0 + 45.0 - 10.0)


def test_a_cell_that_was_not_measured_is_filled_by_its_nearest_neighbour() -> None:
    holed = measured(*[p for p in SQUARE.points if not (p.batch == 4 and p.new_tokens == 5)])
    # nearest in ratio to (4, 5) is (1, 5): (5/2) against (6/2); law 30.8 / 15.2 of it
    assert decode_ms(surface_of(holed), 4, 5, 100) == pytest.approx(20.0 * 30.8 / 15.2)


def test_origin_tells_measured_interpolated_extrapolated_declared() -> None:
    assert decode_origin(SQUARE, 4, 5, 100) == "measured"
    assert decode_origin(SQUARE, 2, 5, 100) == "interpolated"
    assert decode_origin(SQUARE, 8, 5, 100) == "extrapolated"
    assert prefill_origin(SQUARE, 1, 301) == "extrapolated"
    assert decode_origin(declared_profile("gpu", "m", LAW), 1, 1, 1) == "declared"


@given(batch=st.floats(1, 64), new=st.floats(1, 20), context=st.floats(0, 4000), more=st.floats(0, 10))
def test_a_law_never_gets_faster_with_more_work(batch: float, new: float, context: float, more: float) -> None:
    base = decode_ms(LAW_ONLY, batch, new, context)
    assert decode_ms(LAW_ONLY, batch + more, new, context) >= base
    assert decode_ms(LAW_ONLY, batch, new + more, context) >= base
    assert decode_ms(LAW_ONLY, batch, new, context + more) >= base
