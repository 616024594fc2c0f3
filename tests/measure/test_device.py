"""The profiler must recover a law that it is not told, and refuse a machine that is not free."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.device import latency_stats, profile_device
from dsd_plan.measure.grid import FULL_GRID, QUICK_GRID, Grid, GridPoint
from dsd_plan.measure.runner import TransformerRunner
from dsd_plan.pair.bundled import load_draft
from tests.measure.fake_device import GRID, LAW, FakeClock, FakeRunner, law_ms


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
    size = len(GRID.points(96))
    one, two = first.visits[1 : size + 1], first.visits[size + 1 : 2 * size + 1]
    assert Counter(one) == Counter(two) == Counter(GRID.points(96))
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
    assert told[-1][1:] == (100, "known: 16 of 16 points")


@pytest.mark.parametrize(
    ("clock", "options", "trouble"),
    [
        (FakeClock(load=10_000.0), {}, r"load average 10000.0 on \d+ cores"),
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
        assert len(points) == len(grid.decode_batch) * len(grid.decode_new_tokens) * len(
            grid.decode_context_tokens
        ) + len(grid.prefill_batch) * len(grid.prefill_tokens)
    shorter = QUICK_GRID.points(300)
    assert {point.context_tokens for point in shorter if point.phase == "decode"} == {32, 240}
    assert max(point.new_tokens for point in shorter if point.phase == "prefill") == 256
    with pytest.raises(ValueError, match="no decode step of grid 'quick' fits a context of 20"):
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
