"""Recorded arrivals that are not Poisson: known paths, and a burst that the model must see."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.scenario import Mode
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model import predict
from dsd_plan.model.bursts import law_of, neighbours, path_of, points
from dsd_plan.replay.run import replay
from tests.model.systems import Chat, system


def trace(arrival_s: np.ndarray, prompt: int = 100, output: int = 40) -> RequestTrace:
    many = np.ones(arrival_s.size, dtype=np.int64)
    return RequestTrace(arrival_s=arrival_s, prompt_tokens=prompt * many, output_tokens=output * many)


def test_a_steady_stream_keeps_rate_times_stay_alive() -> None:
    """One every hundredth of a request's time: 100 are live; the last step is only partly filled."""
    at = np.arange(20_000) * 10.0
    path = path_of([at], 0.0, 1.0, np.full(400, 1000.0), 1.0)
    late = path.mean[path.mean.size // 2 : -1]
    assert late == pytest.approx(np.full(late.size, 100.0), rel=0.01)
    # Σ p(1 − p) of p = e^−x, x ≥ 0 at one a hundredth: 100 · (1 − 1/2)
    assert path.variance[-2] == pytest.approx(50.0, rel=0.02)


def test_poisson_streams_beside_a_recording_vary_fully() -> None:
    at = np.arange(2_000) * 100.0
    path = path_of([at], 0.03, 1.0, np.full(400, 1000.0), 1.0)
    assert path.mean[-2] == pytest.approx(40.0, rel=0.02)
    assert path.variance[-2] == pytest.approx(30.0 + 5.0, rel=0.03)


def test_after_a_burst_sessions_leave_one_by_one() -> None:
    """A hundred at once: e^−1 of them are left after one request's time."""
    at = np.concatenate([np.zeros(100), [10_000.0]])
    path = path_of([at], 0.0, 1.0, np.full(400, 1000.0), 1.0)
    after = int(1000.0 / path.step_ms)
    first = int(np.argmax(path.mean))
    assert path.mean[first + after] / path.mean[first] == pytest.approx(
        np.exp(-after * path.step_ms / 1000.0), rel=0.02
    )


def test_half_of_the_requests_leave_half_alive() -> None:
    at = np.arange(5_000) * 10.0
    path = path_of([at], 0.0, 0.5, np.full(400, 1000.0), 1.0)
    assert path.mean[-2] == pytest.approx(50.0, rel=0.02)
    assert path.variance[-2] == pytest.approx(50.0 - 0.25 * 50.0, rel=0.02)


def test_the_points_of_a_path_keep_its_mean() -> None:
    path = path_of([np.arange(5_000) * 10.0], 0.0, 1.0, np.full(400, 1000.0), 2.0)
    others, weights = points(path)
    law = law_of(others, weights, 2.0, 400)
    assert law.sum() == pytest.approx(1.0)
    assert 2.0 * float(law @ np.arange(400)) == pytest.approx(float(path.mean.mean()), rel=1e-6)


def test_neighbours_of_requests_in_pairs() -> None:
    """Pairs 2 ms apart, a second between pairs: windows of 8 ms begin 1, 3, 5 and 7 ms before a request.

    The earlier one sees its partner 2 ms later in the first three, the later one 2 ms earlier in the last three.
    """
    at = np.sort(np.concatenate([np.arange(100.0), np.arange(100.0) + 0.002]))
    mean, variance = neighbours(trace(at), 8.0)
    assert mean == pytest.approx(3.0 / 4.0)
    assert variance == pytest.approx(3.0 / 16.0)


def test_single_requests_have_no_neighbours() -> None:
    assert neighbours(trace(np.arange(50.0)), 8.0) == (0.0, 0.0)


def test_bursts_raise_what_users_see_and_poisson_arrivals_do_not() -> None:
    draw = np.random.default_rng(7)
    poisson = np.cumsum(draw.exponential(1.0 / 3.0, 6000))
    rates = np.where((poisson // 60.0) % 2 == 0, 0.5, 1.5)
    bursty = np.cumsum(draw.exponential(1.0 / 3.0, 6000) / rates)
    bursty *= poisson[-1] / bursty[-1]
    smooth = predict(system(Chat(mode="target_only", requests=trace(poisson)))).workloads[0]
    burst = predict(system(Chat(mode="target_only", requests=trace(bursty)))).workloads[0]
    assert burst.tpot_ms.p95 > 1.03 * smooth.tpot_ms.p95
    assert burst.e2e_ms.mean > smooth.e2e_ms.mean


@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed"])
def test_bursts_agree_with_their_replay(mode: Mode) -> None:
    """Gaps of CV 2 within slow swings of the rate; the model without bursts would say what it says of Poisson."""
    draw = np.random.default_rng(11)
    gaps = draw.gamma(0.25, 4.0, 8000)
    at = np.cumsum(gaps / np.where((np.arange(8000) // 400) % 2 == 0, 0.7, 1.6)) / 3.0
    deployed = system(Chat(mode=mode, requests=trace(at, 200, 60)))
    model = predict(deployed).workloads[0]
    seen = replay(deployed, requests=8000, replications=1).workloads[0]
    assert model.tpot_ms.mean == pytest.approx(seen.tpot_ms.mean, rel=0.06)
    assert model.tpot_ms.p95 == pytest.approx(seen.tpot_ms.p95, rel=0.12)
    assert model.ttft_ms.mean == pytest.approx(seen.ttft_ms.mean, rel=0.12)
    assert model.e2e_ms.mean == pytest.approx(seen.e2e_ms.mean, rel=0.06)


@pytest.mark.parametrize("mode", ["target_only", "fused"])
def test_short_and_long_answers_keep_their_own_times(mode: Mode) -> None:
    """Four in five answers have 20 tokens, the others 400: half of the users wait half a second, one in twenty nine."""
    draw = np.random.default_rng(3)
    at = np.cumsum(draw.exponential(0.5, 6000))
    outputs = np.where(draw.random(6000) < 0.8, 20, 400)
    requests = RequestTrace(arrival_s=at, prompt_tokens=draw.integers(20, 400, 6000), output_tokens=outputs)
    deployed = system(Chat(mode=mode, requests=requests))
    model = predict(deployed).workloads[0].e2e_ms
    seen = replay(deployed, requests=6000, replications=1).workloads[0].e2e_ms
    for statistic in ("mean", "p50", "p95", "p99"):
        assert getattr(model, statistic) == pytest.approx(getattr(seen, statistic), rel=0.06)


def test_bursts_at_shared_draft_devices_agree_with_their_replay() -> None:
    """Four devices that calm hours leave half idle and a rush overloads: Poisson arrivals would wait a fifth less."""
    draw = np.random.default_rng(21)
    gaps = draw.exponential(1.0, 6000)
    at = np.cumsum(gaps / np.where((np.arange(6000) // 300) % 4 == 3, 3.2, 0.9)) / 2.4
    requests = trace(at, 200, 60)
    deployed = system(Chat(requests=requests, devices=4, jitter_cv=0.2))
    model = predict(deployed).workloads[0]
    seen = replay(deployed, requests=6000, replications=1).workloads[0]
    poisson = predict(system(Chat(rate_per_s=requests.rate_per_s, prompt=200, output=60, devices=4, jitter_cv=0.2)))
    assert seen.tpot_ms.mean > 1.15 * poisson.workloads[0].tpot_ms.mean
    assert model.tpot_ms.mean == pytest.approx(seen.tpot_ms.mean, rel=0.12)
    assert model.e2e_ms.p95 == pytest.approx(seen.e2e_ms.p95, rel=0.2)
