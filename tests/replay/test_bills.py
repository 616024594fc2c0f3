"""What requests cost their servers: by hand, as the twin reckons it, and in sums that are the servers' whole time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.charges import charges
from dsd_plan.replay.engine import users_of
from tests.replay.builder import poisson, recorded, system, token_trace
from tests.replay.runs import kernel_run
from tests.replay.test_engine_like import systems as engine_systems
from tests.replay.test_twin import systems
from tests.replay.twin import Twin

SESSIONS = 40
SHARES = ("edge_ms", "draft_ms", "step_ms")


def assert_shared_out(deployed: Deployed, seed: int) -> None:
    """The twin's shares, and nothing lost: requests' time, nobody's and that of ended ones are the servers'."""
    run = kernel_run(deployed, seed, 1, SESSIONS, keep_bills=True)
    twin = Twin(deployed, seed, 1, users_of(deployed)["first_ms"].tolist(), SESSIONS).run()
    ledger, bills = twin.ledger, run.tables["bills"][: len(twin.sessions)]
    for what in SHARES:
        assert bills[what].tolist() == pytest.approx([ledger.shares[s][what] for s in twin.sessions], abs=1e-6), what
    for what, clocks, table, pools in (
        ("idle_ms", "replica_clocks", "replicas", twin.replicas),
        ("edge_idle_ms", "device_clocks", "devices", twin.drafts),
    ):
        servers = [server for pool in pools for server in pool]
        idle = [ledger.idle(server) for server in servers]
        of_each = [sum(by_session[s] for by_session in idle) for s in twin.sessions]
        assert bills[what].tolist() == pytest.approx(of_each, abs=1e-6), what
        clock = run.tables[clocks]
        assert clock["nobody_ms"].tolist() == pytest.approx([ledger.servers[s].nobody_ms for s in servers], abs=1e-6)
        assert clock["left_ms"].tolist() == pytest.approx([ledger.servers[s].left_ms for s in servers], abs=1e-6)
        whole = clock["idle_ms"].sum()
        assert bills[what].sum() + clock["nobody_ms"].sum() == pytest.approx(whole, abs=1e-6)
        if table == "replicas":
            assert bills["step_ms"].sum() == pytest.approx(run.tables[table]["step_ms"].sum())
            assert bills["draft_ms"].sum() == pytest.approx(run.tables[table]["draft_ms"].sum())
        else:
            worked = run.tables[table]["busy_ms"].sum()
            assert bills["edge_ms"].sum() + clock["left_ms"].sum() == pytest.approx(worked)


@given(systems(), st.integers(0, 2**70))
@settings(max_examples=60)
def test_shares_are_the_twins_and_nothing_is_lost(deployed: Deployed, seed: int) -> None:
    assert_shared_out(deployed, seed)


@given(systems(faulty=True), st.integers(0, 2**70))
@settings(max_examples=60)
def test_nothing_is_lost_under_faults(deployed: Deployed, seed: int) -> None:
    assert_shared_out(deployed, seed)


@given(engine_systems(), st.integers(0, 2**70))
@settings(max_examples=60)
def test_nothing_is_lost_at_engine_like_targets(deployed: Deployed, seed: int) -> None:
    assert_shared_out(deployed, seed)


def bills_of(deployed: Deployed, most: int) -> np.ndarray:
    return kernel_run(deployed, most=most, keep_bills=True).tables["bills"][:most]


def test_two_prompts_of_one_step_by_hand() -> None:
    """20 ms in equal parts, and 0.02 ms a token: a step of 100 and 400 tokens takes 30 ms, 12 and 18 of them."""
    deployed = system(recorded([0.0, 0.0], [100, 400], [1, 1]), mode="target_only")
    bills = bills_of(deployed, 2)
    assert bills["step_ms"].tolist() == pytest.approx([12.0, 18.0])
    # Both stand for 10 ms of the way up beside an idle replica.
    assert bills["idle_ms"].tolist() == pytest.approx([5.0, 5.0])


def test_a_lone_distributed_request_by_hand() -> None:
    """Prefill of 22 ms, the draft's 5; two rounds of 4: 20 ms to draft, 20 + 5 · 0.2 + way of 20 ms.

    From the beginning to the last token at the target: 10 + 22 + 2 · (10 + 20 + 10 + 21) = 154 ms.
    """
    deployed = system(recorded([0.0, 0.1], [100, 100], [11, 1]), acceptance=token_trace([[1] * 8]))
    (bill, _) = bills_of(deployed, 2)
    assert bill["step_ms"] == pytest.approx(22.0 + 2 * 21.0)
    assert bill["edge_ms"] == pytest.approx(45.0)
    assert bill["idle_ms"] + bill["step_ms"] < 154.0  # another came meanwhile, and shares what is idle


def test_an_idle_server_belongs_to_those_who_are_there() -> None:
    """Alone until the end, every idle moment of the replica and of the device is the request's."""
    deployed = system(recorded([0.0, 10.0], [100, 100], [11, 1]), acceptance=token_trace([[1] * 8]))
    (bill, _) = bills_of(deployed, 2)
    assert bill["idle_ms"] + bill["step_ms"] == pytest.approx(154.0)
    assert bill["edge_idle_ms"] + bill["edge_ms"] == pytest.approx(154.0)


def test_energy_and_cost_of_requests_and_of_nobody_are_the_devices() -> None:
    deployed = system(
        {"chat": poisson(3.0), "code": poisson(2.0), "ahead": poisson(1.0)},
        mode={"chat": "distributed", "code": "fused", "ahead": "pipelined"},
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, active_w=300.0),
        draft=StepLaw(step_ms=5.0, active_w=20.0),
        fused=StepLaw(step_ms=1.0, active_w=250.0),
        devices=6,
        replicas=2,
        idle_w=50.0,
        cost_per_hour=7.2,
    )
    run = kernel_run(deployed, most=300, keep_bills=True)
    found = charges(deployed, run.rows(np.arange(300)))
    replicas, devices = run.tables["replicas"], run.tables["devices"]
    targets, boxes = run.tables["replica_clocks"], run.tables["device_clocks"]
    fused_j = 250.0 * replicas["draft_ms"].sum() / 1000.0
    assert fused_j > 0.0
    assert found["verify_energy_j"].sum() == pytest.approx(300.0 * replicas["step_ms"].sum() / 1000.0)
    ended_j = 20.0 * boxes["left_ms"].sum() / 1000.0
    assert found["draft_energy_j"].sum() + ended_j == pytest.approx(20.0 * devices["busy_ms"].sum() / 1000.0 + fused_j)
    nobody_ms = targets["nobody_ms"].sum() + boxes["nobody_ms"].sum()
    idle_ms = targets["idle_ms"].sum() + boxes["idle_ms"].sum()
    assert found["idle_energy_j"].sum() + 50.0 * nobody_ms / 1000.0 == pytest.approx(50.0 * idle_ms / 1000.0)
    # Each second of the target that somebody was there for costs 0.002.
    there_ms = (replicas["draft_ms"] + replicas["step_ms"] + targets["idle_ms"] - targets["nobody_ms"]).sum()
    assert found["cost"].sum() == pytest.approx(there_ms * 2e-6)


def test_a_power_that_is_not_known_is_null() -> None:
    deployed = system({"a": poisson(3.0), "b": poisson(3.0)}, mode={"a": "target_only", "b": "distributed"})
    sessions = kernel_run(deployed, most=20, keep_bills=True).rows(np.arange(20))
    found = charges(deployed, sessions)
    assert np.isnan(found["verify_energy_j"]).all()
    assert np.isnan(found["draft_energy_j"]).tolist() == (sessions["stream"] == 1).tolist()
    assert not found["draft_energy_j"][sessions["stream"] == 0].any()
    assert not found["cost"].any()
