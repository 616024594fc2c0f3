"""A plan predicted in parts is the plan predicted whole, and a change costs the parts that it touches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import UnstableError
from dsd_plan.model import predict
from dsd_plan.optimize.choices import parts
from dsd_plan.optimize.choices.candidates import full_counts, plan_of, with_count
from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.choices.parts import Parts, around, parts_of, predict_in_parts
from dsd_plan.optimize.choices.side_by_side import Task
from tests.optimize.wide.fleets import fleet

STORES, TYPES = 15, 3


def mixed(given: Scenario) -> Choice:
    """Every third store drafts at its own box, every third beside its target, every third not at all."""
    chosen = []
    for k, workload in enumerate(given.workloads):
        target, mode = f"gpu{k % TYPES}", ("target_only", "fused", "distributed")[(k // TYPES) % 3]
        if mode == "target_only":
            chosen.append(Candidate(workload.name, "target_only", workload.target, target))
        elif mode == "fused":
            chosen.append(Candidate(workload.name, "fused", workload.target, target, given.pairs[0].draft, target, 3))
        else:
            chosen.append(
                Candidate(workload.name, "distributed", workload.target, target, given.pairs[0].draft, f"box{k}", 4)
            )
    return Choice(tuple(chosen), full_counts(given, tuple(chosen)))


def test_in_parts_is_the_same_as_whole() -> None:
    given = fleet(STORES, TYPES, seed=3, rate_per_s=0.4)
    deployed = deploy(given, plan_of(given, mixed(given)))
    assert len(parts_of(deployed)) == TYPES
    assert sorted(index for part in parts_of(deployed) for index in part) == list(range(STORES))
    whole, parts = predict(deployed), predict_in_parts(deployed, predict, {})
    assert parts.workloads == whole.workloads
    assert parts.devices == whole.devices
    assert parts.fleet == whole.fleet
    assert set(parts.notes) == set(whole.notes)


def test_a_replica_less_asks_about_one_part() -> None:
    given = fleet(STORES, TYPES, seed=3, rate_per_s=0.4)
    choice = mixed(given)
    asked: list[int] = []

    def counted(deployed: Deployed) -> Performance:
        asked.append(len(deployed.streams))
        return predict(deployed)

    known: Parts = {}
    predict_in_parts(deploy(given, plan_of(given, choice)), counted, known)
    assert asked == [STORES // TYPES] * TYPES
    fewer = Choice(choice.candidates, with_count(choice.counts, "gpu1", dict(choice.counts)["gpu1"] - 1))
    changed = deploy(given, plan_of(given, fewer))
    found = predict_in_parts(changed, counted, known)
    assert asked == [STORES // TYPES] * (TYPES + 1)
    assert found == predict(changed)


def test_around_a_workload_is_all_that_shares_a_device_with_it() -> None:
    given = fleet(STORES, TYPES, seed=3, rate_per_s=0.4)
    deployed = deploy(given, plan_of(given, mixed(given)))
    near = around(deployed, frozenset({"chat1"}))
    assert [stream.workload.name for stream in near.streams] == [f"chat{k}" for k in range(1, STORES, TYPES)]
    assert predict(near).workload("chat1") == predict(deployed).workload("chat1")


def test_many_streams_are_worked_out_side_by_side_and_unstable_ones_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    given = fleet(STORES, TYPES, seed=3, rate_per_s=0.4)
    deployed = deploy(given, plan_of(given, mixed(given)))
    handed: list[int] = []

    def run_all(tasks: Sequence[Task], ended: Callable[[int], None]) -> list[Any]:
        handed.append(len(tasks))
        return [task() for task in reversed(tasks)][::-1]

    assert predict_in_parts(deployed, predict, {}, run_all) == predict(deployed)
    assert handed == []  # too few streams
    monkeypatch.setattr(parts, "MANY_STREAMS", 1)
    known: Parts = {}
    assert predict_in_parts(deployed, predict, known, run_all) == predict(deployed)
    assert handed == [TYPES]
    busy = fleet(STORES, TYPES, seed=3, rate_per_s=40.0)
    known = {}
    with pytest.raises(UnstableError):
        predict_in_parts(deploy(busy, plan_of(busy, mixed(busy))), predict, known, run_all)
