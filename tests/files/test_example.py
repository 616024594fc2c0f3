"""The shipped example loads, fits together, and is copied without overwriting anything."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.plan_checks import plan_misfits
from dsd_plan.errors import InputError
from dsd_plan.files import copy_example, load_plan, load_scenario
from dsd_plan.files.example import EXAMPLES, Example, examples
from dsd_plan.planning import optimize, predict


def test_the_example_works_where_it_is_copied(tmp_path: Path) -> None:
    written = copy_example("metro-edge", tmp_path / "new" / "place")
    assert [path.name for path in written] == ["README.md", "edge.plan.json", "plan.json", "scenario.toml"]
    plan, scenario = load_plan(written[2]), load_scenario(written[3])
    assert scenario_problems(scenario) == ()
    assert plan_misfits(scenario, plan) == ()
    assert {stream.workload.name for stream in deploy(scenario, plan).streams} == {w.name for w in scenario.workloads}


ANSWERS = {"metro-edge": "yes", "retailer": "no", "shared-pool": "yes", "clinic": "undecided"}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_plan_of_an_example_fits_its_scenario(tmp_path: Path, name: str) -> None:
    copy_example(name, tmp_path)
    scenario = load_scenario(tmp_path / "scenario.toml")
    assert scenario.name == name
    assert scenario_problems(scenario) == ()
    for path in sorted(tmp_path.glob("*plan.json")):
        plan = load_plan(path)
        assert plan_misfits(scenario, plan) == ()
        assert {stream.workload.name for stream in deploy(scenario, plan).streams} == {
            w.name for w in scenario.workloads
        }


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_shipped_plan_keeps_its_budgets_under_the_model(tmp_path: Path, name: str) -> None:
    copy_example(name, tmp_path)
    scenario = load_scenario(tmp_path / "scenario.toml")
    seen = predict(scenario, load_plan(tmp_path / "plan.json"))
    for workload in scenario.workloads:
        for metric, statistic, limit in workload.budgets.limits():
            value = getattr(getattr(seen.workload(workload.name), f"{metric}_ms"), statistic)
            assert value is not None
            assert value <= limit


@pytest.mark.verify
@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_shipped_plan_is_the_one_that_is_chosen(tmp_path: Path, name: str) -> None:
    copy_example(name, tmp_path)
    study = optimize(load_scenario(tmp_path / "scenario.toml"))
    assert study.verdict.answer == ANSWERS[name]
    assert study.plan == load_plan(tmp_path / "plan.json")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert len(copy_example("metro-edge", tmp_path)) == 4
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


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_an_example_says_what_it_asks_and_what_to_run(example: Example) -> None:
    """Every file that its README runs a verb on is there, or written by the verb before."""
    assert example.question.endswith("?")
    assert len(example.question) <= 110
    assert example.scenarios
    words = (EXAMPLES / example.name / "README.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in words.splitlines() if line.startswith("    dsd-plan ")]
    assert {verb for verb, *_ in commands} >= {"check", "optimize", "report"}
    written = {"study.json"}
    for _, file, *more in commands:
        plans = [value for option, value in pairwise(more) if option == "--plan"]
        for name in (file, *plans):
            assert name in written or (EXAMPLES / example.name / name).is_file(), name


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_a_plan_whose_rounds_or_round_trips_are_looked_at_drafts_at_the_edge(example: Example) -> None:
    """Of plain decoding --explain tells no round, and a sweep of round trips prints one number all the way."""
    folder = EXAMPLES / example.name
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("    dsd-plan ") and ("--explain" in line or "rtt_ms=" in line):
            plan = load_plan(folder / line.split("--plan ")[1].split()[0])
            assert "distributed" in {assignment.mode for assignment in plan.assignments}, line
