"""What a command writes is never what it reads, nor written twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dsd_plan.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def metro(tmp_path: Path) -> Path:
    assert main(["new", str(tmp_path / "metro")]) == 0
    return tmp_path / "metro"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(command: list[str], folder: Path, capsys: Captured) -> str:
    """What it says; nothing in the folder was touched."""
    before = contents(folder)
    capsys.readouterr()
    assert main(command) == 2
    assert contents(folder) == before
    return capsys.readouterr().err


@pytest.mark.parametrize("option", ["--requests-out", "--rounds-out", "--series-out", "--timeline"])
@pytest.mark.parametrize(("written", "why"), [("scenario.toml", "SCENARIO"), ("plan.json", "--plan")])
def test_replay_writes_over_none_of_its_inputs(
    option: str, written: str, why: str, metro: Path, capsys: Captured
) -> None:
    command = ["replay", str(metro / "scenario.toml"), "--plan", str(metro / "plan.json")]
    said = refused([*command, option, str(metro / ".." / "metro" / written)], metro, capsys)
    assert f"{option} " in said
    assert f"is read by this command ({why})" in said


def test_each_output_has_a_file_of_its_own(metro: Path, capsys: Captured) -> None:
    command = ["replay", str(metro / "scenario.toml"), "--plan", str(metro / "plan.json")]
    one = str(metro / "a.csv")
    said = refused([*command, "--requests-out", one, "--rounds-out", one], metro, capsys)
    assert f"--rounds-out {one} is also --requests-out; name another file to write" in said


def test_files_that_a_scenario_names_are_inputs(metro: Path, tmp_path: Path, capsys: Captured) -> None:
    scenario, plan = metro / "scenario.toml", str(metro / "plan.json")
    (metro / "rounds.csv").write_text("precious")
    (metro / "rounds.csv.meta.json").write_text("precious")
    scenario.write_text(scenario.read_text().replace("{ survival = ", '"rounds.csv" # ', 1))
    assert '"rounds.csv"' in scenario.read_text()
    for written in ("rounds.csv", "rounds.csv.meta.json"):
        for command in (
            ["sweep", str(scenario), "--plan", plan, "--vary", "load=1", "-o"],
            ["sweep", str(scenario), "--plan", plan, "--vary", "load=1", "--html"],
            ["capacity", str(scenario), "--plan", plan, "-o"],
            ["optimize", str(scenario), "-o"],
        ):
            assert "scenario.toml names it" in refused([*command, str(metro / written)], metro, capsys)


def test_files_that_a_sweep_varies_are_inputs(metro: Path, capsys: Captured) -> None:
    (metro / "a.csv").write_text("precious")
    command = ["sweep", str(metro / "scenario.toml"), "--plan", str(metro / "plan.json")]
    vary = "workloads[0].requests=a.csv,b.csv"
    refused([*command, "--vary", vary, "-o", str(metro / "a.csv")], metro, capsys)


def test_reports_and_traces_write_over_none_of_their_inputs(tmp_path: Path, capsys: Captured) -> None:
    study, link = tmp_path / "study.json", tmp_path / "page.html"
    study.write_text("{}")
    link.hardlink_to(study)
    for command in (
        ["report", str(study), "-o", str(study)],
        ["report", str(study), "-o", str(link)],
        ["trace", "describe", str(study), "--html", str(study)],
        ["trace", "fit", str(study), "-o", str(study)],
        ["trace", "score", "--logs", str(study), "-o", str(study)],
        ["trace", "synth", "--like", str(study), "-o", str(study)],
        ["trace", "import", str(study), "--from", "engine-run", "-o", str(study)],
        ["profile", "show", str(study), "--html", str(study)],
        ["profile", "merge", str(study), str(study), "-o", str(study)],
    ):
        assert "is read by this command" in refused(command, tmp_path, capsys)


def test_a_folder_or_device_may_be_named_twice(metro: Path, capsys: Captured) -> None:
    """/dev/null is what several outputs may well be; it then has no ending that a table has, which is told."""
    copied = shutil.copy(metro / "plan.json", metro / "other.json")
    command = ["sweep", str(metro / "scenario.toml"), "--plan", copied, "--vary", "load=1"]
    assert main([*command, "-o", "/dev/null", "--html", "/dev/null"]) == 1
    assert "expected .parquet, .csv or .jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--timeline-seconds", "5"], "--timeline-seconds means nothing without --timeline FILE"),
        (["--timeline-sessions", "5"], "--timeline-sessions means nothing without --timeline FILE"),
        (["--timeline-sessions", "5", "--timeline-seconds", "5", "--timeline", "t.json"], "keep one"),
    ],
)
def test_how_long_a_timeline_lasts_is_said_once_and_of_one(
    options: list[str], said: str, metro: Path, capsys: Captured
) -> None:
    command = ["replay", str(metro / "scenario.toml"), "--plan", str(metro / "plan.json")]
    assert said in refused([*command, *options], metro, capsys)


def test_more_requests_than_anybody_waits_for_are_refused(metro: Path, capsys: Captured) -> None:
    command = ["replay", str(metro / "scenario.toml"), "--plan", str(metro / "plan.json")]
    assert "'--requests': Input should be less than or equal to 1000000000" in refused(
        [*command, "--requests", "9007199254740993"], metro, capsys
    )
