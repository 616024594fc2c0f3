"""Faults at engine-like targets, by hand: one session, steps of 10 ms, 5 ms of way; steps end at 15, 25, 35, …"""

from __future__ import annotations

from typing import Any

import pytest

from dsd_plan.domain.fleet import FaultWindow, Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.engine import Run
from dsd_plan.replay.layout import ALONE, FATE_BITS, MOVED, REFILLED, STALLED
from tests.replay.builder import recorded, system, token_trace
from tests.replay.runs import kernel_run

LINK = Link(between=("edge", "region"), rtt_ms=10.0)
CUT = {"kind": "link_down", "between": ("region", "edge"), "at_s": 0.02, "for_s": 0.08}


def played(*faults: FaultWindow, output: int = 4, ahead: bool = False, **changes: Any) -> Run:
    engine = {"kv_block_tokens": 8, "kv_blocks": 100, "async_scheduling": ahead, "prefix_cache": False}
    given = {"mode": "target_only", "target": StepLaw(step_ms=10.0), "link": LINK, "engine": engine, "faults": faults}
    return kernel_run(system(recorded([0.0, 9.0], [100, 100], [output, 1]), **(given | changes)), most=2)


def arrivals(run: Run) -> list[tuple[float, int]]:
    groups = run.tables["groups"][: int(run.worlds["logged"][0])]
    mine = groups[groups["session"] == 0]
    return list(zip(mine["arrival_ms"].tolist(), mine["tokens"].tolist(), strict=True))


def times(run: Run) -> list[float]:
    return [at_ms for at_ms, _ in arrivals(run)]


def fate(run: Run) -> int:
    return int(run.tables["sessions"]["fate"][0])


def test_a_slow_device_takes_longer_for_steps_that_it_begins() -> None:
    slow = FaultWindow(kind="slow_device", device="gpu", at_s=0.015, for_s=0.015, factor=2.0)
    assert times(played(slow)) == [20.0, 40.0, 50.0, 60.0]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_failed_server_loses_step_and_blocks_and_computes_all_again(ahead: bool) -> None:
    """15–25 is lost at 20; back at 50, prompt and first token are computed in one step, which gives the next."""
    run = played(FaultWindow(kind="device_down", device="gpu", at_s=0.02, for_s=0.03), ahead=ahead)
    assert times(run) == [20.0, 65.0, 75.0, 85.0]
    assert fate(run) == REFILLED
    assert run.tables["replicas"]["blocks"].tolist() == [99]


def test_sessions_of_a_failed_server_go_to_another() -> None:
    run = played(FaultWindow(kind="device_down", device="gpu", index=0, at_s=0.02, for_s=0.03), replicas=2)
    assert times(run) == [20.0, 35.0, 45.0, 55.0]
    assert fate(run) == MOVED | REFILLED


@pytest.mark.parametrize("ahead", [False, True])
def test_a_stream_that_is_cut_off_is_not_stepped_on(ahead: bool) -> None:
    """The token of 25 waits until 100. What was planned for the session meanwhile is not taken: five steps in all."""
    run = played(FaultWindow(**CUT), ahead=ahead)
    assert times(run) == [20.0, 105.0, 115.0, 125.0]
    assert fate(run) == STALLED
    assert run.tables["replicas"]["iterations"].tolist() == [5]


def test_blocks_are_held_for_so_long_and_computed_again() -> None:
    """Let go at 50: the step 100–110 computes prompt and answer so far, and gives the next token."""
    run = played(FaultWindow(**CUT, hold_s=0.03))
    assert times(run) == [20.0, 105.0, 115.0, 125.0]
    assert fate(run) == STALLED | REFILLED
    found = run.tables["work"][0]
    assert found["prompt_tokens"] == 100 + 102 + 100  # the first prompt, again with two tokens, the second request's


@pytest.mark.parametrize("ahead", [False, True])
def test_a_session_without_its_device_goes_on_alone_until_it_is_back(ahead: bool) -> None:
    """As at a plain server; of the steps planned ahead the one behind its way back to the draft is not taken."""
    lost = FaultWindow(kind="device_down", device="box", index=0, at_s=0.03, for_s=0.07)
    right = token_trace([[1] * 8])
    run = played(lost, output=13, ahead=ahead, mode="distributed", acceptance=right)
    alone = [(t, 1) for t in (50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0)]
    assert arrivals(run) == [(20.0, 1), *alone, (155.0, 5)]
    assert fate(run) == ALONE | 7 << FATE_BITS
    assert run.tables["replicas"]["iterations"].tolist() == [1 + 7 + 1 + 1]


def test_what_a_failed_server_had_cached_is_gone() -> None:
    """With a prefix cache nothing is found that was there before it failed."""
    engine = {"kv_block_tokens": 8, "kv_blocks": 100, "async_scheduling": False, "prefix_cache": True}
    run = played(FaultWindow(kind="device_down", device="gpu", at_s=0.02, for_s=0.03), engine=engine)
    assert run.tables["work"][0]["prompt_tokens"] == 100 + 101 + 100


def test_blocks_that_were_let_go_may_still_be_cached() -> None:
    """102 tokens: twelve full blocks of 8 are found, 6 tokens are computed."""
    engine = {"kv_block_tokens": 8, "kv_blocks": 100, "async_scheduling": False, "prefix_cache": True}
    run = played(FaultWindow(**CUT, hold_s=0.03), engine=engine)
    assert run.tables["work"][0]["prompt_tokens"] == 100 + 6 + 100
