"""`trace import` and `trace synth` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsd_plan.cli import main
from dsd_plan.cli.workload_text import describe_requests, show_requests
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.files import load_requests, write_requests

ROWS = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:{second // 60:02d}:{second % 60:02d}.1234567,{100 + second},{second % 7}\n" for second in range(300)
)


def test_requests_are_imported_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "azure.csv", tmp_path / "azure.parquet"
    source.write_text(ROWS, encoding="utf-8")
    assert main(["trace", "import", str(source), "--from", "azure", "-o", str(out), "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["requests"], told["prompt_tokens"]["most"]) == (257, 399)
    assert "43 of 300 requests have no output" in shown.err
    assert load_requests(out).arrival_s.size == 257
    assert main(["trace", "describe", str(out)]) == 0
    assert "bursts: gaps have a coefficient of variation" in capsys.readouterr().out


def test_counters_are_imported_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "server.log", tmp_path / "counts.json"
    source.write_text("draft acceptance = 0.75 ( 3 accepted / 4 generated)\n", encoding="utf-8")
    line = ["trace", "import", str(source), "--from", "llama.cpp-log", "--draft", "a", "--target", "b"]
    assert main([*line, "--proposal", "argmax", "-o", str(tmp_path / "wrong.parquet")]) == 1
    assert "let the name end so" in capsys.readouterr().err
    assert main([*line, "--proposal", "argmax", "-o", str(out)]) == 0
    assert "unverified" in capsys.readouterr().err
    assert main(["trace", "describe", str(out)]) == 0
    assert "accepted: 75.0 %" in capsys.readouterr().out
    assert sorted(each.name for each in tmp_path.iterdir()) == ["counts.json", "server.log"]


def test_kinds_are_listed_and_near_ones_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "import", "--list", "--json"]) == 0
    names = [kind["name"] for kind in json.loads(capsys.readouterr().out)["kinds"]]
    assert {"azure", "vllm-metrics", "eagle"} <= set(names)
    assert main(["trace", "import", "x", "--from", "azur", "-o", "y.parquet"]) == 2
    assert "did you mean azure?" in capsys.readouterr().err
    assert main(["trace", "import", "x"]) == 2


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("azure", ["--draft", "x", "--window", "4"], "--draft, --window: of no effect with --from azure"),
        ("azure", ["--seed", "4"], "--seed: of no effect"),
        ("vllm-bench", ["--window", "4"], "--window: of no effect"),
        ("servegen", ["--span-s", "0"], "--span-s 0: expected a number above 0"),
    ],
)
def test_an_option_of_no_effect_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, options: list[str], says: str
) -> None:
    out = tmp_path / "x.parquet"
    assert main(["trace", "import", str(tmp_path), "--from", kind, "-o", str(out), *options]) == 2
    assert says in capsys.readouterr().err


def test_lengths_without_times_arrive_at_the_rate_that_is_said(tmp_path: Path) -> None:
    source, out = tmp_path / "lengths.csv", tmp_path / "out.parquet"
    source.write_text("prompt_len,output_len\n" + "7,8\n" * 2500, encoding="utf-8")
    line = ["trace", "import", str(source), "--from", "lengths", "-o", str(out)]
    assert main(line) == 1
    assert main([*line, "--rate-per-s", "5", "--seed", "3"]) == 0
    # 2,500 exponential gaps: their mean has a standard error of a fiftieth.
    assert float(load_requests(out).arrival_s[-1]) == pytest.approx(500.0, rel=4 / 50)


def test_one_folder_above_an_output_is_made_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["trace", "synth", "--rate-per-s", "3", "--span-s", "60", "--prompt-tokens", "9", "--output-tokens", "9"]
    assert main([*line, "-o", str(tmp_path / "new" / "a.parquet")]) == 0
    assert main([*line, "-o", str(tmp_path / "wrong" / "new" / "a.parquet")]) == 1
    assert f"there is no folder {tmp_path / 'wrong'}; make it" in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_synthetic_requests_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    line = ["trace", "synth", "--rate-per-s", "3", "--span-s", "600", "--prompt-tokens", "300:0.5"]
    bursty = ["--arrivals", "modulated", "--burst-ratio", "3", "--burst-s", "10", "--quiet-s", "40"]
    made = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.parquet"
        assert main([*line, *bursty, "--output-tokens", "50", "--seed", "9", "-o", str(out)]) == 0
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_more_like_a_recording_tells_how_well_it_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    line = [
        "trace",
        "synth",
        "--rate-per-s",
        "3",
        "--span-s",
        "900",
        "--prompt-tokens",
        "300:1",
        "--output-tokens",
        "9",
    ]
    assert main([*line, "-o", str(first)]) == 0
    capsys.readouterr()
    assert main(["trace", "synth", "--like", str(first), "-o", str(second), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fit"]["arrivals"] == {"law": "gaps", "cv": 1.0}
    quality = {row["what"]: row for row in told["fit"]["quality"]}
    assert abs(quality["requests a second"]["error"]) < 0.1


def test_whole_numbers_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    one = RequestTrace(np.array([0.0]), np.array([14_050]), np.array([7]), user=np.array([1]))
    show_requests("x", describe_requests(one))
    said = capsys.readouterr().out
    assert "1 request in 0 s" in said
    assert "1 user" in said.splitlines()[-1]
    assert said.count("14,050") == 6


def test_what_is_told_of_a_stream_like_a_recording_is_of_the_file_and_holds_its_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, out = tmp_path / "a.parquet", tmp_path / "b.parquet"
    rng = np.random.default_rng(4)
    prompts = rng.integers(10, 1000, 2000)
    cached = np.where(prompts > 500, prompts // 2, 0)
    at_s = np.cumsum(rng.exponential(0.5, 2000))
    write_requests(
        recording,
        RequestTrace(at_s, prompts, prompts // 3 + 1, cached_prefix_tokens=cached, user=np.arange(2000) % 7),
    )
    assert main(["trace", "synth", "--like", str(recording), "--span-s", "120", "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = load_requests(out)
    assert made.cached_prefix_tokens is not None
    # A prompt and its cached part are drawn together.
    assert (made.cached_prefix_tokens == np.where(made.prompt_tokens > 500, made.prompt_tokens // 2, 0)).all()
    quality = {row["what"]: row["made"] for row in told["fit"]["quality"]}
    span_s = float(made.arrival_s[-1] - made.arrival_s[0])
    assert quality["requests a second"] == pytest.approx((made.arrival_s.size - 1) / span_s)
    share = made.cached_prefix_tokens.sum() / made.prompt_tokens.sum()
    assert quality["cached share of prompt tokens"] == pytest.approx(share)
    assert told["notes"][-1] == "not kept of the recording: users"


def test_a_rate_that_chance_missed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.parquet"
    line = ["trace", "synth", "--rate-per-s", "3", "--prompt-tokens", "9", "--output-tokens", "9", "-o", str(out)]
    bursty = ["--arrivals", "modulated", "--burst-ratio", "3", "--burst-s", "20", "--quiet-s", "60"]
    assert main([*line, *bursty, "--span-s", "600", "--seed", "2"]) == 0
    requests = load_requests(out).arrival_s.size
    assert requests < 1700  # of 1,800 that were asked for: else the seed shows nothing
    said = capsys.readouterr().err
    assert f"asked 3.00 a second, made {requests / 600:.2f}: few bursts in 600 s, 7.50 on average" in said
    assert main([*line, "--span-s", "60000"]) == 0
    assert "asked" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate-per-s", "2"], "--prompt-tokens is missing"),
        (["--rate-per-s", "-3"], "--rate-per-s -3: expected a number above 0"),
        (["--rate-per-s", "-3"], "4 problems"),
        (["--users", "3", "--think-s", "1"], "--response-s is missing"),
        (["--users", "3", "--think-s", "1"], "--span-s is missing"),
        (["--users", "3", "--rate-per-s", "2"], "--rate-per-s has no meaning with --users"),
        (["--rate-per-s", "2", "--span-s", "9", "--gap-cv", "2"], "--prompt-tokens is missing"),
        (
            ["--rate-per-s", "0", "--prompt-tokens", "5", "--output-tokens", "5"],
            "--rate-per-s 0: expected a number above 0",
        ),
        (["--rate-per-s", "2", "--prompt-tokens", "x", "--output-tokens", "5"], "expected MEAN or MEAN:CV"),
        (["--rate-per-s", "2", "--lengths-from", "t", "--prompt-tokens", "5"], "does not go with --lengths-from"),
        (["--like", "t", "--users", "3"], "--users has no meaning with --like"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    out = tmp_path / "x.parquet"
    assert main(["trace", "synth", *options, "-o", str(out)]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()
