"""What proposals and verdicts weigh, and how long that takes, by hand: a vocabulary of 1000 tokens, window 4."""

from __future__ import annotations

from typing import Literal

import pytest

from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, system, token_trace
from tests.replay.runs import kernel_run

Wire = Literal["ids", "ids_q", "topk", "distributions"]

LINK = Link(between=("edge", "region"), rtt_ms=10.0, uplink_mbps=0.8, downlink_mbps=0.8)
STEP = StepLaw(step_ms=10.0)


@pytest.mark.parametrize(
    ("wire", "up", "down"),
    [
        ("ids", 16.0, (8.0, 8.0)),
        ("ids_q", 24.0, (8.0, 2008.0)),
        ("topk", 72.0, (8.0, 8.0)),  # k = 3
        ("distributions", 8000.0, (8.0, 8.0)),
    ],
)
def test_what_a_round_sends(wire: Wire, up: float, down: tuple[float, float]) -> None:
    """One user, no thinking, 11 tokens: full round (4 + 1), a rejection at once (1), a full round cut from 5 to 4."""
    trace = token_trace([[1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0]])
    deployed = system(closed(1, 0.0, 100, 11), wire=wire, acceptance=trace, link=LINK, target=STEP, draft=STEP)
    messages = deployed.streams[0].messages
    assert (messages.round_up, messages.accepted_down, messages.rejected_down) == (up, *down)
    run = kernel_run(deployed, most=1)
    arrivals_ms = run.tables["groups"]["arrival_ms"][: int(run.worlds["logged"][0])]
    sent_down = (down[0], down[1], down[0])
    # 0.8 Mbit/s: 100 bytes a millisecond. Draft 40, way up 5, verify 10, way down 5.
    rounds_ms = [40.0 + up / 100 + 5.0 + 10.0 + payload / 100 + 5.0 for payload in sent_down]
    assert arrivals_ms[1:] - arrivals_ms[:-1] == pytest.approx(rounds_ms)
    assert run.tables["lanes"]["bytes"].tolist() == [400.0 + 3 * up, 4.0 + sum(sent_down)]


@pytest.mark.parametrize("wire", ["ids", "ids_q", "topk", "distributions"])
def test_model_and_replay_count_the_same_bytes(wire: Wire) -> None:
    deployed = system(closed(1, 1.0, 100, 64), wire=wire, link=LINK)
    predicted = predict(deployed).workloads[0]
    replayed = replay(deployed, requests=1500, replications=2).workloads[0]
    assert predicted.bytes_per_token is not None
    assert replayed.bytes_per_token == pytest.approx(predicted.bytes_per_token, rel=0.02)
    assert replayed.tpot_ms.mean == pytest.approx(predicted.tpot_ms.mean, rel=0.05)
