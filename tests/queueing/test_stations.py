"""Limits that textbook systems share, and their refusal of loads without a steady state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.queueing.bulk import gated_closed, gated_open, mm_bulk
from dsd_plan.queueing.finite_source import exact_mva, fifo_cycle, machine_repairman
from dsd_plan.queueing.stations import erlang_b, erlang_c, mg1, mm1, mm1k, mmc

LOADS = st.floats(0.05, 0.95)


@given(LOADS)
def test_one_server_of_many_is_one_server(load: float) -> None:
    assert mmc(load, 1.0, 1) == pytest.approx(mm1(load, 1.0))


@given(LOADS)
def test_exponential_service_is_the_general_one_with_scv_1(load: float) -> None:
    assert mg1(load, 1.0, 1.0) == pytest.approx(mm1(load, 1.0))


@given(st.floats(0.1, 8.0), st.integers(1, 10))
def test_waiting_makes_more_wait_than_losing_loses(offered: float, servers: int) -> None:
    if offered < servers:
        assert erlang_c(offered, servers) >= erlang_b(offered, servers)


def test_a_large_room_is_no_limit() -> None:
    assert mm1k(0.5, 1.0, 200).present == pytest.approx(mm1(0.5, 1.0).present)


@pytest.mark.parametrize("lam", [1.0, 1.7])
def test_no_steady_state_at_or_beyond_saturation(lam: float) -> None:
    for saturated in (lambda: mm1(lam, 1.0), lambda: mmc(2 * lam, 1.0, 2), lambda: mg1(lam, 1.0, 0.5)):
        with pytest.raises(ValueError, match="no steady state"):
            saturated()
    with pytest.raises(ValueError, match="no steady state"):
        mm_bulk(4 * lam, 1.0, 4)
    with pytest.raises(ValueError, match="no steady state"):
        gated_open(lam, lambda b: float(b), 1)


def test_batches_of_one_are_a_queue_with_fixed_service() -> None:
    gated, single = gated_open(0.6, lambda b: 1.0, 1), mg1(0.6, 1.0, 0.0)
    assert gated.wait == pytest.approx(single.wait, rel=1e-9)
    assert gated.utilisation == pytest.approx(0.6)


def test_batches_of_one_with_exponential_service_are_one_server() -> None:
    assert mm_bulk(0.6, 1.0, 1).sojourn == pytest.approx(mm1(0.6, 1.0).sojourn)


def test_a_lone_customer_never_waits() -> None:
    alone = gated_closed(1, 7.0, lambda b: 3.0, 8)
    assert (alone.throughput, alone.response) == pytest.approx((0.1, 3.0))
    assert fifo_cycle(1, 3.0, 7.0) == ([0.0], [pytest.approx(0.3)])


def test_a_repairman_for_everybody_is_a_delay() -> None:
    assert machine_repairman(5, 10.0, 1.0, 5).throughput == pytest.approx(5 / 11)


def test_one_station_network_is_the_machine_repairman() -> None:
    network, closed = exact_mva(12, 5.0, [0.7]), machine_repairman(12, 5.0, 0.7, 1)
    assert (network.throughput, network.response) == pytest.approx((closed.throughput, closed.response))


def test_a_crowded_fifo_server_turns_at_its_own_speed() -> None:
    waits, loads = fifo_cycle(20, 2.0, 5.0)
    assert waits[-1] == pytest.approx(20 * 2.0 - 7.0)
    assert loads[-1] == 1.0
    assert waits == sorted(waits)
