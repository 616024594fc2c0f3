"""Draft devices that more sessions share than the model has states for."""

from __future__ import annotations

import pytest

from dsd_plan.model import predict
from dsd_plan.model.draft_queue import MOST_PEERS, Drafting, Peers, draft_wait
from tests.model.systems import Chat, system

ONE_DEVICE = Drafting(
    job=30.0,
    prefill=0.0,
    rate=0.0,
    rounds=40.0,
    cycle=100.0,
    rest=1e7,
    peers=(Peers(users=0, live=0.0, devices=1.0), Peers(users=80_000, live=20_000.0, devices=1.0)),
    even=False,
)


def test_behind_more_sessions_than_there_are_states_a_draft_waits_for_all_that_there_are() -> None:
    """The device never rests: a round lasts as long as drafting a window for each session that can be counted."""
    found = draft_wait(ONE_DEVICE)
    sessions = 432  # 16 · 3³, the first of these sizes beyond the most
    assert sessions > MOST_PEERS
    assert found.behind + ONE_DEVICE.cycle == pytest.approx(sessions * ONE_DEVICE.job + 70.0, rel=0.01)
    assert found.mean == pytest.approx(found.behind)


def test_more_users_of_one_draft_device_than_can_be_counted_are_predicted_slow() -> None:
    """Windows of 4 tokens, 5 ms each: a round lasts at least as long as one for each session that can be counted."""
    crowded = Chat(rate_per_s=None, users=15_000, think_s=1000.0, devices=1, prompt=1, output=101)
    found = predict(system(crowded, replicas=40)).workloads[0]
    assert found.tpot_ms.mean is not None
    assert found.rounds_per_request is not None
    round_ms = found.tpot_ms.mean * 100 / found.rounds_per_request
    assert round_ms == pytest.approx(432 * 20.0, rel=0.1)
