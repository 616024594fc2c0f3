"""`profile device`: usage, what is kept and resumed, what is written, with a device whose law is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.cli import main, profile_measure
from dsd_plan.cli.profile_measure import seconds_of
from dsd_plan.files import load_profile
from dsd_plan.measure.steps import profile as measuring
from tests.measure.fake_device import FakeClock, FakeRunner

Captured = pytest.CaptureFixture[str]

AXES = ["--batch", "1,4", "--new-tokens", "1,3", "--context", "16,64", "--prompt", "16,64"]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    """In place of the bundled pair."""
    clock = FakeClock()
    found = FakeRunner(clock, noise=0.01)
    monkeypatch.setattr(profile_measure, "runners_of", lambda asked: ((found,),))
    monkeypatch.setattr(measuring, "SystemClock", lambda: clock)
    return found


def device(folder: Path, *more: str) -> int:
    return main(["profile", "device", "-o", str(folder), "--device", "box", "--power", "none", *AXES, *more])


def test_a_profile_is_written_and_nothing_else(runner: FakeRunner, tmp_path: Path, capsys: Captured) -> None:
    assert device(tmp_path, "--json") == 0
    assert [path.name for path in (tmp_path / "box").iterdir()] == ["known.json"]
    profile = load_profile(tmp_path / "box" / "known.json")
    assert {point.batch for point in profile.points} == {1, 4}
    assert profile.method is not None
    assert profile.method["grid"] == "custom"
    assert profile.held_out is not None
    assert runner.closed
    assert json.loads(capsys.readouterr().out)["profiles"][0]["file"].endswith("known.json")


def test_what_could_not_be_known_is_said(runner: FakeRunner, tmp_path: Path, capsys: Captured) -> None:
    runner._noise = 0.4
    assert device(tmp_path, "--budget-s", "3") == 0
    told = capsys.readouterr().err
    assert "medians are not known to 3 %; give more time (--budget-s)" in told


def test_an_interrupted_measurement_goes_on(runner: FakeRunner, tmp_path: Path, capsys: Captured) -> None:
    left = [40]

    def interrupt() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    runner.on_visit = interrupt
    assert device(tmp_path) == 130
    partial = tmp_path / "box" / "known.partial.json"
    kept = json.loads(partial.read_text(encoding="utf-8"))
    assert sum(len(visits) for visits in kept["visits_ms"]) == 34
    capsys.readouterr()
    assert device(tmp_path, "--resume", "--seed", "5") == 1
    assert "is another one: seed was 0, is 5" in capsys.readouterr().err
    assert device(tmp_path, "--resume") == 0
    assert not partial.exists()
    profile = load_profile(tmp_path / "box" / "known.json")
    assert profile.method is not None
    assert profile.method["resumed"] is True
    assert device(tmp_path, "--resume") == 1
    assert "known.partial.json: no such file; nothing was broken off" in capsys.readouterr().err


def test_an_unfinished_measurement_is_not_replaced_in_silence(
    runner: FakeRunner, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "known.partial.json").write_text("{}", encoding="utf-8")
    assert device(tmp_path, "--resume") == 1
    assert "measure from the start" in capsys.readouterr().err
    assert device(tmp_path) == 0
    assert "an unfinished measurement is begun anew" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_found_before_measuring(
    runner: FakeRunner, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert device(tmp_path / "file") == 1
    assert "cannot be written" in capsys.readouterr().err
    assert runner.visits == []


def test_a_grid_that_cannot_be_reached(runner: FakeRunner, tmp_path: Path, capsys: Captured) -> None:
    assert device(tmp_path, "--context", "90,400") == 0
    assert {p.context_tokens for p in load_profile(tmp_path / "box" / "known.json").points if p.phase == "decode"} == {
        90
    }
    assert device(tmp_path, "--context", "95,400") == 1
    assert "no decode step of grid 'custom' fits a context of 96 tokens: its least context is 95" in (
        capsys.readouterr().err
    )


def test_sustained_speed_and_declared_watts_are_stored(runner: FakeRunner, tmp_path: Path) -> None:
    assert main(["profile", "device", "-o", str(tmp_path), *AXES, "--sustain", "5s", "--active-w", "9"]) == 0
    profile = load_profile(tmp_path / "this-machine" / "known.json")
    assert profile.sustained is not None
    assert len(profile.sustained) == 5
    assert (profile.active_w, profile.idle_w, profile.power_source) == (9.0, None, "declared")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--model", "x"], "--model is for --backend torch or llama.cpp, not numpy"),
        (["--shape", "x", "--layers", "2,4"], "--layers is for --backend torch, not numpy"),
        (["--on", "cuda"], "--on is for --backend torch, not numpy"),
        (["--backend", "torch"], "--backend torch needs --model FOLDER or --shape NAME"),
        (["--backend", "torch", "--shape", "x", "--layers", "4,2"], "expected two rising depths"),
        (["--backend", "torch", "--shape", "x", "--gpu-layers", "3"], "--gpu-layers is for --backend llama.cpp"),
        (["--backend", "llama.cpp"], "--backend llama.cpp needs --model"),
        (["--backend", "llama.cpp", "--model", "x", "--sustain", "9"], "--sustain is not for --backend llama.cpp"),
        (["--backend", "llama.cpp", "--model", "x", "--power", "rapl"], "--power rapl is not for"),
        (["--batch", "1,x"], "--batch: found '1,x', expected whole numbers from 1"),
        (["--new-tokens", "0,1"], "--new-tokens: found '0,1'"),
        (["--sustain", "soon"], "--sustain: found 'soon', expected a time"),
        (["--active-w", "5", "--power", "rapl"], "keep one"),
        (["--energy", "--power", "none"], "--energy needs something that counts it"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    runner: FakeRunner, tmp_path: Path, capsys: Captured, options: list[str], named: str
) -> None:
    assert main(["profile", "device", "-o", str(tmp_path / "out"), *options]) == 2
    assert named in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("written", "seconds"), [("30s", 30.0), ("10m", 600.0), ("600", 600.0), ("1.5h", 5400.0)])
def test_times_as_people_write_them(written: str, seconds: float) -> None:
    assert seconds_of("--sustain", written) == seconds


def test_energy_without_a_counter_is_refused(
    runner: FakeRunner, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(kind: str, index: Any, *, on_absent: Any) -> None:
        on_absent("no counter")

    monkeypatch.setattr("dsd_plan.measure.power.find.find_meter", nothing)
    assert main(["profile", "device", "-o", str(tmp_path), *AXES, "--energy"]) == 1
    assert "--energy: nothing counts energy here: no counter" in capsys.readouterr().err
