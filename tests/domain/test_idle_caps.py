"""A cap that nothing heeds is told, by the model and by the replay."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.idle_caps import idle_cap_notes
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, system

NOTE = (
    "gpu: batch_cap of 8 is not heeded, for the target is engine-like: max_sequences holds (256); leave batch_cap out"
)


def engine_like(cap: int | None) -> Deployed:
    found = system(closed(2), mode="target_only", engine={"kv_blocks": 1000})
    devices = tuple(replace(device, batch_cap=cap) for device in found.scenario.devices)
    return deploy(replace(found.scenario, devices=devices), found.plan)


def test_a_cap_at_an_engine_like_target_is_told() -> None:
    assert list(idle_cap_notes(engine_like(8))) == [NOTE]
    assert NOTE in predict(engine_like(8)).notes
    assert NOTE in replay(engine_like(8), requests=40, replications=1).notes


def test_a_plan_s_cap_is_told_as_the_plan_s() -> None:
    found = engine_like(None)
    plan = replace(found.plan, deployments=tuple(replace(d, batch_cap=4) for d in found.plan.deployments))
    (note,) = idle_cap_notes(deploy(found.scenario, plan))
    assert note.startswith("gpu: its deployment's batch_cap of 4 is not heeded")


def test_where_it_is_heeded_nothing_is_told() -> None:
    assert list(idle_cap_notes(engine_like(None))) == []
    assert list(idle_cap_notes(system(closed(2), cap=8))) == []
    assert list(idle_cap_notes(system(closed(2), mode="fused", cap=8))) == []
