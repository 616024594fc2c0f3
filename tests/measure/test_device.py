"""The profiler must recover a law that it is not told, and refuse a machine that is not free."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import FULL_GRID, QUICK_GRID, Grid, GridPoint
from dsd_plan.measure.steps.held_out import held_out_points
from dsd_plan.measure.steps.profile import Settings, profile_device, profile_together
from dsd_plan.measure.steps.runner import TransformerRunner
from dsd_plan.measure.steps.sampling import latency_stats
from dsd_plan.pair.bundled import load_draft
from tests.measure.fake_device import GRID, LAW, FakeClock, FakeRunner, law_ms

PROBES = 4
"""Steps that tell beforehand what the grid will cost; the anchor follows them."""


def profiled(runner: FakeRunner, **options: Any) -> Any:
    return profile_device(runner, device="box", grid=GRID, clock=runner.clock, **({"budget_s": 5.0} | options))


def test_without_noise_every_point_and_the_law_are_exact() -> None:
    profile = profiled(FakeRunner(FakeClock()))
    assert len(profile.points) == 3 * 2 * 2 + 2 * 2
    for point in profile.points:
        expected = law_ms(GridPoint(point.phase, point.batch, point.new_tokens, point.context_tokens))
        assert point.latency_ms.p50 == pytest.approx(expected)
        assert point.latency_ms.p99 == pytest.approx(expected)
    for name in ("step_ms", "per_token_ms", "per_prompt_token_ms", "per_kv_token_us"):
        assert getattr(profile.fit.law, name) == pytest.approx(getattr(LAW, name), rel=1e-6)
    assert profile.fit.max_error == pytest.approx(0.0, abs=1e-9)
    assert profile_problems(profile) == ()


def test_with_noise_the_law_is_recovered_within_its_error() -> None:
    profile = profiled(FakeRunner(FakeClock(), noise=0.05), budget_s=20.0)
    assert profile.fit.law.step_ms == pytest.approx(LAW.step_ms, rel=0.03)
    assert profile.fit.law.per_token_ms == pytest.approx(LAW.per_token_ms, rel=0.1)
    assert profile.fit.law.per_prompt_token_ms == pytest.approx(LAW.per_prompt_token_ms, rel=0.05)
    assert 0.0 < profile.fit.mean_error < 0.05
    spread = [point.latency_ms.std / point.latency_ms.mean for point in profile.points]
    assert np.mean(spread) == pytest.approx(0.05, rel=0.2)


def test_a_slow_half_of_the_time_falls_on_all_points_alike() -> None:
    runner = FakeRunner(FakeClock(), noise=0.1, factor=lambda wall: 1.2 if int(wall * 3) % 2 else 1.0)
    profile = profiled(runner, budget_s=60.0)
    means = [
        point.latency_ms.mean / law_ms(GridPoint(point.phase, point.batch, point.new_tokens, point.context_tokens))
        for point in profile.points
    ]
    assert min(means) > 1.05
    assert max(means) < 1.15


def test_every_round_has_an_order_of_its_own_and_the_seed_fixes_it() -> None:
    first, again, other = (FakeRunner(FakeClock(), noise=0.2) for _ in range(3))
    for runner, seed in ((first, 1), (again, 1), (other, 2)):
        profiled(runner, budget_s=2.0, seed=seed)
    assert first.visits == again.visits != other.visits
    held_out = held_out_points(GRID.points(96), lambda point: True, seed=1)
    size = len(GRID.points(96)) + len(held_out)
    rounds = first.visits[PROBES + 1 :]
    one, two = rounds[:size], rounds[size : 2 * size]
    assert Counter(one) == Counter(two) == Counter((*GRID.points(96), *held_out))
    assert one != two


def test_the_budget_bounds_the_time_and_settled_points_end_it_early() -> None:
    noisy, exact = FakeRunner(FakeClock(), noise=0.3), FakeRunner(FakeClock())
    assert 5.0 <= profiled(noisy, budget_s=5.0).method["seconds"] < 7.0
    assert profiled(exact, budget_s=500.0).method["seconds"] < 5.0


def test_every_point_has_three_samples_however_short_the_budget() -> None:
    profile = profiled(FakeRunner(FakeClock(), noise=0.1, factor=lambda wall: 50.0), budget_s=0.001)
    assert {point.samples for point in profile.points} == {3}
    assert profile.method["fewest_samples"] == 3


def test_progress_rises_to_the_end() -> None:
    told: list[tuple[int, int, str]] = []
    profiled(FakeRunner(FakeClock(), noise=0.2), on_progress=lambda *what: told.append(what))
    done = [row[0] for row in told]
    assert done == sorted(done)
    assert done[-1] == 100
    assert told[-1][1] == 100
    assert re.fullmatch(r"known: \d+ of \d+ points known well enough, round \d+", told[-1][2])


@pytest.mark.parametrize(
    ("clock", "options", "trouble"),
    [
        (FakeClock(load=10_000.0, others_cores=None), {}, r"load average 10000.0 on \d+ cores"),
        (FakeClock(others_cores=500.0), {}, r"others keep 500.00 of \d+ cores busy now"),
        (FakeClock(), {"cpu_share": 0.6}, "had a core for only 60% of their time"),
        (FakeClock(), {"factor": lambda wall: 1.0 + (wall - 100.0) / 10.0}, r"same step took \+\d+% at the end"),
    ],
)
def test_a_machine_that_is_not_free_is_refused_or_recorded(
    clock: FakeClock, options: dict[str, Any], trouble: str
) -> None:
    with pytest.raises(MeasurementError, match=f"known: the machine is not free: .*{trouble}.*; stop what else runs"):
        profiled(FakeRunner(clock, noise=0.2, **options))
    profile = profiled(FakeRunner(clock, noise=0.2, **options), allow_contention=True)
    assert profile.method["contention"] is not None


def test_provenance_says_what_when_and_how() -> None:
    profile = profiled(FakeRunner(FakeClock(load=None)), threads=1)
    assert (profile.device, profile.model, profile.origin, profile.backend) == ("box", "known", "measured", "fake")
    assert profile.measured_at == "2026-01-02T03:04:05+00:00"
    assert profile.weights_gib == 3.0
    assert profile.kv_mib_per_token == 1.0
    assert (profile.idle_w, profile.active_w, profile.power_source) == (None, None, "none")
    assert profile.method is not None
    assert profile.method["threads"] == 1
    assert profile.method["contention"] is None
    assert profile.method["load_before"] is None
    assert profile.method["drift"] == pytest.approx(0.0, abs=1e-6)
    assert profile.method["cpu_share"] == pytest.approx(1.0)
    assert profile.software is not None
    assert {"dsd-plan", "python", "numpy", "blas"} <= profile.software.keys()


def test_spread_by_hand() -> None:
    stats = latency_stats([1.0, 2.0, 3.0, 4.0, 10.0])
    assert (stats.mean, stats.p50, stats.min, stats.mad) == (4.0, 3.0, 1.0, 1.0)
    assert stats.std == pytest.approx((50 / 4) ** 0.5)
    assert stats.p95 == pytest.approx(4.0 + 0.8 * 6.0)
    assert latency_stats([2.0]).std == 0.0


def test_grids_leave_out_what_the_context_cannot_hold() -> None:
    for grid in (QUICK_GRID, FULL_GRID):
        points = grid.points(512)
        assert len(points) == len(set(points))
        assert max(point.context_tokens + point.new_tokens for point in points) <= 512
        decode, prefill, chunks = (
            sum(kind(point) for point in points)
            for kind in (
                lambda point: point.phase == "decode",
                lambda point: point.phase == "prefill" and point.context_tokens == 0,
                lambda point: point.phase == "prefill" and point.context_tokens > 0,
            )
        )
        axes = len(grid.decode_batch), len(grid.decode_new_tokens), len(grid.decode_context_tokens)
        assert decode == axes[0] * axes[1] * axes[2]
        assert prefill == len(grid.prefill_batch) * len(grid.prefill_tokens)
        assert (chunks > 0) == bool(grid.prefill_context_tokens)
    shorter = QUICK_GRID.points(300)
    assert {point.context_tokens for point in shorter if point.phase == "decode"} == {16, 240}
    assert max(point.new_tokens for point in shorter if point.phase == "prefill") == 256
    with pytest.raises(MeasurementError, match="no decode step of grid 'quick' fits a context of 20 tokens: its least"):
        QUICK_GRID.points(20)


def test_a_real_model_is_measured() -> None:
    draft = load_draft()
    grid = Grid("small", (1, 2), (1, 3), (16,), (1, 2), (8, 16))
    runner = TransformerRunner(draft, "draft")
    profile = profile_device(runner, device="here", grid=grid, budget_s=0.2, allow_contention=True)
    assert len(profile.points) == 8
    assert all(point.latency_ms.p50 > 0.0 for point in profile.points)
    assert profile.weights_gib == draft.shape.weight_bytes / 2**30
    assert profile_problems(profile) == ()


def test_a_prepared_step_starts_from_the_same_context_every_time() -> None:
    runner = TransformerRunner(load_draft(), "draft")
    step = runner.prepared(GridPoint("decode", 3, 5, 490))
    for _ in range(10):
        step()
    assert runner._cache(3).lengths.tolist() == [495] * 3


def test_a_machine_that_was_busy_a_minute_ago_is_free() -> None:
    profile = profiled(FakeRunner(FakeClock(load=10_000.0, others_cores=0.0)))
    assert profile.method["contention"] is None
    assert profile.method["load_before"] == 10_000.0
    assert profile.method["contention_by"] == "processor time of others"


def test_others_who_begin_while_it_measures_are_noticed() -> None:
    clock = FakeClock()

    def factor(wall: float) -> float:
        clock.others_cores = 0.0 if wall < 102.0 else 500.0
        return 1.0

    with pytest.raises(MeasurementError, match=r"others keep \d+\.\d+ of \d+ cores busy while it was measured"):
        profiled(FakeRunner(clock, noise=0.3, factor=factor))


def test_steps_on_an_accelerator_need_no_core() -> None:
    runner = FakeRunner(FakeClock(), cpu_share=0.1)
    runner.cpu_bound = False
    profile = profiled(runner)
    assert profile.method["contention"] is None
    assert profile.method["cpu_share"] == pytest.approx(0.1)


def test_points_that_stay_unsure_are_counted() -> None:
    exact = profiled(FakeRunner(FakeClock()))
    assert exact.method["points_over_3_percent"] == 0
    noisy = profiled(FakeRunner(FakeClock(), noise=0.3), budget_s=4.0)
    unsure = [
        max(p.latency_ms.p50_high / p.latency_ms.p50, 2.0 - p.latency_ms.p50_low / p.latency_ms.p50) > 1.03
        for p in noisy.points
    ]
    assert noisy.method["points_over_3_percent"] == sum(unsure) > 0


def test_interpolation_is_tested_on_points_between_the_nodes() -> None:
    """An affine device is interpolated exactly; a cliff between two nodes is seen."""
    smooth = profiled(FakeRunner(FakeClock()))
    assert smooth.held_out.points >= 20
    assert smooth.held_out.max_error == pytest.approx(0.0, abs=1e-9)
    assert len(smooth.points) == len(GRID.points(96))
    cliff = FakeRunner(FakeClock())
    cliff.extra_ms = lambda point: 5.0 if 30 < point.context_tokens < 60 else 0.0
    seen = profiled(cliff)
    assert seen.held_out.max_error > 0.5
    assert seen.method["held_out_decode_max"] == pytest.approx(seen.held_out.max_error, abs=1e-4)
    assert seen.method["held_out_prefill_max"] == pytest.approx(0.0, abs=1e-9)


def test_points_that_do_not_fit_the_memory_are_left_out_and_counted() -> None:
    runner = FakeRunner(FakeClock())
    runner.memory_limit_bytes = runner.memory_bytes(GridPoint("decode", 2, 3, 64))
    profile = profiled(runner)
    assert {point.batch for point in profile.points if point.context_tokens == 64} == {1, 2}
    assert {point.batch for point in profile.points if point.context_tokens == 16} == {1, 2, 4}
    assert profile.method["points_left_out_for_memory"] == 2
    assert all(runner.memory_bytes(point) <= runner.memory_limit_bytes for point in runner.visits)
    runner.memory_limit_bytes = 2**30
    with pytest.raises(
        MeasurementError, match=r"needs 3\.02 GiB, 1\.00 GiB are free, 2\.02 GiB are missing; .*--layers"
    ):
        profiled(runner)


def test_two_models_measured_together_share_their_rounds() -> None:
    clock = FakeClock()
    first, second = FakeRunner(clock, noise=0.2), FakeRunner(clock, noise=0.2)
    second.model = "other"
    order: list[str] = []
    for runner in (first, second):
        runner.on_visit = lambda name=runner.model: order.append(name)
    profiles = profile_together((first, second), Settings(device="box", grid=GRID, budget_s=2.0), clock=clock)
    assert [profile.model for profile in profiles] == ["known", "other"]
    assert profiles[0].points != profiles[1].points
    size = len(GRID.points(96))
    assert 0.3 < order[2 * PROBES + 1 :][:size].count("other") / size < 0.7


def test_what_takes_too_long_is_left_out_from_the_dearest_on() -> None:
    """At 2,000 times the law's time a step takes seconds; three samples of every point take 139 of the 90 s allowed."""
    runner = FakeRunner(FakeClock(), factor=lambda wall: 2000.0)
    profile = profiled(runner, budget_s=60.0)
    seconds = [3 * 2.0 * law_ms(point) for point in GRID.points(96)]
    assert sum(seconds) > 1.5 * 60.0
    left_out = profile.method["points_left_out_for_time"]
    assert 0 < left_out == len(GRID.points(96)) - len(profile.points)
    kept = {GridPoint(p.phase, p.batch, p.new_tokens, p.context_tokens) for p in profile.points}
    dropped = set(GRID.points(96)) - kept
    assert min(law_ms(point) for point in dropped) >= 0.8 * max(law_ms(point) for point in kept)
    assert {point.samples for point in profile.points} == {3}
