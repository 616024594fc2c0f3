"""Profiles that cannot be true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.profile import LatencyProfile, LatencyStats, LawFit, StepLaw, declared_profile
from dsd_plan.domain.profile_checks import profile_problems
from tests.domain.clinic import BIG_LAW, measured, point

GOOD = measured(point(1, 1), point(1, 5), point(8, 1), point(1, 100, 0, phase="prefill"))

SPOILT: list[tuple[str, LatencyProfile, str]] = [
    ("points", measured(), 'found none in a profile of origin "measured"'),
    ("origin", replace(GOOD, origin="declared"), 'not "declared"'),
    (
        "points[1]",
        measured(point(2, 3), point(2, 3, p50=30.0)),
        "decode at batch 2, 3 new and 100 context tokens is already",
    ),
    ("points[0].latency_ms", measured(point(1, 1, p50=0.0)), "must be above 0"),
    (
        "points[0].latency_ms",
        measured(replace(point(1, 1), latency_ms=LatencyStats(mean=5.0, std=0.0, p50=5.0, p95=4.0, p99=6.0))),
        "p95 (4) lies below p50 (5)",
    ),
    (
        "points[0].latency_ms",
        measured(replace(point(1, 1), latency_ms=LatencyStats(mean=5.0, std=0.0, p50=5.0, p95=6.0, p99=7.0, min=5.5))),
        "p50 (5) lies below min (5.5)",
    ),
    (
        "points[0].latency_ms",
        measured(
            replace(
                point(1, 1),
                latency_ms=LatencyStats(mean=5.0, std=0.0, p50=5.0, p95=6.0, p99=7.0, p50_low=5.5, p50_high=6.0),
            )
        ),
        "p50_low (5.5) lies above p50 (5)",
    ),
    (
        "points[0].latency_ms",
        measured(
            replace(
                point(1, 1),
                latency_ms=LatencyStats(mean=5.0, std=0.0, p50=5.0, p95=6.0, p99=7.0, p50_low=4.0, p50_high=4.5),
            )
        ),
        "p50_high (4.5) lies below p50 (5)",
    ),
    ("fit.law", replace(GOOD, fit=LawFit(law=StepLaw(step_ms=0.0))), "a step would take no time"),
    (
        "fit.law",
        replace(GOOD, fit=LawFit(law=StepLaw(step_ms=0.0, per_token_ms=1.0))),
        "beside measured prefill points",
    ),
    ("fit.law.active_w", replace(GOOD, fit=LawFit(law=replace(BIG_LAW, active_w=0.0))), "left out, never 0"),
    (
        "fit.law.knots",
        replace(GOOD, fit=LawFit(law=replace(BIG_LAW, knots=((1.0, 5.0), (2.0, 4.0))))),
        "ms must not fall",
    ),
    ("idle_w", replace(GOOD, idle_w=0.0, power_source="nvml"), "null, never 0"),
    ("power_source", replace(GOOD, active_w=5.0), 'found "none" beside a power'),
    ("sustained[0]", replace(GOOD, sustained=((0.0, 1.5),)), "at most 1"),
    ("sustained[1]", replace(GOOD, sustained=((5.0, 1.0), (5.0, 0.9))), "after the row before"),
]


def test_what_makes_sense_has_no_problems() -> None:
    assert profile_problems(GOOD) == ()
    assert profile_problems(declared_profile("gpu", "big", BIG_LAW)) == ()
    assert profile_problems(replace(GOOD, active_w=300.0, idle_w=70.0, power_source="nvml")) == ()


@pytest.mark.parametrize(("place", "profile", "says"), SPOILT)
def test_a_contradiction_is_found_in_its_place(place: str, profile: LatencyProfile, says: str) -> None:
    found = [problem.text for problem in profile_problems(profile) if problem.place == place]
    assert any(says in text for text in found), profile_problems(profile)


def test_phases_do_not_collide() -> None:
    assert profile_problems(measured(point(1, 4, 0), point(1, 4, 0, phase="prefill"))) == ()
