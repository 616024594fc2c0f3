"""The shipped example loads, fits together, and is copied without overwriting anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.plan_checks import plan_misfits
from dsd_plan.errors import InputError
from dsd_plan.files import copy_example, load_plan, load_scenario


def test_the_example_works_where_it_is_copied(tmp_path: Path) -> None:
    written = copy_example("metro-edge", tmp_path / "new" / "place")
    assert [path.name for path in written] == ["plan.json", "scenario.toml"]
    plan, scenario = load_plan(written[0]), load_scenario(written[1])
    assert scenario_problems(scenario) == ()
    assert plan_misfits(scenario, plan) == ()
    assert {stream.workload.name for stream in deploy(scenario, plan).streams} == {w.name for w in scenario.workloads}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert len(copy_example("metro-edge", tmp_path)) == 2
    scenario = load_scenario(tmp_path / "scenario.toml")
    assert [link.rtt_ms for link in scenario.links] == [10.0, 40.0, 100.0]
    with pytest.raises(InputError, match="is there already, and nothing is overwritten"):
        copy_example("metro-edge", tmp_path)


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for destination in ("mine", "mine/below"):
        with pytest.raises(InputError):
            copy_example("metro-edge", tmp_path / destination)
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_unknown_example_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such example; there is .*metro-edge"):
        copy_example("metro", tmp_path / "x")
