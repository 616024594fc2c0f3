"""Which recorded requests an assignment serves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.offered import lots_of, recorded_rows
from dsd_plan.domain.plan import Assignment
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.errors import PlanError
from tests.replay.builder import recorded, system
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical


def recording(n: int, talks: int | None = None) -> RequestTrace:
    """A request every 50 ms; of `talks` conversations in turn."""
    numbers = np.arange(n)
    trace = recorded(numbers * 0.05, [20 + i % 7 for i in range(n)], [3 + i % 5 for i in range(n)])
    return trace if talks is None else replace(trace, conversation=numbers % talks)


def split(requests: RequestTrace, *shares: float, mode: str = "fused") -> Deployed:
    """Shares of one workload: the first target_only, the others in `mode`."""
    whole = system(requests, mode=mode, replicas=2)
    first, *others = shares
    served = (
        Assignment(workload="chat", mode="target_only", target_device="gpu", share=first),
        *(replace(whole.plan.assignments[0], share=share) for share in others),
    )
    return deploy(whole.scenario, replace(whole.plan, assignments=served))


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5), st.sampled_from([None, 7]))
def test_every_request_is_in_one_part(weights: list[float], talks: int | None) -> None:
    ends = np.cumsum(np.array(weights) / sum(weights))
    requests = recording(500, talks)
    parts = [
        recorded_rows("chat", requests, float(low), float(high))
        for low, high in zip([0.0, *ends[:-1]], ends, strict=True)
    ]
    assert sorted(np.concatenate(parts).tolist()) == list(range(500))


def test_shares_are_right_on_average_and_a_request_keeps_its_lot() -> None:
    requests = recording(20_000)
    lots = lots_of("chat", requests)
    for share in (0.1, 0.5, 0.9):
        # Four standard deviations of a draw by each request.
        assert recorded_rows("chat", requests, 0.0, share).size / 20_000 == pytest.approx(
            share, abs=4 * (share * (1 - share) / 20_000) ** 0.5
        )
    small = set(recorded_rows("chat", requests, 0.0, 0.3).tolist())
    assert small < set(recorded_rows("chat", requests, 0.0, 0.4).tolist())
    assert abs(np.corrcoef(lots[:-1], lots[1:])[0, 1]) < 4 / 20_000**0.5
    assert abs(np.corrcoef(lots, lots_of("code", requests))[0, 1]) < 4 / 20_000**0.5


def test_a_conversation_stays_together() -> None:
    requests = recording(300, 20)
    assert requests.conversation is not None
    rows = recorded_rows("chat", requests, 0.0, 0.5)
    talks = set(requests.conversation[rows].tolist())
    assert 0 < len(talks) < 20
    assert rows.size == 15 * len(talks)


def test_a_part_is_its_rows() -> None:
    deployed = split(recording(60), 0.25, 0.75)
    rows = [stream.rows for stream in deployed.streams]
    for stream, mine in zip(deployed.streams, rows, strict=True):
        assert isinstance(stream.requests, RequestTrace)
        assert mine is not None
        assert stream.requests.arrival_s.tolist() == pytest.approx((mine * 0.05).tolist())
        assert stream.requests.prompt_tokens.tolist() == [20 + i % 7 for i in mine]


def test_the_rate_is_that_of_the_whole() -> None:
    whole = split(recording(60), 0.4, 0.6).scenario
    scenario = replace(whole, workloads=(replace(whole.workloads[0], rate_per_s=40.0),))  # recorded: 20 a second
    deployed = deploy(scenario, split(recording(60), 0.4, 0.6).plan)
    for stream in deployed.streams:
        assert stream.rows is not None
        assert isinstance(stream.requests, RequestTrace)
        assert stream.requests.arrival_s.tolist() == pytest.approx((stream.rows * 0.025).tolist())


def test_a_request_has_its_luck_in_whichever_part() -> None:
    """Keys by the number in the whole recording: the same in every plan."""
    keys = {}
    for shares in ((1.0,), (0.25, 0.75), (0.5, 0.2, 0.3)):
        sessions = kernel_run(split(recording(60), *shares), most=60).tables["sessions"][:60]
        keys[shares] = sessions["key"][np.argsort(sessions["started_ms"])].tolist()
    assert len(set(keys[1.0,])) == 60
    assert keys[1.0,] == keys[0.25, 0.75] == keys[0.5, 0.2, 0.3]


@pytest.mark.parametrize("mode", ["fused", "distributed"])
def test_kernel_and_twin_agree_on_parts(mode: str) -> None:
    assert_identical(split(recording(60, 9), 0.3, 0.3, 0.4, mode=mode))


def test_a_part_of_one_request_is_refused() -> None:
    with pytest.raises(PlanError, match=r"assignments\[0\].share: of the 4 recorded requests . fall"):
        split(recording(4), 0.01, 0.99)


def test_copies_of_a_recording_are_refused() -> None:
    with pytest.raises(PlanError, match="3 copies of a site"):
        system(recording(9), copies=3)
