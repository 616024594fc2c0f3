"""Where the energy goes: a lone user by hand, and sums that are the fleet's."""

from __future__ import annotations

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.run import Replayed, replayed
from tests.replay.builder import closed, poisson, system


def parts(found: Replayed, device: str) -> dict[str, float]:
    return {row["part"]: row["energy_j_per_token"] for row in found.energy_parts if row["device"] == device}


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
    )
    found = replayed(deployed, requests=200, replications=2)
    assert parts(found, "gpu") == pytest.approx({"steps": 54.0 / 41, "idle": 17.0 / 41}, rel=0.01)
    assert parts(found, "box") == pytest.approx({"drafts accepted": 3.3 / 41, "idle": 17.75 / 41}, rel=0.01)


def test_parts_sum_to_the_fleet() -> None:
    law = {"active_w": 300.0, "per_token_ms": 0.2}
    deployed = system(
        {"chat": poisson(3.0), "code": poisson(2.0), "ahead": poisson(1.0)},
        mode={"chat": "distributed", "code": "fused", "ahead": "pipelined"},
        target=StepLaw(step_ms=20.0, **law),
        draft=StepLaw(step_ms=5.0, active_w=20.0),
        fused=StepLaw(step_ms=1.0, active_w=250.0),
        devices=6,
        replicas=2,
        idle_w=50.0,
    )
    found = replayed(deployed, requests=600, replications=2)
    whole = sum(row["energy_j_per_token"] for row in found.energy_parts)
    assert whole == pytest.approx(found.pooled.fleet.energy_j_per_token)
    assert sum(row["share"] for row in found.energy_parts) == pytest.approx(1.0)
    box, gpu = parts(found, "box"), parts(found, "gpu")
    assert set(gpu) == {"steps", "drafts accepted", "drafts rejected", "idle"}
    assert set(box) == {"drafts accepted", "drafts rejected", "drafts thrown away", "idle"}
    code = found.pooled.workload("code").acceptance_rate
    assert code is not None
    assert gpu["drafts accepted"] / (gpu["drafts accepted"] + gpu["drafts rejected"]) == pytest.approx(code)


def test_what_is_not_known_is_null() -> None:
    deployed = system(poisson(2.0), mode="target_only", target=StepLaw(step_ms=20.0, active_w=300.0))
    rows = replayed(deployed, requests=100, replications=1).energy_parts
    assert [(row["part"], row["energy_j_per_token"] is None, row["share"]) for row in rows] == [
        ("steps", False, None),
        ("idle", True, None),
    ]
