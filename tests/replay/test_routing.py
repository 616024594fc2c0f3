"""Who serves a session: choices worked by hand, and what they are good for."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import FaultWindow, Link
from dsd_plan.domain.plan import Routing
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.layout import NONE
from dsd_plan.replay.run import replay
from tests.replay.builder import poisson, recorded, system
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical

BURST = recorded([0.0] * 8, [10] * 8, [5] * 8)
NEVER_ENDS = 1e6


def slow(device: str, factor: float = 3.0) -> FaultWindow:
    """The first of a device type is slow all the time."""
    return FaultWindow(kind="slow_device", device=device, index=0, at_s=0.0, for_s=NEVER_ENDS, factor=factor)


def replicas_of(deployed: Deployed, most: int) -> list[int]:
    assert_identical(deployed, 0, 0, most)
    found: list[int] = kernel_run(deployed, 0, 0, most).tables["sessions"]["replica"].tolist()
    return found


def test_of_two_replicas_power_of_two_takes_the_emptier() -> None:
    """Both are always drawn: of eight that come at once, every pair is split."""
    found = replicas_of(system(BURST, mode="target_only", replicas=2, routing="power_of_two"), 8)
    assert [sorted(found[i : i + 2]) for i in range(0, 8, 2)] == [[0, 1]] * 4


def test_power_of_two_draws_two_that_differ_and_any_two() -> None:
    """Two at once, of four empty replicas: the second comes to the first's with chance 0, for one of two is empty."""
    burst = recorded(np.repeat(np.arange(500) * 100.0, 2).tolist(), [10] * 1000, [2] * 1000)
    run = kernel_run(system(burst, mode="target_only", replicas=4, routing="power_of_two"), most=1000)
    pairs = run.tables["sessions"]["replica"].reshape(-1, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert np.bincount(pairs.ravel(), minlength=4) == pytest.approx([250] * 4, abs=4 * np.sqrt(1000 * 3 / 16))


def test_expected_delay_learns_that_a_replica_is_slow() -> None:
    """Steps of 30 and 10 ms, and nobody ends. The second replica counts as the first until it is measured.

    Scores ((live + 1) × delay): 60 and 30, 60 and 20, 60 and 30, 60 and 40, 60 and 50, 60 and 60, 90 and 60.
    """
    asked = recorded([float(i) for i in range(8)], [10] * 8, [3000] * 8)
    deployed = system(
        asked,
        mode="target_only",
        target=StepLaw(step_ms=10.0),
        replicas=2,
        routing="least_expected_delay",
        faults=[slow("gpu")],
    )
    assert replicas_of(deployed, 8) == [0, 1, 1, 1, 1, 1, 0, 1]


def test_before_anything_is_measured_the_fewest_sessions_decide() -> None:
    found = replicas_of(system(BURST, mode="target_only", replicas=3, routing="least_expected_delay"), 8)
    assert found == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("draft_cap", [None, 2])
def test_expected_delay_learns_that_a_draft_device_is_slow(draft_cap: int | None) -> None:
    """Windows of 60 and 20 ms, known when the verdict comes 2 s later; sessions meet seldom on so long a way."""
    asked = recorded([5.07 * i for i in range(7)], [10] * 7, [100] * 7)
    deployed = system(
        asked,
        link=Link(between=("edge", "region"), rtt_ms=2000.0),
        devices=2,
        draft_cap=draft_cap,
        draft_routing="least_expected_delay",
        # Where jobs queue no faults of the devices are played: then both are alike, and take turns.
        faults=[slow("box")] if draft_cap is None else [],
    )
    assert_identical(deployed, 0, 0, 7)
    run = kernel_run(deployed, 0, 0, 7)
    expected = [0, 1, 1, 1, 1, 1, 0] if draft_cap is None else [0, 1, 0, 1, 0, 1, 0]
    assert run.tables["sessions"]["device"].tolist() == expected
    means = [60.0, 20.0] if draft_cap is None else [20.0, 20.0]
    assert run.tables["devices"]["delay_ms"] == pytest.approx(means, rel=0.1)


def test_what_is_asked_of_a_device_teaches_only_when_its_verdict_comes() -> None:
    """The second comes when the first window is done but not answered: both devices are unknown. Later, not."""
    link = Link(between=("edge", "region"), rtt_ms=2000.0)
    for second_s, expected in ((2.5, [0.0, 0.0]), (5.0, [20.0, 0.0])):
        asked = recorded([0.0, second_s, second_s], [10] * 3, [100] * 3)
        deployed = system(asked, link=link, devices=2, draft_routing="least_expected_delay")
        run = Run(tables_of(deployed), keys_of(deployed, 0, 0), users_of(deployed), 3)
        run.mark_at(1000.0 * second_s, NONE)
        run.advance()
        assert run.tables["devices"]["delay_ms"].tolist() == expected


def test_by_speed_a_slow_replica_gets_its_share() -> None:
    """Speeds 1/3 and 1: a quarter and three quarters of the sessions."""
    deployed = system(poisson(1.0), mode="target_only", replicas=2, routing="weighted", faults=[slow("gpu")])
    found = np.bincount(kernel_run(deployed, most=3000).tables["sessions"]["replica"])
    assert found == pytest.approx([750, 2250], abs=4 * np.sqrt(3000 * 3 / 16))


def test_by_speed_is_by_chance_where_all_are_alike() -> None:
    def found(routing: Routing) -> list[int]:
        deployed = system(poisson(5.0), replicas=3, devices=5, routing=routing, draft_routing=routing)
        sessions = kernel_run(deployed, most=200).tables["sessions"]
        return [*sessions["replica"].tolist(), *sessions["device"].tolist()]

    assert found("weighted") == found("random")


def test_what_is_learned_pays_where_replicas_differ() -> None:
    """One of four three times as slow: the fewest sessions is not the least delay, and blind chance is worst."""
    e2e = {}
    for routing in ("least_expected_delay", "jsq", "weighted", "random"):
        deployed = system(
            poisson(16.0),
            mode="target_only",
            replicas=4,
            cap=8,
            target=StepLaw(step_ms=20.0),
            routing=routing,
            faults=[slow("gpu")],
        )
        e2e[routing] = replay(deployed, requests=3000, replications=2).workloads[0].e2e_ms.mean or np.inf
    assert e2e["least_expected_delay"] < 0.9 * e2e["jsq"]
    assert e2e["weighted"] < 0.9 * e2e["random"]
