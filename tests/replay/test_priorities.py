"""Higher priorities first: orders worked by hand, and what it is good for."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, recorded, system
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical

STEP = StepLaw(step_ms=10.0)


def first_ms(deployed: Deployed, most: int) -> list[float]:
    """When first tokens come, the first stream's before the second's: 10 ms up, the target's time, 10 ms down."""
    assert_identical(deployed, 0, 0, most)
    sessions = kernel_run(deployed, 0, 0, most).tables["sessions"]
    found: list[float] = sessions["first_ms"][np.argsort(sessions["stream"], kind="stable")].tolist()
    return found


def test_the_queue_serves_higher_priorities_first_and_stops_nobody() -> None:
    """One at a time, 10 ms each: the urgent one comes during the first, and goes before the two that wait."""
    asked = {"a": recorded([0.0] * 3, [5] * 3, [1] * 3), "b": recorded([0.005], [5], [1])}
    for priority, expected in (
        ({"b": 1}, [30.0, 50.0, 60.0, 40.0]),
        ({"a": 7, "b": 7}, [30.0, 40.0, 50.0, 60.0]),
        ({"a": -1, "b": -2}, [30.0, 40.0, 50.0, 60.0]),
    ):
        deployed = system(asked, mode="target_only", cap=1, target=STEP, priority=priority)
        assert first_ms(deployed, 4) == pytest.approx(expected)


def test_equals_keep_their_order() -> None:
    """The second of the urgent comes behind the first, both before all others."""
    asked = {"a": recorded([0.0] * 3, [5] * 3, [1] * 3), "b": recorded([0.005, 0.006], [5] * 2, [1] * 2)}
    deployed = system(asked, mode="target_only", cap=1, target=STEP, priority={"b": 1})
    assert first_ms(deployed, 5) == pytest.approx([30.0, 60.0, 70.0, 40.0, 50.0])


def test_memory_goes_to_higher_priorities_first_and_none_overtakes() -> None:
    """Room for 210 tokens: two of 105 wait behind the urgent one of 200, though one of them would fit at once.

    The first holds 105 from 10 ms on, for five jobs; at 60 the urgent one has two, until 80; the others go together.
    """
    asked = {
        "a": recorded([0.0, 0.002, 0.002], [100] * 3, [5] * 3),
        "b": recorded([0.001], [198], [2]),
    }
    memory = {"memory_gib": 210 / 1024, "kv_mib": 1.0}
    deployed = system(asked, mode="target_only", target=STEP, priority={"b": 1}, **memory)  # type: ignore[arg-type]
    assert first_ms(deployed, 4) == pytest.approx([30.0, 100.0, 100.0, 80.0])
    later = {"a": asked["a"], "b": recorded([0.003], [198], [2])}
    # Behind them it finds the second admitted: from 20 ms on, until 70; then the urgent one until 90, then the third.
    deployed = system(later, mode="target_only", target=STEP, priority={"b": 1}, **memory)  # type: ignore[arg-type]
    assert first_ms(deployed, 4) == pytest.approx([30.0, 40.0, 110.0, 90.0])


def test_an_engine_seats_higher_priorities_first() -> None:
    """One sequence at a time: two tokens each, 20 ms."""
    asked = {"a": recorded([0.0] * 3, [5] * 3, [2] * 3), "b": recorded([0.005], [5], [2])}
    engine = {"max_sequences": 1, "async_scheduling": False}
    deployed = system(asked, mode="target_only", target=STEP, priority={"b": 1}, engine=engine)
    assert first_ms(deployed, 4) == pytest.approx([30.0, 70.0, 90.0, 50.0])


def test_blocks_are_taken_from_the_lowest_priority() -> None:
    """Blocks for 32 tokens; both grow from 8 to 17. The second to be admitted gives up, unless it is urgent."""
    asked = {"a": recorded([0.0], [8], [10]), "b": recorded([0.001], [8], [10])}
    engine = {"kv_blocks": 1 + 4, "kv_block_tokens": 8, "max_sequences": 9, "async_scheduling": False}
    ends = {}
    for urgent in ("a", "b"):
        deployed = system(asked, mode="target_only", target=STEP, priority={urgent: 1}, engine=engine)
        twin = assert_identical(deployed, 0, 0, 2)
        assert sum(engine.preemptions for engine in twin.engines.values()) == 1
        ends[urgent] = {s.stream.workload.name: s.arrivals_ms[-1] for s in twin.sessions}
    # Ten tokens in ten steps: the first from 10 ms on, the other one step later.
    assert ends["a"]["a"] == pytest.approx(10.0 + 100.0 + 10.0)
    assert ends["b"]["b"] == pytest.approx(20.0 + 100.0 + 10.0)
    assert ends["a"]["b"] > ends["b"]["b"]
    assert ends["b"]["a"] > ends["a"]["a"]


def test_the_urgent_hardly_wait_and_the_work_is_the_same() -> None:
    """Rounds of eight jobs at most, for 24 users: full batches all the time; the same work either way."""

    def found(priority: dict[str, int]) -> dict[str, float]:
        asked = {"calm": closed(20, 0.0, 10, 40), "urgent": poisson(0.5, 10, 40)}
        deployed = system(asked, mode="target_only", cap=8, target=StepLaw(step_ms=20.0), priority=priority)
        told = replay(deployed, requests=2000, replications=2).workloads
        return {one.name: one.tpot_ms.mean or np.nan for one in told}

    alike, ranked = found({}), found({"urgent": 1})
    # A job of the urgent waits for the iteration in progress to end, never for another: its own comes at its end.
    assert ranked["urgent"] == pytest.approx(20.0, rel=1e-6)
    assert alike["urgent"] > 2 * ranked["urgent"]
    assert ranked["calm"] == pytest.approx(alike["calm"], rel=0.01)
