"""Intervals of medians, verdicts on differences, and what they are worth, against numbers worked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import comb, erfc, exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.median_error import (
    Z95,
    beyond_chance,
    discoveries,
    interval_source,
    log_error,
    median_interval,
    shared_log_drift,
    student_t95,
)
from dsd_plan.domain.profile import LatencyProfile, LatencyStats, LawFit, ProfilePoint, StepLaw, declared_profile
from dsd_plan.domain.profile_difference import median_rank, profile_difference

LAW = LawFit(law=StepLaw(step_ms=1.0, per_token_ms=0.5))


def point(
    p50: float, *, batch: int = 1, new: int = 1, half: float | None = None, samples: int = 100, **more: Any
) -> ProfilePoint:
    """A decode step whose median is known to ± `half` of it on the logarithm; None: no interval was recorded."""
    ends = {} if half is None else {"p50_low": p50 * exp(-half), "p50_high": p50 * exp(half)}
    stats: dict[str, Any] = {"mean": p50, "std": 0.1 * p50, "p50": p50, "p95": 1.2 * p50, "p99": 1.3 * p50}
    told: dict[str, Any] = {"phase": "decode", "batch": batch, "new_tokens": new, "context_tokens": 32}
    return ProfilePoint(**(told | more), samples=samples, latency_ms=LatencyStats(**(stats | ends)))


def profile(points: Sequence[ProfilePoint], drift: float | None = 0.0, **more: Any) -> LatencyProfile:
    told: dict[str, Any] = {"device": "box", "model": "m", "origin": "measured", "fit": LAW, "points": tuple(points)}
    method = {"threads": 1} | ({} if drift is None else {"drift": drift})
    return LatencyProfile(**({"method": method} | told | more))


def test_an_interval_that_was_recorded_gives_the_error() -> None:
    known = point(10.0, half=0.0196)
    assert log_error(known) == pytest.approx(0.01, rel=1e-4)
    assert median_interval(known) == (pytest.approx(10 * exp(-0.0196)), pytest.approx(10 * exp(0.0196)))
    assert interval_source(known) == "recorded"


def test_without_one_the_spread_gives_it() -> None:
    # √(π/2) · 10 % / √100, widened by t(99)/z.
    assert log_error(point(10.0)) == pytest.approx(0.012533 * 1.98422 / 1.95996, rel=1e-4)
    assert interval_source(point(10.0)) == "spread"
    alone = point(10.0, samples=1)
    assert log_error(alone) is None
    assert median_interval(alone) is None
    assert interval_source(alone) == "none"


def test_few_samples_are_widened_as_students_t() -> None:
    assert log_error(point(10.0, samples=4)) == pytest.approx(3.182 / Z95 * 1.2533 * 0.1 / 2)
    for freedom, known in ((1, 12.706), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.0423), (1000, 1.9623)):
        assert student_t95(freedom) == pytest.approx(known, abs=3e-3)


def test_many_samples_take_the_spread_from_the_median_absolute_deviation() -> None:
    base = point(10.0)
    robust = replace(base, latency_ms=replace(base.latency_ms, mad=0.5))
    assert log_error(robust) == pytest.approx(0.012533 * 1.98422 / 1.95996 * 0.74130, rel=1e-4)
    few = point(10.0, samples=5)
    assert log_error(replace(few, latency_ms=replace(few.latency_ms, mad=0.01))) == log_error(few)


def test_benjamini_and_hochbergs_own_example() -> None:
    # Their paper's fifteen p-values, at 5 %: the four smallest are rejected.
    known = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    known += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    assert discoveries(known[::-1], 0.05) == (False,) * 11 + (True,) * 4


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 0.2))
def test_discoveries_lie_between_bonferroni_and_no_correction(p_values: list[float], rate: float) -> None:
    for p_value, found in zip(p_values, discoveries(p_values, rate), strict=True):
        assert found or p_value > rate / len(p_values)
        assert not found or p_value <= rate


def test_a_ratio_and_its_interval_by_hand() -> None:
    found = profile_difference(profile([point(10.0, half=0.03)]), profile([point(12.0, half=0.04)])).points[0]
    assert found.ratio == pytest.approx(1.2)
    # The two half widths add as √(0.03² + 0.04²) = 0.05.
    assert found.low == pytest.approx(1.2 * exp(-0.05))
    assert found.high == pytest.approx(1.2 * exp(0.05))
    assert found.p_value == pytest.approx(erfc(log(1.2) / (0.05 / Z95) / sqrt(2)), rel=1e-6)
    assert found.change == "slower"


def test_drift_explains_what_it_can() -> None:
    before, after = profile([point(10.0, half=0.01)], 0.03), profile([point(10.5, half=0.01)], -0.04)
    assert shared_log_drift((before, after)) == pytest.approx(sqrt(log(1.03) ** 2 + log(0.96) ** 2))
    found = profile_difference(before, after)
    assert found.points[0].change == "no significant difference"
    assert found.points[0].p_value == 1.0
    assert found.drift_before == 0.03
    assert profile_difference(replace(before, method={"drift": 0.0}), replace(after, method={"drift": 0.0})).points[
        0
    ].change == ("slower")


def test_an_unknown_drift_is_said_and_widens_nothing() -> None:
    found = profile_difference(profile([point(10.0, half=0.01)], None), profile([point(10.5, half=0.01)]))
    assert found.drift_before is None
    assert found.points[0].change == "slower"
    assert any("the first does not say how far its machine drifted" in warning for warning in found.warnings)


def test_equal_medians_without_spread_do_not_differ_and_others_do() -> None:
    assert beyond_chance(0.0, 0.0, 0.0) == 1.0
    assert beyond_chance(0.1, 0.0, 0.05) == 0.0


def test_order_statistics_that_hold_the_median() -> None:
    # 5 values hold it with 93.75 % only; 6 with 96.9 %, the textbook's table beyond.
    assert [median_rank(count) for count in (5, 6, 8, 9, 10, 20, 100)] == [None, 1, 1, 2, 2, 6, 40]


@given(st.integers(6, 200))
def test_the_rank_covers_95_percent_and_the_next_does_not(count: int) -> None:
    rank = median_rank(count)
    assert rank is not None
    missed = [2 * sum(comb(count, below) for below in range(r)) / 2**count for r in (rank, rank + 1)]
    assert missed[0] <= 0.05 < missed[1]


def test_a_kind_is_told_by_the_median_of_its_ratios() -> None:
    batches = range(1, 8)
    before = profile([point(10.0, batch=b, half=0.001) for b in batches])
    after = profile([point(10.0 * (0.80 + 0.01 * b), batch=b, half=0.001) for b in batches])
    (kind,) = profile_difference(before, after).kinds
    assert (kind.kind, kind.points, kind.faster, kind.slower) == ("decode", 7, 7, 0)
    assert kind.ratio == pytest.approx(0.84)
    # Of seven values, the smallest and the largest hold the median with 98.4 %.
    assert (kind.low, kind.high) == (pytest.approx(0.81), pytest.approx(0.87))
    assert kind.change == "faster"


def test_a_kind_of_few_points_spans_their_intervals() -> None:
    before = profile([point(10.0, half=0.0), point(10.0, new=5, half=0.0)])
    after = profile([point(9.0, half=0.02), point(10.1, new=5, half=0.02)])
    decode, verify = profile_difference(before, after).kinds
    assert decode.kind == "decode"
    assert (decode.low, decode.high) == (pytest.approx(0.9 * exp(-0.02)), pytest.approx(0.9 * exp(0.02)))
    assert (decode.change, verify.change) == ("faster", "no significant difference")


def test_single_samples_say_nothing() -> None:
    found = profile_difference(profile([point(10.0, samples=1)]), profile([point(20.0, half=0.01)]))
    assert found.points[0].change == "not known"
    assert found.points[0].low is None
    assert found.kinds[0].change == "not known"
    assert any("single sample" in warning for warning in found.warnings)


def test_what_was_not_the_same_comes_first() -> None:
    before = profile([point(10.0)], software={"numpy": "2.3"}, precision="float32")
    after = replace(
        before,
        software={"numpy": "2.4", "blas": "x"},
        precision="float16",
        device="other",
        method={"threads": 2, "drift": 0.1, "seconds": 9.0},
    )
    found = profile_difference(before, after)
    assert [(c.what, c.before, c.after) for c in found.conditions] == [
        ("device", "box", "other"),
        ("precision", "float32", "float16"),
        ("software.numpy", "2.3", "2.4"),
        ("method.threads", "1", "2"),
        ("software.blas", None, "x"),
    ]
    assert any("not the same device: box, then other" in warning for warning in found.warnings)


def test_points_of_one_profile_alone_and_laws_side_by_side() -> None:
    before = profile([point(10.0), point(11.0, batch=2)])
    after = profile([point(10.0), point(11.0, batch=4)], fit=LawFit(law=StepLaw(step_ms=2.0, per_token_ms=0.25)))
    found = profile_difference(before, after)
    assert [key.batch for key in found.only_before] == [2]
    assert [key.batch for key in found.only_after] == [4]
    ratios = {law.coefficient: law.ratio for law in found.law}
    assert ratios == {"step_ms": 2.0, "per_token_ms": 0.5, "per_prompt_token_ms": None, "per_kv_token_us": None}


def test_declared_laws_have_no_point_in_common() -> None:
    law = declared_profile("box", "m", StepLaw(step_ms=1.0))
    found = profile_difference(law, law)
    assert found.points == found.kinds == ()
    assert any("no step was measured in both" in warning for warning in found.warnings)


def test_a_profile_compared_with_itself_has_no_difference() -> None:
    one = profile([point(float(b), batch=b) for b in range(1, 20)])
    found = profile_difference(one, one)
    assert {p.change for p in found.points} == {"no significant difference"}
    assert found.conditions == ()
    assert found.to_dict()["points"][0]["ratio"] == 1.0


def test_chance_alone_is_seldom_called_a_difference() -> None:
    """Two runs of one machine, 40 times 60 points: hardly a run holds a false alarm, and no wave of them."""
    rng = np.random.default_rng(3)

    def run() -> LatencyProfile:
        points = []
        for batch in range(1, 61):
            ms = rng.normal(10.0, 0.5, 40)
            stats = LatencyStats(
                mean=float(ms.mean()),
                std=float(ms.std(ddof=1)),
                p50=float(np.median(ms)),
                p95=float(np.quantile(ms, 0.95)),
                p99=float(ms.max()),
            )
            points.append(replace(point(10.0, batch=batch, samples=40), latency_ms=stats))
        return profile(points)

    alarmed = [
        any(p.change != "no significant difference" for p in profile_difference(run(), run()).points) for _ in range(40)
    ]
    assert sum(alarmed) <= 6
