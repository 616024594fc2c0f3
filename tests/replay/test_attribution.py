"""Who pays and where the energy goes: a lone user by hand, sums that are the fleet's, and shares of batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.attribution import DeviceTime, Work, workload_powers
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.shared_steps import shared_ms
from dsd_plan.replay.charges import charges
from dsd_plan.replay.run import Replayed, replayed
from tests.replay.builder import closed, poisson, system
from tests.replay.runs import kernel_run


def energy(found: Replayed, device: str) -> dict[str, float | None]:
    sums: dict[str, float | None] = {}
    for row in found.energy_parts:
        if row.device == device:
            before = sums.get(row.part, 0.0)
            known = before is not None and row.energy_j_per_token is not None
            sums[row.part] = (before or 0.0) + (row.energy_j_per_token or 0.0) if known else None
    return sums


def three_modes(**more: float) -> Deployed:
    return system(
        {"chat": poisson(3.0), "code": poisson(2.0), "ahead": poisson(1.0)},
        mode={"chat": "distributed", "code": "fused", "ahead": "pipelined"},
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02, active_w=300.0),
        draft=StepLaw(step_ms=5.0, active_w=20.0),
        fused=StepLaw(step_ms=1.0, active_w=250.0),
        devices=6,
        replicas=2,
        idle_w=50.0,
        **more,  # type: ignore[arg-type]
    )


def test_a_lone_user_by_hand() -> None:
    """All accepted: 41 tokens are a prefill of 20 ms and 8 rounds of 5; one drafts 4 · 5, verifies 20, travels 20 ms.

    A cycle is 20 + 20 + 8 · 60 = 520 ms. The target steps 180 ms of it at 300 W, else draws 50 W: 54 + 17 J a request.
    The edge prefills 5 ms and drafts 160 ms at 20 W, else draws 50 W.
    """
    deployed = system(
        closed(1, 0.0, 100, 41),
        target=StepLaw(step_ms=20.0, active_w=300.0),
        draft=StepLaw(step_ms=5.0, active_w=20.0),
        acceptance=AcceptanceLaw(per_token=1.0),
        idle_w=50.0,
        cost_per_hour=3.6,
    )
    found = replayed(deployed, requests=200, replications=2)
    assert energy(found, "gpu") == pytest.approx(
        {"prefill": 6.0 / 41, "verify": 48.0 / 41, "idle": 17.0 / 41}, rel=0.01
    )
    assert energy(found, "box") == pytest.approx({"drafts accepted": 3.3 / 41, "idle": 17.75 / 41}, rel=0.01)
    shares = {(row.device, row.part): row for row in found.attribution}
    assert shares["gpu", "verify"].busy_share == pytest.approx(160.0 / 520.0, rel=0.01)
    assert shares["gpu", "verify"].cost_per_hour == pytest.approx(3.6 * 160.0 / 520.0, rel=0.01)
    assert shares["gpu", "verify"].cost_with_idle_per_hour == pytest.approx(3.6 * 160.0 / 180.0, rel=0.01)
    # 3.6 an hour is a thousandth a second; a request of .52 s has 32 drafted tokens, all accepted, of 41.
    price = 0.001 * 0.52 * 160.0 / 180.0 * 1e6
    assert shares["gpu", "verify"].cost_per_million_accepted == pytest.approx(price / 32.0, rel=0.01)
    assert shares["gpu", "verify"].cost_per_million_tokens == pytest.approx(price / 41.0, rel=0.01)
    assert shares["gpu", "verify"].energy_j_per_accepted == pytest.approx((48.0 + 17.0 * 16 / 18) / 32.0, rel=0.01)


def test_sums_are_the_fleets() -> None:
    found = replayed(three_modes(cost_per_hour=4.0), requests=600, replications=2)
    fleet = found.pooled.fleet
    assert sum(row.energy_j_per_token or 0.0 for row in found.energy_parts) == pytest.approx(fleet.energy_j_per_token)
    assert sum(row.share or 0.0 for row in found.energy_parts) == pytest.approx(1.0)
    rows = found.attribution
    for column, whole in (("cost", fleet.cost_per_hour), ("power", fleet.power_w)):
        unit = "per_hour" if column == "cost" else "w"
        assert sum(getattr(row, f"{column}_{unit}") for row in rows) == pytest.approx(whole)
        assert sum(getattr(row, f"{column}_with_idle_{unit}") for row in rows) == pytest.approx(whole)
    prices = {price.workload: price for price in found.prices}
    assert set(prices) == {"chat", "code", "ahead"}
    assert sum(price.cost_per_hour for price in found.prices) == pytest.approx(fleet.cost_per_hour)
    assert sum(price.power_w or 0.0 for price in found.prices) == pytest.approx(fleet.power_w)
    for device in found.pooled.devices:
        busy = sum(row.busy_share for row in rows if row.device == device.name)
        assert busy == pytest.approx(device.busy)


def test_drafting_is_split_as_it_was_of_use() -> None:
    found = replayed(three_modes(), requests=600, replications=2)
    box, gpu = energy(found, "box"), energy(found, "gpu")
    assert set(gpu) == {"prefill", "verify", "drafts accepted", "drafts rejected", "idle"}
    assert set(box) == {"drafts accepted", "drafts rejected", "drafts thrown away", "idle"}
    code = found.pooled.workload("code").acceptance_rate
    drafted = {row.part: row.energy_j_per_token or 0.0 for row in found.energy_parts if row.workload == "code"}
    assert drafted["drafts accepted"] / (drafted["drafts accepted"] + drafted["drafts rejected"]) == pytest.approx(code)
    thrown = {row.workload for row in found.energy_parts if row.part == "drafts thrown away"}
    assert thrown == {"ahead"}


def test_a_workloads_energy_is_what_its_prices_say() -> None:
    found = replayed(three_modes(), requests=600, replications=2)
    drawn = {price.workload: price.power_w or 0.0 for price in found.prices}
    for workload in found.pooled.workloads:
        power_w = (workload.energy_j_per_token or 0.0) * (workload.tokens_per_s or 0.0)
        assert power_w == pytest.approx(drawn[workload.name])
    assert sum(drawn.values()) == pytest.approx(found.pooled.fleet.power_w)


def test_two_workloads_by_hand() -> None:
    """Busy .3 and .1 of a device of 100 W, idle .6 at 20 W: 30 + 9 W and 10 + 3 W; the box works for one alone."""
    gpu = DeviceTime("gpu", 1, 0.0, 20.0, (Work("chat", "verify", 0.3, 100.0), Work("jobs", "decode", 0.1, 100.0)))
    box = DeviceTime("box", 2, 0.0, 5.0, (Work("chat", "drafting", 0.5, 30.0),))
    spare = DeviceTime("spare", 1, 0.0, 7.0, ())
    powers = workload_powers((gpu, box, spare))
    assert powers == pytest.approx({"chat": 30.0 + 9.0 + 15.0 + 7.5, "jobs": 13.0})
    nobody_knows = DeviceTime("gpu", 1, 0.0, None, gpu.work)
    assert workload_powers((nobody_knows, box)) == {"chat": None, "jobs": None}


def test_requests_bear_what_their_workloads_do() -> None:
    """Idle time apart; workloads that meet equally full steps, which is all that sharing step by step adds."""
    deployed = system(
        {"long": poisson(3.0, 100, 41), "short": poisson(6.0, 400, 11)},
        mode={"long": "target_only", "short": "target_only"},
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.02, active_w=300.0),
        idle_w=50.0,
    )
    sessions = kernel_run(deployed, most=3000, keep_bills=True).rows(np.arange(3000))
    worked_j = charges(deployed, sessions)["verify_energy_j"]
    found = replayed(deployed, requests=3000, replications=2)
    for index, name in enumerate(stream.workload.name for stream in deployed.streams):
        power_w = sum(row.power_w or 0.0 for row in found.attribution if row.workload == name)
        each_j = power_w / (found.pooled.workload(name).requests_per_s or 0.0)
        assert worked_j[sessions["stream"] == index].mean() == pytest.approx(each_j, rel=0.04)


def test_plain_decoding_has_a_price_too() -> None:
    deployed = system(poisson(2.0), mode="target_only", cost_per_hour=3.6)
    (price,) = replayed(deployed, requests=200, replications=2).prices
    assert [part.part for part in price.parts] == ["prefill", "decode"]
    assert price.accepted_per_s is None
    assert all(part.cost_per_million_accepted is None for part in price.parts)
    whole = sum(part.cost_per_million_tokens or 0.0 for part in price.parts)
    assert whole == pytest.approx(0.001 / price.tokens_per_s * 1e6)
    assert price.sentence.startswith(f"{whole:.3g} a million output tokens in all; decoding them costs ")


def test_what_is_not_known_is_null() -> None:
    deployed = system(poisson(2.0), mode="target_only", target=StepLaw(step_ms=20.0, active_w=300.0), cost_per_hour=1.0)
    found = replayed(deployed, requests=100, replications=1)
    assert [(row.part, row.energy_j_per_token is None, row.share) for row in found.energy_parts] == [
        ("prefill", False, None),
        ("decode", False, None),
        ("idle", True, None),
    ]
    assert [(row.power_w is None, row.power_with_idle_w is None) for row in found.attribution] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert all(row.cost_per_hour > 0.0 for row in found.attribution)


def test_a_prompt_in_a_batch_pays_for_itself_and_its_part_of_the_step() -> None:
    """One iteration of 20 + 4 · 1 + 10 ms: four verify jobs add 1 each, one prompt adds 10."""
    shares = shared_ms(34.0, np.array([1.0, 1.0, 1.0, 1.0, 10.0]), np.ones(5), 20.0)
    assert shares.tolist() == pytest.approx([5.0] * 4 + [14.0])


@given(
    st.floats(0.0, 1e6),
    st.lists(st.tuples(st.floats(0.0, 1e4), st.integers(0, 50)), min_size=1, max_size=6),
    st.floats(0.0, 1e4),
)
def test_shares_are_the_whole(whole: float, work: list[tuple[float, int]], constant: float) -> None:
    added, jobs = (np.array([one[at] for one in work], dtype=np.float64) for at in (0, 1))
    shares = shared_ms(whole, added, jobs, constant)
    somebody = float(jobs.sum()) > 0.0 or float(added.sum()) > 0.0
    assert float(shares.sum()) == pytest.approx(whole if somebody else 0.0)
    assert (shares >= 0.0).all()
