"""Step times: hand-worked numbers inside the grid, the law outside, and mixed iterations."""

from __future__ import annotations

from dataclasses import replace

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


def test_a_cell_with_a_corner_that_the_law_filled_is_not_interpolated() -> None:
    holed = measured(*[p for p in SQUARE.points if not (p.batch == 4 and p.new_tokens == 5)])
    assert decode_origin(holed, 2, 2, 100) == "extrapolated"
    # On the sides whose ends were measured nothing of the hole is used.
    assert decode_origin(holed, 2, 1, 100) == "interpolated"
    assert decode_origin(holed, 1, 2, 100) == "interpolated"
    assert decode_origin(holed, 4, 5, 100) == "extrapolated"


@given(batch=st.floats(1, 64), new=st.floats(1, 20), context=st.floats(0, 4000), more=st.floats(0, 10))
def test_a_law_never_gets_faster_with_more_work(batch: float, new: float, context: float, more: float) -> None:
    base = decode_ms(LAW_ONLY, batch, new, context)
    assert decode_ms(LAW_ONLY, batch + more, new, context) >= base
    assert decode_ms(LAW_ONLY, batch, new + more, context) >= base
    assert decode_ms(LAW_ONLY, batch, new, context + more) >= base


def test_a_prompt_adds_its_square() -> None:
    # 10 + 2·(0.1·50 + 0.004·50²) = 40; the decode law is as it was
    bent = surface_of(declared_profile("gpu", "m", replace(LAW, per_prompt_token_sq_us=4.0)))
    assert prefill_ms(bent, 2, 50) == pytest.approx(40.0)
    assert decode_ms(bent, 3, 5, 200) == decode_ms(LAW_ONLY, 3, 5, 200)
    # over the intercept a mixed step pays 30 for these prompts, 16.2 for these decodes
    assert iteration_ms(bent, 3, 5, 200, 2, 50) == pytest.approx(56.2)


def test_beyond_the_measured_prompts_the_square_carries_the_shape() -> None:
    bent = surface_of(replace(SQUARE, fit=LawFit(law=replace(LAW, per_prompt_token_sq_us=1.0))))
    # edge 45 at 300: law 10 + 30 + 90 = 130; at 500: 10 + 50 + 250 = 310
    assert prefill_ms(bent, 1, 500) == pytest.approx(45.0 * 310.0 / 130.0)


def test_load_scales_laws_and_tables_alike() -> None:
    scaled = surface_of(declared_profile("gpu", "m", replace(LAW, load_scale=1.5, per_prompt_token_sq_us=4.0)))
    assert decode_ms(scaled, 3, 5, 200) == pytest.approx(1.5 * 26.2)
    assert prefill_ms(scaled, 2, 50) == pytest.approx(1.5 * 40.0)
    assert iteration_ms(scaled, 3, 5, 200, 2, 50) == pytest.approx(1.5 * 56.2)
    table = surface_of(replace(SQUARE, fit=LawFit(law=replace(LAW, load_scale=1.5))))
    for batch, new, context in ((1, 1, 100), (2.5, 3, 100), (8, 5, 100)):
        assert decode_ms(table, batch, new, context) == pytest.approx(
            1.5 * decode_ms(surface_of(SQUARE), batch, new, context)
        )
    assert iteration_ms(table, 4, 5, 100, 1, 300) == pytest.approx(1.5 * (30.0 + 45.0 - 10.0))


KNOTS = replace(LAW, step_ms=99.0, per_token_ms=99.0, knots=((2.0, 12.0), (4.0, 16.0), (12.0, 20.0)))


@pytest.mark.parametrize(
    ("tokens", "ms"), [(1, 12.0), (2, 12.0), (3, 14.0), (4, 16.0), (8, 18.0), (12, 20.0), (20, 24.0)]
)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_between_knots_a_step_is_straight(tokens: float, ms: float, scale: float) -> None:
    surface = surface_of(declared_profile("gpu", "m", replace(KNOTS, load_scale=scale)))
    assert decode_ms(surface, 1, tokens, 0) == pytest.approx(scale * ms)
    assert decode_ms(surface, 2, tokens / 2, 100) == pytest.approx(scale * (ms + 0.4))


def test_with_knots_the_first_is_the_step_with_nothing_in_it() -> None:
    surface = surface_of(declared_profile("gpu", "m", KNOTS))
    assert prefill_ms(surface, 2, 50) == pytest.approx(12.0 + 10.0)
    assert iteration_ms(surface, 2, 2, 0, 2, 50) == pytest.approx(16.0 + 10.0)


def test_odd_knots_are_read_as_they_stand() -> None:
    lone = surface_of(declared_profile("gpu", "m", replace(LAW, knots=((4.0, 15.0),))))
    assert {float(decode_ms(lone, 1, tokens, 0)) for tokens in (1, 4, 9)} == {15.0}
    cliff = surface_of(declared_profile("gpu", "m", replace(LAW, knots=((1.0, 10.0), (8.0, 10.0), (8.0, 15.0)))))
    assert [float(decode_ms(cliff, 1, tokens, 0)) for tokens in (7, 8, 9)] == [10.0, 10.0, 15.0]


def test_prefills_on_top_of_a_context_stay_out_of_the_prefill_surface() -> None:
    chunked = replace(SQUARE, points=(*SQUARE.points, point("prefill", 1, 200, 512, 80.0)))
    assert prefill_ms(surface_of(chunked), 1, 200) == pytest.approx(35.0)
    assert prefill_origin(chunked, 1, 200) == "interpolated"
