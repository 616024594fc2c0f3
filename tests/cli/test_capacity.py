"""`dsd-plan capacity`: what it prints, its file, its exit codes, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsd_plan import planning
from dsd_plan.cli import main
from dsd_plan.domain.capacity import (
    Bottleneck,
    BreakDate,
    BudgetLimit,
    Capacity,
    Confirmation,
    Growth,
    Headroom,
    NextLimit,
    OneLess,
    OneMore,
    ReplayedSide,
    WorkloadGrowth,
)
from dsd_plan.domain.performance import Interval

Captured = pytest.CaptureFixture[str]

GPU = Bottleneck(name="h200", why="compute", load_if_doubled=2.5)
BOX = Bottleneck(name="downtown-box", why="draft_device", load_if_doubled=None)
TPOT = BudgetLimit(
    scope="downtown-chat",
    budget="tpot_p95_ms",
    limit=50.0,
    now=31.44,
    kept_now=True,
    load=1.804,
    interval=Interval(point=1.804, low=1.52, high=2.04),
    alone=2.11,
    saturates=False,
    bottleneck=GPU,
)
TTFT = replace(TPOT, budget="ttft_p95_ms", limit=500.0, now=183.0, load=2.2, interval=None, saturates=True)
FOUND = Capacity(
    scenario="metro-edge",
    sentence="Holds up to 1.8 × today's load; then downtown-chat's TPOT p95 breaks because h200 is short of steps.",
    load=1.804,
    holds_now=True,
    breaks="downtown-chat: tpot_p95_ms",
    bottleneck=GPU,
    saturation_load=2.2,
    searched_to=64.0,
    resolution=0.001,
    budgets=(TPOT, TTFT),
    alone=(
        WorkloadGrowth(workload="downtown-chat", load=2.11, breaks="downtown-chat: tpot_p95_ms"),
        WorkloadGrowth(workload="island-chat", load=None, breaks=None),
    ),
    next_limits=(
        NextLimit(load=1.804, breaks="downtown-chat: tpot_p95_ms", bottleneck=GPU),
        NextLimit(load=3.1, breaks="saturation", bottleneck=BOX),
    ),
    headroom=(Headroom(device="h200", count=2, saturation=0.45, spare=0.55, load_at_knee=2.22),),
    one_more=(
        OneMore(device="h200", count=3, to_buy=True, load=2.5, gain=0.7, cost_per_hour=4.0, gain_per_cost=0.175),
    ),
    one_less=(OneLess(device="h200", count=1, load=0.9, broken=("downtown-chat: tpot_p95_ms",)),),
    notes=("verify steps are declared",),
)


@pytest.fixture
def files(tmp_path: Path, capsys: Captured) -> list[str]:
    """The arguments that name the example's scenario and plan."""
    assert main(["new", str(tmp_path / "metro")]) == 0
    capsys.readouterr()
    return [str(tmp_path / "metro" / "scenario.toml"), "--plan", str(tmp_path / "metro" / "edge.plan.json")]


def stub(monkeypatch: pytest.MonkeyPatch, found: Capacity) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def capacity(scenario: object, plan: object, **options: Any) -> Capacity:
        asked.update(options)
        return found

    monkeypatch.setattr(planning, "capacity", capacity)
    return asked


def test_the_answer_comes_first_and_its_numbers_after(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    stub(monkeypatch, FOUND)
    assert main(["capacity", *files]) == 0
    said = capsys.readouterr()
    assert " ".join(said.out.split("\n\n")[0].split()) == FOUND.sentence
    for words in ("31.4 ms of 50 ms ✓", "1.80 ×", "1.52–2.04", "h200, steps", "2.20 ×*", "> 64 ×", "2.50 ×†", "+0.175"):
        assert words in said.out
    assert "One h200 less breaks at today's load: downtown-chat TPOT p95." in said.out
    assert "downtown-box, drafting" in said.out
    assert "to buy" in said.out
    assert said.err == "warning: verify steps are declared\n"
    assert max(map(len, said.out.splitlines())) <= 80


def test_without_any_interval_the_column_is_gone_and_the_reason_is_told(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    why = "at 1.8 × today's load: no intervals: at one end of what was measured of step times, h200 is saturated"
    stub(monkeypatch, replace(FOUND, budgets=(replace(TPOT, interval=None), TTFT), notes=(why,)))
    assert main(["capacity", *files]) == 0
    said = capsys.readouterr().out
    table, after = (" ".join(part.split()) for part in said.split("\n\n")[1].split("95 % of these loads", 1))
    assert table.startswith("budget today of limit holds to short then downtown-chat TPOT p95")
    assert "–" not in table
    assert after.startswith(
        "is not known: at 1.8 × today's load: at one end of what was measured of step times, h200 is saturated."
    )


def test_devices_that_the_plan_does_not_use_are_named_with_what_would_try_them(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    stub(monkeypatch, replace(FOUND, not_used=("rent-h100",)))
    assert main(["capacity", *files]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "rent-h100 is in the scenario and not in the plan" in said
    assert "`dsd-plan optimize` with the rates of a later day chooses among all devices." in said


def test_dates_and_the_replay_are_shown(files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    growth = Growth(
        rate=0.05,
        every="month",
        start="2026-01-01",
        until="2027-12-31",
        load_at_end=3.22,
        dates=(
            BreakDate(breaks="downtown-chat: tpot_p95_ms", date="2027-01-03", kept_at_start=True),
            BreakDate(breaks="saturation", date=None, kept_at_start=True),
            BreakDate(breaks="downtown-chat: ttft_p95_ms", date=None, kept_at_start=False),
        ),
        curve=(),
    )
    replayed = Confirmation(
        breaks="downtown-chat: tpot_p95_ms",
        limit=50.0,
        below=ReplayedSide(load=1.62, observed=Interval(point=46.2, low=44.4, high=47.9), kept=True),
        above=ReplayedSide(load=1.98, observed=None, kept=False),
        verdict="agrees",
    )
    asked = stub(monkeypatch, replace(FOUND, growth=growth, replayed=replayed))
    options = ["--growth", "5%/month", "--until", "2027-12-31", "--from", "2026-01-01", "--replay", "--seed", "3"]
    assert main(["capacity", *files, *options]) == 0
    said = capsys.readouterr().out
    for words in ("2027-01-03", "after 2027-12-31", "broken today", "44.4–47.9 ms", "no steady state", "agrees"):
        assert words in said
    assert (asked["growth"], asked["until"], asked["confirm"], asked["seed"]) == ("5%/month", "2027-12-31", True, 3)
    assert asked["start"].isoformat() == "2026-01-01"


def test_the_file_holds_what_json_prints(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    stub(monkeypatch, FOUND)
    assert main(["capacity", *files, "--json", "-o", str(tmp_path / "capacity.json")]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "capacity.json").read_text(encoding="utf-8") == printed
    assert json.loads(printed) == FOUND.to_dict()


def test_a_budget_broken_today_is_exit_code_3(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    alone = (replace(FOUND.alone[0], load=1.7, broken_now=("downtown-chat: tpot_p95_ms",)), FOUND.alone[1])
    budgets = (replace(TPOT, kept_now=False, load=0.8),)
    stub(monkeypatch, replace(FOUND, holds_now=False, load=0.8, budgets=budgets, alone=alone))
    assert main(["capacity", *files]) == 3
    rows = [line.split() for line in capsys.readouterr().out.partition("growing alone")[2].splitlines()]
    assert ["downtown-chat", "broken", "today", "downtown-chat", "TPOT", "p95"] in rows


def test_a_replay_that_disagrees_is_exit_code_4(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    side = ReplayedSide(load=1.62, observed=Interval(point=56.2, low=54.4, high=57.9), kept=False)
    replayed = Confirmation(
        breaks="downtown-chat: tpot_p95_ms", limit=50.0, below=side, above=side, verdict="disagrees"
    )
    stub(monkeypatch, replace(FOUND, replayed=replayed))
    assert main(["capacity", *files, "--replay"]) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--growth", "5%/month"], "--until: is needed beside --growth"),
        (["--until", "2027-12-31"], "--growth: is needed beside --until"),
        (["--from", "2026-01-01"], "--from: means nothing without --growth"),
        (["--growth", "fast", "--until", "2099-12-31"], 'found "fast", expected a rate such as 5%/month'),
        (["--growth", "5%/month", "--until", "2026-01-01", "--from", "2026-01-01"], "does not lie after 2026-01-01"),
        (["--growth", "5%/month", "--until", "2099-01-01", "--from", "1.1.26"], "--from: found"),
    ],
)
def test_growth_that_makes_no_sense(options: list[str], words: str, files: list[str], capsys: Captured) -> None:
    assert main(["capacity", *files, *options]) == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_example_for_real(files: list[str], capsys: Captured) -> None:
    # Its plan is past its TPOT budgets at today's load, by the model.
    assert main(["capacity", *files]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("Does not hold today's load: downtown-chat's TPOT p95 is ")
    assert max(map(len, said.out.splitlines())) <= 80
