"""Devices that slow down while they work, by hand: a step of 10 ms at full speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import LatencyProfile, StepLaw
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.domain.sustained import in_the_long_run, points_of
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from dsd_plan.replay.whole_run import whole_run
from tests.replay.builder import closed, points, poisson, profile, recorded, system, tiring, token_trace
from tests.replay.test_twin import assert_identical

STEP = StepLaw(step_ms=10.0)


def near(deployed: Deployed) -> Deployed:
    return replace(deployed, streams=tuple(replace(stream, up=(), down=()) for stream in deployed.streams))


def arrivals(law: LatencyProfile, output: int) -> tuple[float, float]:
    run = whole_run(near(system(recorded([0.0, 1000.0], [1, 1], [output, 1]), mode="target_only", target=law)))
    return float(run.first_ms[0]), float(run.last_ms[0])


def test_speed_falls_straight_between_rows() -> None:
    """Full speed until 10 ms of work, half from 30 ms on: begun at 0, 10, 20 1/3 …"""
    law = tiring(STEP, (0.0, 1.0), (0.010, 1.0), (0.030, 0.5))
    at_20 = 1.0 - 0.5 * (20.0 - 10.0) / 20.0  # the third step begins at 20 ms
    assert arrivals(law, 3) == pytest.approx((10.0, 20.0 + 10.0 / at_20))
    # The next begins at 33.3 ms, and takes the long run's 20 ms.
    assert arrivals(law, 4)[1] == pytest.approx(20.0 + 10.0 / at_20 + 20.0)


def test_only_work_counts() -> None:
    """As above, with an hour of nothing after the first step."""
    law = tiring(STEP, (0.0, 1.0), (0.010, 1.0), (0.030, 0.5))
    run = whole_run(near(system(recorded([0.0, 3600.0], [1, 1], [1, 3]), mode="target_only", target=law)))
    assert run.last_ms[1] - 3600e3 == pytest.approx(10.0 + 10.0 / 0.75 + 20.0)


def test_before_the_first_row_it_was_at_full_speed() -> None:
    assert points_of(tiring(STEP, (60.0, 0.8))) == ((0.0, 1.0), (60.0, 0.8))
    assert points_of(tiring(STEP, (60.0, 1.0))) == ()
    assert arrivals(tiring(STEP, (0.0, 0.5)), 1) == pytest.approx((20.0, 20.0))


def test_the_draft_device_slows_by_its_own_work() -> None:
    """Rounds of two drafts of 5 ms and a verify of 10; the device is at half its speed from 15 ms of work on."""
    asked = recorded([0.0, 1000.0], [1, 1], [7, 1])
    deployed = system(
        asked,
        window=2,
        target=STEP,
        draft=tiring(StepLaw(step_ms=5.0), (0.0, 1.0), (0.0149, 1.0), (0.015, 0.5)),
        acceptance=token_trace([[1] * 8]),
    )
    # The first prompt takes 5 ms there beside the target's 10; the first window takes 10, the second 20.
    assert whole_run(near(deployed)).last_ms[0] == pytest.approx(10.0 + (10.0 + 10.0) + (20.0 + 10.0))


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed", "pipelined"])
def test_rounds_that_were_foreseen_tire_alike(mode: str) -> None:
    tired = [tiring(StepLaw(step_ms=ms), (0.1, 0.9), (3.0, 0.4)) for ms in (20.0, 5.0, 1.0)]
    assert_identical(
        system(closed(9, 0.1), mode=mode, target=tired[0], draft=tired[1], fused=tired[2], devices=40, replicas=2)
    )


def test_the_long_run_scales_measured_points_and_law() -> None:
    grid = points(StepLaw(step_ms=10.0, per_token_ms=0.1), (1, 8), (1, 3), (64, 256))
    tired = tiring(grid, (60.0, 0.8))
    assert in_the_long_run(grid) is grid
    slow = system(poisson(1.0), mode="target_only", target=tired).targets[0].surface
    fresh = system(poisson(1.0), mode="target_only", target=grid).targets[0].surface
    for at in ((1.0, 1.0, 64.0), (3.0, 2.0, 100.0), (64.0, 9.0, 999.0)):
        assert decode_ms(slow, *at) == pytest.approx(decode_ms(fresh, *at) / 0.8)


def test_the_model_predicts_the_long_run_and_says_so() -> None:
    tired, slow = tiring(STEP, (600.0, 0.5)), profile(StepLaw(step_ms=20.0), "target")
    told, as_slow = (predict(system(poisson(1.0), mode="target_only", target=law)) for law in (tired, slow))
    assert told.workloads[0].e2e_ms.mean == pytest.approx(as_slow.workloads[0].e2e_ms.mean)
    assert "gpu slows down: after 600 s of work its steps of any take 2.00 × as long (`sustained`); predicted" in str(
        told.notes
    )


def test_the_replay_says_how_far_it_came() -> None:
    law = tiring(STEP, (0.001, 0.5))
    found = replay(system(poisson(2.0, 10, 10), mode="target_only", target=law), requests=200, replications=2)
    (note,) = [note for note in found.notes if "slows down" in note]
    # 160 of 200 requests are measured, 10 steps of 20 ms each: about 8 s before, at most 40 s in all.
    before, after = (int(text.split()[-1]) for text in note.split(" s when")[:1] + note.split(" s at its end")[:1])
    assert 6 <= before <= 9
    assert 28 <= after <= 41
    unstable = replay(system(poisson(12.0, 10, 100), mode="target_only", cap=16, target=law), replications=1)
    assert not unstable.steady
    assert unstable.devices[0].saturation == pytest.approx(12.0 * 100 * 0.020 / 16, rel=1e-3)
