"""Runs joined: exact where exactness is possible, refused where it would hide something."""

from __future__ import annotations

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.profile import HeldOut, LatencyProfile, StepLaw, declared_profile
from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.domain.profile_merge import (
    disagreements,
    joined_method,
    joined_points,
    joined_profile,
    merge_problems,
    pooled,
    pooled_mean_std,
    too_far_apart,
)
from tests.domain.test_profile_difference import LAW, point, profile


@given(st.lists(st.lists(st.floats(0.5, 50.0), min_size=1, max_size=20), min_size=1, max_size=4))
def test_mean_and_std_are_those_of_all_samples_together(runs: list[list[float]]) -> None:
    everything = np.concatenate([np.array(run) for run in runs])
    if everything.size < 2:
        return
    told = [(len(run), float(np.mean(run)), float(np.std(run, ddof=1)) if len(run) > 1 else 0.0) for run in runs]
    mean, std = pooled_mean_std(told)
    assert mean == pytest.approx(everything.mean())
    assert std == pytest.approx(everything.std(ddof=1), abs=1e-9)


def test_a_point_of_two_runs_by_hand() -> None:
    one, other = point(10.0, half=0.02, samples=30), point(10.0, half=0.02, samples=10)
    one = replace(one, energy_j=2.0, latency_ms=replace(one.latency_ms, min=9.0, mad=0.1))
    other = replace(other, energy_j=6.0, latency_ms=replace(other.latency_ms, min=8.0, mad=0.5))
    both = pooled([one, other])
    assert both.samples == 40
    assert both.energy_j == pytest.approx(3.0)
    assert (both.latency_ms.min, both.latency_ms.mad) == (8.0, pytest.approx(0.2))
    # e = √((¾·0.02)² + (¼·0.02)²), already times 1.96.
    half = 0.02 * sqrt(0.625)
    assert both.latency_ms.p50_low == pytest.approx(10.0 * exp(-half))
    assert both.latency_ms.p50_high == pytest.approx(10.0 * exp(half))


def test_runs_that_lie_apart_widen_the_interval() -> None:
    both = pooled([point(9.0, half=0.001), point(11.0, half=0.001)])
    assert both.latency_ms.p50 == 10.0
    assert both.latency_ms.p50_low is not None
    assert both.latency_ms.p50_high is not None
    assert both.latency_ms.p50_low < 9.0
    assert both.latency_ms.p50_high > 11.0


def test_what_one_run_does_not_know_is_not_made_up() -> None:
    one = point(10.0)
    both = pooled([replace(one, latency_ms=replace(one.latency_ms, min=1.0, mad=1.0)), point(10.0, samples=1)])
    assert (both.latency_ms.min, both.latency_ms.mad, both.latency_ms.p50_low, both.energy_j) == (None,) * 4


@given(st.lists(st.tuples(st.floats(0.1, 100.0), st.integers(1, 50)), min_size=1, max_size=5))
def test_what_is_joined_makes_sense(runs: list[tuple[float, int]]) -> None:
    profiles = [profile([point(p50, samples=samples)]) for p50, samples in runs]
    points = joined_points(profiles)
    assert points[0].samples == sum(samples for _, samples in runs)
    assert min(p50 for p50, _ in runs) <= points[0].latency_ms.p50 <= max(p50 for p50, _ in runs)
    assert profile_problems(profile(points)) == ()


def test_points_of_one_run_are_taken_as_they_are() -> None:
    one, other = profile([point(10.0), point(20.0, batch=4)]), profile([point(30.0, batch=2)])
    assert joined_points([one, other]) == (point(10.0), point(30.0, batch=2), point(20.0, batch=4))


def test_every_conflict_is_told_at_once() -> None:
    one = profile([point(10.0)], backend="numpy", precision="float32", weights_gib=1.0)
    other = replace(
        one, device="x", model="y", backend="torch", precision="int8", weights_gib=2.0, method={"threads": 2}
    )
    problems = merge_problems([one, other], ["a.json", "b.json"])
    assert [p.place for p in problems] == ["device", "model", "backend", "precision", "threads", "weights_gib"]
    assert 'found "box" in a.json, "x" in b.json' in problems[0].text
    assert "found 1 in a.json, 2 in b.json" in problems[4].text
    assert merge_problems([one, one], ["a", "b"]) == ()


def test_powers_of_different_meters_and_laws_are_not_joined() -> None:
    one = profile([point(10.0)], power_source="nvml", idle_w=1.0)
    assert [p.place for p in merge_problems([one, replace(one, power_source="rapl")], ["a", "b"])] == ["power_source"]
    assert merge_problems([one, replace(one, power_source="none", idle_w=None)], ["a", "b"]) == ()
    law = declared_profile("box", "m", StepLaw(step_ms=1.0))
    assert [p.place for p in merge_problems([one, law], ["a", "b"])][:2] == ["b", "origin"]


def test_disagreements_are_named_the_worst_first_and_drift_is_none() -> None:
    def run(factor: float, drift: float = 0.0) -> LatencyProfile:
        return profile([point(10.0 * factor, half=0.01), point(20.0 * factor**2, batch=2, half=0.01)], drift)

    apart = disagreements([run(1.0), run(1.0), run(1.2)])
    found = [(d.first, d.second, d.difference.point.batch) for d in apart]
    assert found == [
        (0, 2, 2),
        (1, 2, 2),
        (0, 2, 1),
        (1, 2, 1),
    ]
    assert disagreements([run(1.0), run(1.2, 0.5)]) == ()


def test_how_the_runs_were_measured_is_kept() -> None:
    one = profile([point(10.0)], method={"threads": 1, "drift": 0.02, "seconds": 10.0, "load_before": 0, "grid": "a"})
    other = profile([point(10.0)], method={"threads": 1, "drift": -0.05, "seconds": 5.0, "load_before": 2, "grid": "b"})
    told = joined_method([one, other], {"a.json": "00", "b.json": "11"})
    assert told["threads"] == 1
    assert told["drift"] == -0.05
    assert told["seconds"] == 15.0
    assert told["load_before"] == 2
    assert told["grid"] == "a | b"
    assert told["runs"] == 2
    assert told["sources"] == "a.json sha256:00; b.json sha256:11"
    assert "approximation" in str(told["pooling"])


def test_powers_checks_and_versions_of_the_joined_profile() -> None:
    one = profile(
        [point(10.0)],
        software={"numpy": "2.3"},
        idle_w=10.0,
        power_source="rapl",
        measured_at="2026-02-01",
        sustained=((10.0, 0.9),),
        held_out=HeldOut(points=1, mean_error=0.0625, max_error=0.0625),
    )
    other = replace(
        one,
        software={"numpy": "2.4"},
        idle_w=20.0,
        measured_at="2026-01-01",
        sustained=((60.0, 0.5),),
        held_out=HeldOut(points=3, mean_error=0.125, max_error=0.25),
    )
    both = joined_profile([one, other], joined_points([one, other]), LAW, {"a": "0", "b": "1"})
    assert both.software == {"numpy": "2.3 | 2.4"}
    assert both.idle_w == 15.0
    assert both.measured_at == "2026-01-01"
    assert both.sustained == ((60.0, 0.5),)
    assert both.held_out == HeldOut(points=4, mean_error=0.109375, max_error=0.25)
    assert both.method is not None
    assert both.method["fewest_samples"] == 200
    assert both.method["held_out_of"] == "the runs, each before they were joined"
    assert profile_problems(both) == ()


def test_few_small_disagreements_are_borne_and_many_or_large_ones_are_not() -> None:
    def run(*factors: float) -> LatencyProfile:
        return profile([point(10.0 * factor, batch=b, half=0.001) for b, factor in enumerate(factors, 1)])

    def apart(*factors: float) -> bool:
        runs = [run(*(1.0,) * len(factors)), run(*factors)]
        return too_far_apart(runs, disagreements(runs))

    same = (1.0,) * 38
    assert not apart(*same)
    assert not apart(*same, 1.2, 1.2)
    assert apart(*same, 1.2, 1.2, 1.2)
    assert apart(*same, 1.3)
    assert apart(*same, 0.75)
