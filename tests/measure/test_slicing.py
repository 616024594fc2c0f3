"""Slices scaled to a whole: exact where layers cost the same, with the error said where they do not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.profile import HeldOut, LatencyProfile, LatencyStats, LawFit, ProfilePoint, StepLaw
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps import slicing
from dsd_plan.measure.steps.slicing import check_depths, check_slicing, scaled_profile, slicing_errors, with_check

OUTSIDE = StepLaw(step_ms=4.0, per_token_ms=0.5, per_prompt_token_ms=0.1)
"""Embedding and head."""
LAYER = StepLaw(step_ms=1.0, per_token_ms=0.05, per_prompt_token_ms=0.04, per_kv_token_us=0.2)


def step_ms(layers: int, phase: str, batch: int, new: int, context: int) -> float:
    def told(law: StepLaw) -> float:
        if phase == "prefill":
            return law.step_ms + law.per_prompt_token_ms * batch * new
        return law.step_ms + law.per_token_ms * batch * new + law.per_kv_token_us * batch * context / 1000.0

    return told(OUTSIDE) + layers * told(LAYER)


def profile_of(layers: int, *, of: int = 10, model: str = "m", half_ms: float = 0.01) -> LatencyProfile:
    grid = [("decode", b, q, c) for b, q, c in product((1, 2, 4), (1, 3), (16, 64))]
    grid += [("prefill", b, q, 0) for b, q in product((1, 2), (16, 64))]
    points = []
    for phase, batch, new, context in grid:
        ms = step_ms(layers, phase, batch, new, context)
        stats = LatencyStats(
            mean=1.01 * ms,
            std=0.02 * ms,
            p50=ms,
            p95=1.1 * ms,
            p99=1.2 * ms,
            min=0.9 * ms,
            mad=0.01 * ms,
            p50_low=ms - half_ms,
            p50_high=ms + half_ms,
        )
        points.append(
            ProfilePoint(
                phase="decode" if phase == "decode" else "prefill",
                batch=batch,
                new_tokens=new,
                context_tokens=context,
                samples=10 + layers,
                latency_ms=stats,
                energy_j=2.0 + 0.5 * layers,
            )
        )
    return LatencyProfile(
        device="d",
        model=model if layers == of else f"{model}-{layers}-layers",
        origin="measured",
        fit=LawFit(law=LAYER),
        points=tuple(points),
        backend="torch",
        precision="float32",
        method={"layers": layers, "layers_of_model": of, "whole_model": model, "threads": 1},
        weights_gib=1.0 + 0.25 * layers,
        kv_mib_per_token=0.5 * layers,
        held_out=HeldOut(points=3, mean_error=0.01 * layers, max_error=0.1),
    )


@pytest.mark.parametrize(("a", "b"), [(2, 4), (1, 9), (3, 4)])
def test_equal_layers_scale_without_error(a: int, b: int) -> None:
    found = scaled_profile(profile_of(a), profile_of(b))
    whole = profile_of(10)
    assert found.model == "m"
    assert found.slicing is not None
    assert (found.slicing.layers, found.slicing.measured_layers, found.slicing.check) == (10, (a, b), None)
    assert [p.latency_ms.p50 for p in found.points] == pytest.approx([p.latency_ms.p50 for p in whole.points])
    assert [p.energy_j for p in found.points] == pytest.approx([7.0] * len(whole.points))
    assert found.weights_gib == pytest.approx(3.5)
    assert found.kv_mib_per_token == pytest.approx(5.0)
    assert found.fit.law.step_ms == pytest.approx(14.0)
    assert found.fit.law.per_kv_token_us == pytest.approx(2.0)
    assert found.fit.mean_error == pytest.approx(0.0, abs=1e-9)
    assert check_slicing(found, whole).max_error == pytest.approx(0.0, abs=1e-9)
    assert {p.samples for p in found.points} == {10 + a}


def test_intervals_by_hand() -> None:
    """2 and 4 layers to 10: weights −3 and 4, so half-widths of 0.01 ms become 0.05; the spread is in proportion."""
    found = scaled_profile(profile_of(2), profile_of(4)).points[0].latency_ms
    assert found.p50_low == pytest.approx(found.p50 - 0.05)
    assert found.p50_high == pytest.approx(found.p50 + 0.05)
    assert (found.mean, found.std, found.p95, found.p99) == pytest.approx(
        (1.01 * found.p50, 0.02 * found.p50, 1.1 * found.p50, 1.2 * found.p50)
    )
    assert (found.min, found.mad) == pytest.approx((0.9 * found.p50, 0.01 * found.p50))


def test_intervals_that_lean_to_one_side() -> None:
    """The shallow median's upper half moves the scaled one down."""

    def leaning(profile: LatencyProfile, low: float, high: float) -> LatencyProfile:
        def moved(stats: LatencyStats) -> LatencyStats:
            return replace(stats, p50_low=stats.p50 - low, p50_high=stats.p50 + high)

        return replace(profile, points=tuple(replace(p, latency_ms=moved(p.latency_ms)) for p in profile.points))

    found = scaled_profile(leaning(profile_of(2), 0.0, 0.1), leaning(profile_of(4), 0.1, 0.0)).points[0].latency_ms
    assert found.p50_high == found.p50
    assert found.p50_low == pytest.approx(found.p50 - 0.5)
    absent = replace(
        profile_of(2),
        points=tuple(
            replace(p, latency_ms=replace(p.latency_ms, p50_low=None, p50_high=None)) for p in profile_of(2).points
        ),
    )
    assert scaled_profile(absent, profile_of(4)).points[0].latency_ms.p50_low is None


@given(
    a=st.integers(1, 20), gap=st.integers(1, 20), rest=st.integers(1, 60), half_ms=st.floats(0.0, 0.5, allow_nan=False)
)
def test_scaling_is_the_line_through_both(a: int, gap: int, rest: int, half_ms: float) -> None:
    layers = a + gap + rest
    found = scaled_profile(profile_of(a, of=layers, half_ms=half_ms), profile_of(a + gap, of=layers, half_ms=half_ms))
    for point in found.points:
        stats = point.latency_ms
        expected = step_ms(layers, point.phase, point.batch, point.new_tokens, point.context_tokens)
        assert stats.p50 == pytest.approx(expected)
        assert stats.p50_low is not None
        assert stats.p50_high is not None
        assert 0.0 <= stats.p50_low <= stats.p50 <= stats.p50_high
        # A line drawn on beyond its second point widens what is known there.
        assert stats.p50_high - stats.p50 >= half_ms - 1e-9


def test_the_check_is_kept() -> None:
    whole = profile_of(10)
    slower = replace(
        whole,
        points=tuple(
            replace(p, latency_ms=replace(p.latency_ms, p50=p.latency_ms.p50 / (0.9 if p.batch == 1 else 1.0)))
            for p in whole.points
        ),
    )
    found = scaled_profile(profile_of(2), profile_of(4), slower)
    assert found.slicing is not None
    assert found.slicing.check_model == "m"
    check = found.slicing.check
    assert check is not None
    errors = [e.error for e in slicing_errors(found, slower)]
    assert sorted(errors)[:6] == pytest.approx([-0.1] * 6)
    assert (check.points, check.max_error) == (16, pytest.approx(0.1))
    assert check.mean_error == pytest.approx(0.1 * 6 / 16)
    other = HeldOut(points=3, mean_error=0.02, max_error=0.04)
    kept = with_check(found, other, "small").slicing
    assert kept is not None
    assert (kept.check, kept.check_model) == (other, "small")
    with pytest.raises(MeasurementError, match="was measured whole"):
        with_check(whole, other, "small")


def test_the_method_says_what_was_measured() -> None:
    found = scaled_profile(profile_of(2), profile_of(4))
    assert found.method is not None
    assert found.method["layers"] == 10
    assert found.method["threads"] == 1
    assert (found.method["held_out_of_shallow_mean"], found.method["held_out_of_deep_mean"]) == (0.02, 0.04)
    assert found.held_out is None


def test_points_of_one_depth_are_left_out_and_counted() -> None:
    shallow, deep = profile_of(2), profile_of(4)
    found = scaled_profile(shallow, replace(deep, points=deep.points[:-3]))
    assert len(found.points) == 13
    assert found.method is not None
    assert found.method["points_of_one_depth"] == 3


def test_profiles_that_do_not_belong_together() -> None:
    with pytest.raises(MeasurementError, match="not slices of one model"):
        scaled_profile(profile_of(2), profile_of(4, model="other"))
    with pytest.raises(MeasurementError, match="not slices of one model"):
        scaled_profile(profile_of(2), replace(profile_of(4), precision="bfloat16"))
    with pytest.raises(MeasurementError, match="does not say how many layers"):
        scaled_profile(profile_of(2), replace(profile_of(4), method=None))
    with pytest.raises(MeasurementError, match="no point was measured at both"):
        scaled_profile(profile_of(2), replace(profile_of(4), points=()))
    with pytest.raises(MeasurementError, match="no point in common"):
        check_slicing(scaled_profile(profile_of(2), profile_of(4)), replace(profile_of(10), points=()))


def test_noise_that_outweighs_a_layer() -> None:
    deep = profile_of(4)
    noisy = replace(
        deep, points=(replace(deep.points[0], latency_ms=profile_of(1).points[0].latency_ms), *deep.points[1:])
    )
    with pytest.raises(MeasurementError, match=r"4 layers took no longer than 2 at 1 of 16 points \(decode of batch 1"):
        scaled_profile(profile_of(2), noisy)


def test_few_noisy_points_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = profile_of(4)
    same = replace(deep.points[3], latency_ms=profile_of(2).points[3].latency_ms)
    monkeypatch.setattr(slicing, "MOST_NOISY", 1 / 16)
    found = scaled_profile(profile_of(2), replace(deep, points=(*deep.points[:3], same, *deep.points[4:])))
    assert found.method is not None
    assert found.method["points_lost_to_noise"] == 1
    assert [p.latency_ms.p50 for p in found.points] == pytest.approx(
        [p.latency_ms.p50 for index, p in enumerate(profile_of(10).points) if index != 3]
    )


@pytest.mark.parametrize("depths", [(0, 2), (2, 2), (4, 2), (2, 10), (2, 11)])
def test_depths_that_nothing_follows_from(depths: tuple[int, int]) -> None:
    with pytest.raises(MeasurementError, match="expected two of 1 to 9 layers"):
        check_depths("m", depths, 10)
    check_depths("m", (2, 9), 10)
    with pytest.raises(MeasurementError, match="has 2 layers, too few"):
        check_depths("m", (1, 2), 2)
