"""Verbs that read and record inputs: new, check, profile show, trace record and describe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsd_plan.cli import main
from dsd_plan.domain.profile import (
    LatencyProfile,
    LatencyStats,
    LawFit,
    ProfilePoint,
    StepLaw,
)
from dsd_plan.files import load_scenario, write_profile

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def example(tmp_path: Path, capsys: Captured) -> Path:
    """The example scenario, copied by the verb itself."""
    assert main(["new", str(tmp_path / "metro")]) == 0
    capsys.readouterr()
    return tmp_path / "metro" / "scenario.toml"


def measured(points: dict[tuple[int, int], float]) -> LatencyProfile:
    """A profile whose step of (batch, new tokens) over 16 tokens of context has this median."""
    return LatencyProfile(
        device="box",
        model="small",
        origin="measured",
        fit=LawFit(law=StepLaw(step_ms=1.0, per_token_ms=0.5), mean_error=0.04, max_error=0.12, folds=2),
        points=tuple(
            ProfilePoint(
                phase="decode",
                batch=batch,
                new_tokens=new,
                context_tokens=16,
                samples=3,
                latency_ms=LatencyStats(mean=ms, std=0.0, p50=ms, p95=ms, p99=ms),
            )
            for (batch, new), ms in points.items()
        ),
    )


def test_new_refuses_to_write_over_anything(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    assert main(["new", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_new_makes_one_folder_above_its_own_and_no_more(tmp_path: Path, capsys: Captured) -> None:
    assert main(["new", str(tmp_path / "a" / "plan")]) == 0
    assert main(["new", str(tmp_path / "b" / "c" / "plan")]) == 1
    assert f"there is no folder {tmp_path / 'b'}; make it" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_new_tells_what_it_wrote(tmp_path: Path, capsys: Captured) -> None:
    assert main(["new", str(tmp_path / "metro"), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert sorted(written) == sorted(str(path) for path in (tmp_path / "metro").iterdir())


def test_check_names_every_workload_route_and_draft(example: Path, capsys: Captured) -> None:
    scenario = load_scenario(example)
    assert main(["check", str(example)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for workload in scenario.workloads:
        assert f"{workload.name} at {workload.site}" in said.out
    assert "downtown – region, 10.0 ms there and back" in said.out
    # s = 0.72, 0.53, 0.40, 0.31: a window of four emits 1 + 0.72 + 0.53 + 0.40 + 0.31 tokens.
    assert "2.96" in said.out
    assert max(map(len, said.out.splitlines())) <= 120


def test_check_as_json_is_the_resolved_scenario(example: Path, capsys: Captured) -> None:
    assert main(["check", str(example), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scenario"]["links"][0]["jitter_cv"] == 0.1
    assert told["scenario"]["pairs"][0]["wire"] == "ids"
    assert [covered["workload"] for covered in told["coverage"]] == [w["name"] for w in told["scenario"]["workloads"]]


def test_check_lists_all_problems_at_once(example: Path, capsys: Captured) -> None:
    text = example.read_text(encoding="utf-8").replace("rtt_ms = 10.0", "rtt_s = 10.0").replace('"cost"', '"money"')
    example.write_text(text, encoding="utf-8")
    assert main(["check", str(example), "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "rtt_s" in said.err
    assert "money" in said.err


def test_check_warns_where_the_search_leaves_the_measured_points(example: Path, capsys: Captured) -> None:
    profile = measured({(1, 1): 1.5, (8, 1): 5.0, (1, 3): 2.5, (8, 3): 13.0})
    write_profile(example.parent / "box.json", profile)
    law = next(line for line in example.read_text(encoding="utf-8").splitlines() if line.startswith('"llama-70b" = {'))
    text = example.read_text(encoding="utf-8").replace(law, '"llama-70b" = "box.json"')
    example.write_text(text.replace('name = "llama-70b"  ', 'name = "llama-70b"'), encoding="utf-8")
    profile_json = json.loads((example.parent / "box.json").read_text(encoding="utf-8"))
    (example.parent / "box.json").write_text(json.dumps(profile_json | {"device": "h200", "model": "llama-70b"}))
    assert main(["check", str(example)]) == 0
    said = capsys.readouterr()
    assert "warning: h200, llama-70b: " in said.err
    assert "extrapolates" in said.err
    assert said.err.count("h200, llama-70b") == 1


def test_profile_show_prints_medians_and_the_law(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "small.json"
    write_profile(path, measured({(1, 1): 1.5, (4, 1): 3.25}))
    assert main(["profile", "show", str(path)]) == 0
    said = capsys.readouterr().out
    assert ["1", "1.50"] in [line.split() for line in said.splitlines()]
    assert ["4", "3.25"] in [line.split() for line in said.splitlines()]
    assert "4.00 % mean, 12.0 % at most" in said.replace("\u202f", " ")
    assert main(["profile", "show", str(path), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)["steps"]
    assert (table["context_tokens"], table["new_tokens"]) == (16, [1])
    assert [(row["batch"], row["cells"][0]["ms"]) for row in table["rows"]] == [(1, 1.5), (4, 3.25)]


def test_a_recorded_trace_describes_itself_as_it_was_recorded(tmp_path: Path, capsys: Captured) -> None:
    path = str(tmp_path / "pair.parquet")
    size = ["--requests", "4", "--prompt-tokens", "16", "--output-tokens", "24"]
    assert main(["trace", "record", "-o", path, *size, "--json"]) == 0
    recorded = json.loads(capsys.readouterr().out)
    assert main(["trace", "describe", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == recorded
    assert recorded["tokens"] == 4 * 24
    assert recorded["tokens_per_round"]["1"] == pytest.approx(1 + recorded["all_kept"]["1"])
    assert main(["trace", "describe", path]) == 0
    assert "96 tokens of 4 requests" in capsys.readouterr().out


def test_a_table_of_another_tool_is_sent_to_the_import(tmp_path: Path, capsys: Captured) -> None:
    table = tmp_path / "azure.csv"
    table.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n", encoding="utf-8")
    for verb in ("describe", "fit"):
        assert main(["trace", verb, str(table)]) == 1
        said = capsys.readouterr().err
        assert "found TIMESTAMP, ContextTokens, GeneratedTokens" in said
        assert "`dsd-plan trace import FILE --from KIND -o OUT`" in said


def test_each_share_of_accepted_tells_what_it_is_one_of(tmp_path: Path, capsys: Captured) -> None:
    """Requests of 5 tokens, 3 of them matched: no window above 4 can be played whole."""
    from dsd_plan.domain.acceptance import TokenTrace
    from dsd_plan.files import write_acceptance
    from tests.domain.clinic import METADATA

    path = tmp_path / "t.parquet"
    match = np.array([1, 1, 0, 1, 0] * 8, dtype=np.uint8)
    write_acceptance(path, TokenTrace(metadata=METADATA, request_id=np.repeat(np.arange(8), 5), match=match))
    assert main(["trace", "describe", str(path)]) == 0
    said = capsys.readouterr().out
    assert "accepted: 60.0 % of all tokens, those after a rejection too" in said
    assert "how often a round of that window, replayed one after the other," in said
    assert "rounds of window 4; kept, of those tried," in said
    assert max(len(line) for line in said.splitlines()[1:]) <= 80


def test_a_workload_trace_is_recognised_by_its_columns(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "chat.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens\n0.0,10,20\n1.0,30,40\n4.0,20,60\n", encoding="utf-8")
    assert main(["trace", "describe", str(path)]) == 0
    said = capsys.readouterr().out
    assert "3 requests in 4.00 s, 0.500 a second" in said
    assert main(["trace", "describe", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output_tokens"]["mean"] == 40.0


@pytest.mark.parametrize("words", ["check", "profile show", "trace describe"])
def test_a_missing_file_is_bad_input(words: str, tmp_path: Path, capsys: Captured) -> None:
    assert main([*words.split(), str(tmp_path / "none.parquet")]) == 1
    assert "none.parquet: no such file" in capsys.readouterr().err


def test_examples_are_listed_with_what_they_ask(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["new", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("clinic ") and line.endswith("?") for line in lines)
    assert main(["new", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["examples"]
    assert {one["name"] for one in listed} >= {"bundled-pair", "clinic", "metro-edge", "retailer", "shared-pool"}
    assert main(["new", "--list", str(tmp_path / "metro")]) == 2
    assert main(["new"]) == 2
    assert "--list" in capsys.readouterr().err
