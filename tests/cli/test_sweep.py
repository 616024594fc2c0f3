"""`dsd-plan sweep`: what it prints for one key, two and more, its file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan import planning
from dsd_plan.cli import main
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario

Captured = pytest.CaptureFixture[str]

RTT = "links[suburb-region].rtt_ms"
WINDOW = "plan.assignments[suburb-chat].window"


@pytest.fixture
def files(tmp_path: Path, capsys: Captured) -> list[str]:
    """The arguments that name the example's scenario and plan."""
    assert main(["new", str(tmp_path / "metro")]) == 0
    capsys.readouterr()
    return [str(tmp_path / "metro" / "scenario.toml"), "--plan", str(tmp_path / "metro" / "edge.plan.json")]


def test_one_key_makes_a_table(files: list[str], capsys: Captured) -> None:
    assert main(["sweep", *files, "--vary", f"{WINDOW}=2,9", "--vary", "load=0.5"]) == 0
    capsys.readouterr()
    assert main(["sweep", *files, "--vary", f"{WINDOW}=2,9"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 points: 0 keep every workload's budgets, 1 do not, 1 have no numbers.\n  1 × assign")
    assert "window 9 lies outside" in said
    rows = [line.split() for line in said.partition("TPOT p95 by workload")[2].splitlines()]
    two = next(row for row in rows if row[:1] == ["2"])
    assert two[-2:] == ["downtown-box", "0.54"]
    assert next(row for row in rows if row[:1] == ["9"])[1:4] == ["refused"] * 3
    assert max(map(len, said.splitlines())) <= 80


def test_two_keys_make_a_map_a_workload(files: list[str], capsys: Captured) -> None:
    assert main(["sweep", *files, "--vary", f"{RTT}=20,80", "--vary", "load=0.5,3", "--show", "ttft_p95_ms"]) == 0
    said = capsys.readouterr().out
    assert "4 points: 1 keep every workload's budgets, 1 do not, 2 have no numbers." in said
    assert "2 × h200 is full" in said
    maps = said.split("\n\n")[1:]
    assert [one.splitlines()[0] for one in maps] == [
        f"{name}-chat: TTFT p95, ms, over load (to the right)" for name in ("downtown", "suburb", "island")
    ]
    assert maps[0].splitlines()[1].split() == [RTT, "0.5", "3"]
    assert maps[0].splitlines()[2].split()[2:] == ["✓", "full"]
    assert max(map(len, said.splitlines())) <= 80


def test_three_keys_are_told_by_the_file(files: list[str], tmp_path: Path, capsys: Captured) -> None:
    output = str(tmp_path / "sweep.csv")
    command = ["sweep", *files, "--vary", f"{RTT}=20", "--vary", "load=0.5", "--vary", f"{WINDOW}=2", "-o", output]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "3 keys make no table here" in said
    assert said.endswith(f"wrote {output}\n")
    assert main(command) == 0
    assert "1 points, 1 of them taken over from the file" in capsys.readouterr().out.replace("\n", " ")


def test_json_holds_every_row(files: list[str], capsys: Captured) -> None:
    key = "pairs[0].acceptance.per_token"
    assert main(["sweep", *files, "--vary", f"{key}=0.6,0.8", "--json"]) == 0
    said = capsys.readouterr()
    body = json.loads(said.out)
    assert body["schema"] == "dsd-plan/sweep/1"
    assert body["keys"] == [{"key": key, "values": [0.6, 0.8]}]
    assert [row[key] for row in body["rows"]] == [0.6] * 3 + [0.8] * 3
    assert f"warning: {key} takes the place of survival\n" in said.err


def test_an_interrupt_says_how_to_go_on(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    predict = planning.predict

    def stopping(scenario: Scenario, plan: Plan) -> Performance:
        if scenario.links[1].rtt_ms == 30:
            raise KeyboardInterrupt
        return predict(scenario, plan)

    monkeypatch.setattr(planning, "predict", stopping)
    assert main(["sweep", *files, "--vary", f"{RTT}=20,30", "-o", str(tmp_path / "s.parquet")]) == 130
    said = capsys.readouterr()
    assert "interrupted: 1 of 2 points; run the same command again to go on" in said.err
    firsts = [line.split()[0] for line in said.out.splitlines() if line.strip()]
    assert "20" in firsts
    assert "30" not in firsts
    assert main(["sweep", *files, "--vary", f"{RTT}=20,30", "--vary", "load=0.4,0.5"]) == 130
    maps = capsys.readouterr().out.split("\n\n")[1:]
    assert [line.split()[0] for line in maps[0].splitlines()[2:]] == ["20"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--vary", "links[suburb-region].rtt=1:2:2"], "did you mean `rtt_ms`?"),
        (["--vary", f"{RTT}=1:2"], "expected KEY=low:high:count"),
        (["--vary", f"{RTT}=slow"], "expected a number, 0 or more"),
        (["--vary", "load=1", "--show", "tpot_95_ms"], "did you mean tpot_p95_ms?"),
        (["--vary", "load=1", "--seed", "3"], "mean nothing without --replay"),
        (["--vary", "load=1", "-o", "sweep.xlsx"], "expected .parquet, .csv or .jsonl"),
    ],
)
def test_what_makes_no_sense(options: list[str], words: str, files: list[str], capsys: Captured) -> None:
    assert main(["sweep", *files, *options]) == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_without_a_key_it_says_how_it_is_used(files: list[str], capsys: Captured) -> None:
    assert main(["sweep", *files]) == 2
    assert "--vary" in capsys.readouterr().err


def test_a_page_draws_one_or_two_keys(files: list[str], tmp_path: Path, capsys: Captured) -> None:
    html = str(tmp_path / "sweep.html")
    assert main(["sweep", *files, "--vary", f"{RTT}=20,80", "--html", html]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {html}\n")
    assert "2 points: " in Path(html).read_text(encoding="utf-8")
    three = [word for key in (RTT, WINDOW, "load") for word in ("--vary", f"{key}=2")]
    assert main(["sweep", *files, *three, "--html", html]) == 1
    assert "a page draws one or two keys, found 3" in " ".join(capsys.readouterr().err.split())
