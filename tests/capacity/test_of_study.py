"""A study holds the capacity of its plan, or says why not, and is read back as it was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dsd_plan.capacity.of_study import FEWEST_LEFT_OUT, todays, with_capacity
from dsd_plan.capacity.run import capacity_of
from dsd_plan.errors import PlanError
from dsd_plan.files import load_study, write_study
from dsd_plan.model import predict
from tests.model.systems import Chat, system
from tests.report.rich import rich_study
from tests.report.studies import full_study

DEPLOYED = system(Chat(mode="target_only", rate_per_s=0.5), batch_cap=8)
STUDY = replace(full_study(), plan=DEPLOYED.plan)


def test_a_study_holds_what_capacity_says_of_its_plan_and_tells_how_far_it_is() -> None:
    told: list[str] = []
    found = with_capacity(STUDY, DEPLOYED.scenario, predict, lambda done, total, text: told.append(text))
    assert found.capacity == capacity_of(DEPLOYED.scenario, DEPLOYED.plan, predict)
    assert found.story == STUDY.story
    assert told[0] == "how much more load the plan carries: where everything breaks"
    assert told[-1].endswith(": done")


def test_many_workloads_are_left_out_and_the_story_says_so() -> None:
    names = [f"w{at}" for at in range(FEWEST_LEFT_OUT)]
    workload = DEPLOYED.scenario.workloads[0]
    many = replace(DEPLOYED.scenario, workloads=tuple(replace(workload, name=name) for name in names))
    found = with_capacity(STUDY, many, predict)
    assert found.capacity is None
    assert found.story[-1] == (
        "how much more load the plan carries was left out: growing each of 12 workloads alone takes long; "
        "`dsd-plan capacity` tells it"
    )


def test_what_the_model_refuses_costs_no_study() -> None:
    def refuses(_: object) -> None:
        raise PlanError("plan", "is not predicted")

    found = with_capacity(STUDY, DEPLOYED.scenario, refuses)  # type: ignore[arg-type]
    assert found.capacity is None
    assert "the model cannot grow this plan's load" in found.story[-1]
    assert "is not predicted" in found.story[-1]


def test_a_robust_study_is_asked_about_todays_loads() -> None:
    given = DEPLOYED.scenario
    loaded = replace(given, search=replace(given.search, robust_load=1.5))
    for robust in (False, True):
        workload = todays(loaded, robust=robust).workloads[0]
        assert workload.requests == given.workloads[0].requests


@pytest.mark.parametrize("capacity", [True, False])
def test_a_study_with_or_without_capacity_is_read_as_it_was_written(tmp_path: Path, capacity: bool) -> None:
    study = rich_study() if capacity else replace(rich_study(), capacity=None)
    write_study(tmp_path / "study.json", study)
    found = load_study(tmp_path / "study.json")
    assert found == study
    assert (found.capacity is not None) == capacity


def test_a_study_of_before_has_no_capacity(tmp_path: Path) -> None:
    body = rich_study().to_dict()
    del body["capacity"]
    (tmp_path / "study.json").write_text(json.dumps(body))
    assert load_study(tmp_path / "study.json") == replace(rich_study(), capacity=None)
