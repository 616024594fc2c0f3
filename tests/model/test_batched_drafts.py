"""Draft devices that take several jobs at once."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from dsd_plan.model.batched_drafts import ONE_BY_ONE, batched_cycle
from dsd_plan.replay.load import draft_saturation
from tests.model.agreement import compare
from tests.model.random_systems import random_system
from tests.model.systems import Chat, mean, system

EDGE = StepLaw(step_ms=5.0, per_token_ms=0.5, per_prompt_token_ms=0.02)


def test_two_sessions_by_hand() -> None:
    """They never share a batch: one comes while the other is served with chance p, else both are away for a while."""
    found = batched_cycle(2, np.array([20.0, 25.0]), away=60.0)
    missed = exp(-20.0 / 60.0)
    # Mean values: the device is found busy in 20 of the other's 80 ms, and on average half a job is left then.
    assert found.delay.tolist() == pytest.approx([0.0, 20.0 / 80.0 * 10.0])
    assert found.chance.tolist() == pytest.approx([0.0, 1.0 - missed])
    assert found.each.tolist() == pytest.approx([20.0, 20.0])
    assert found.batch.tolist() == pytest.approx([1.0, 1.0])


def test_three_sessions_by_hand() -> None:
    """From a batch of one, two may come; from one of two, one may: π follows from both."""
    one, two = 20.0, 25.0
    found = batched_cycle(3, np.array([one, two]), away=60.0)
    p, q = 1.0 - exp(-one / 60.0), 1.0 - exp(-two / 60.0)
    # Of two away both come with p²; behind a batch of two only one is away.
    share = p**2 / (1.0 + p**2)
    busy = (1.0 - share) * one + share * two
    empty = (1.0 - share) * (1.0 - p) ** 2 + share * (1.0 - q)
    jobs = 1.0 + share
    assert found.batch[2] == pytest.approx(jobs)
    assert found.each[2] == pytest.approx(busy / jobs)
    # A job of a batch of two lasts 5 ms longer than alone; the rest is waiting, shortened as two sessions' is.
    longer = share * 2 * (two - one) / jobs
    waiting = 3 * (busy + empty * 20.0) / jobs - 80.0 - longer
    assert found.delay[2] == pytest.approx(longer + waiting * 2.5 / (2 * (20.0 + exp(-one / 60.0) * 30.0) - 80.0))


def test_a_crowd_is_served_in_full_batches() -> None:
    times = np.array([20.0, 22.0, 24.0, 26.0])
    found = batched_cycle(60, times, away=60.0)
    assert found.batch[-1] == pytest.approx(4.0)
    assert found.delay[-1] == pytest.approx(60 * 26.0 / 4 - 80.0, rel=1e-6)
    assert np.all(np.diff(found.delay) > 0.0)
    # Beyond so many, numbers are interpolated: on a line here, as the device is full.
    assert found.delay.size == 60
    assert found.delay[ONE_BY_ONE + 20] == pytest.approx((ONE_BY_ONE + 21) * 26.0 / 4 - 80.0, rel=1e-3)


def test_a_lone_session_has_the_device_to_itself() -> None:
    lone = Chat(rate_per_s=None, users=1, edge=EDGE, devices=1)
    batched, plain = (predict(system(replace(lone, draft_cap=cap))) for cap in (8, 1))
    assert batched.workloads[0].tpot_ms == plain.workloads[0].tpot_ms
    assert batched.devices[1].busy == pytest.approx(plain.devices[1].busy)
    assert batched.devices[1].mean_batch == pytest.approx(1.0)


def test_more_at_once_is_faster_where_it_costs_little() -> None:
    chat = Chat(rate_per_s=4.0, edge=EDGE, devices=6, rtt_ms=40.0)
    found = [predict(system(replace(chat, draft_cap=cap))) for cap in (1, 2, 4)]
    tpots = [mean(performance.workloads[0].tpot_ms) for performance in found]
    assert tpots[0] > tpots[1] > tpots[2]
    assert (found[2].devices[1].mean_batch or 0.0) > 1.05
    assert (found[2].devices[1].busy or 0.0) < (found[0].devices[1].busy or 0.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_saturation_is_that_of_full_batches_as_the_replay_has_it(seed: int) -> None:
    deployed = random_system(seed, "batched", "open", "shared")
    performance = predict(deployed)
    rates = [stream.requests.rate_per_s for stream in deployed.streams]  # type: ignore[union-attr]
    for index, use in enumerate(performance.devices[1:]):
        assert use.saturation == pytest.approx(draft_saturation(deployed, index, rates), rel=0.02)


@pytest.mark.parametrize("kind", ["open", "closed"])
def test_a_random_system_agrees_with_its_replay(kind: str) -> None:
    found = compare(random_system(8, "batched", kind, "shared"), seed=8, requests=4000, replications=2)  # type: ignore[arg-type]
    assert found is not None
    for metric, error in found:
        if metric in ("tpot_ms.mean", "e2e_ms.mean", "tokens_per_s"):
            assert abs(error) < 0.10, metric
        elif metric in ("tpot_ms.p95", "ttft_ms.mean"):
            assert abs(error) < 0.15, metric
