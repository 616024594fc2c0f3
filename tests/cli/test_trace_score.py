"""`trace record` and `trace score` from the command line: a log that one writes the other reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.domain.acceptance import RoundTrace, TokenTrace
from dsd_plan.files import load_acceptance

SHORT = ["--requests", "4", "--prompt-tokens", "32", "--output-tokens", "24"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("traces")
    files = ["-o", str(made / "recorded.parquet"), "--logs-out", str(made / "log.jsonl")]
    assert main(["trace", "record", *SHORT, *files]) == ExitCode.OK
    return made


def test_a_recorded_log_scores_to_the_recorded_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "scored.parquet"
    assert main(["trace", "score", "--logs", str(folder / "log.jsonl"), "-o", str(out), "--json"]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    recorded, scored = load_acceptance(folder / "recorded.parquet"), load_acceptance(out)
    assert isinstance(recorded, TokenTrace)
    assert isinstance(scored, TokenTrace)
    assert scored.match.tolist() == recorded.match.tolist()
    assert (scored.metadata.draft, scored.metadata.target) == (recorded.metadata.draft, recorded.metadata.target)
    (draft,) = told["drafts"]
    assert draft["match_rate"] == recorded.match.mean()
    assert draft["costs"]["unit"] == "target steps"
    assert [row["window"] for row in draft["windows"]] == list(range(1, 13))


def test_several_drafts_are_ranked_into_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [
        "--draft",
        "bundled",
        "--draft",
        "bytes-target-4m",
        "--verify-ms",
        "8",
        "--draft-ms",
        "1",
        "--draft-ms",
        "8",
    ]
    out = folder / "scored"
    assert main(["trace", "score", "--logs", str(folder / "log.jsonl"), "-o", str(out), *both]) == ExitCode.OK
    assert {path.name for path in out.iterdir()} == {"bytes-draft-64k.parquet", "bytes-target-4m.parquet"}
    lines = capsys.readouterr().out.splitlines()
    ranked = [line.split()[0] for line in lines if line.startswith("bytes-") and "window" not in line]
    assert ranked == ["bytes-draft-64k", "bytes-target-4m"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["-o", "out"], "let the name after -o end in .parquet"),
        (["-o", "x.parquet", "--draft", "bundled", "--draft", "bytes-target-4m"], "name a folder after -o"),
        (["-o", "x.parquet", "--verify-ms", "3"], "give --draft-ms and --verify-ms"),
        (["-o", "x.parquet", "--verify-ms", "3", "--draft-ms", "1", "--draft-ms", "2"], "--draft-ms is given 2 times"),
    ],
)
def test_usage_of_score(folder: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "score", "--logs", str(folder / "log.jsonl"), *more]) == ExitCode.USAGE
    assert says in " ".join(capsys.readouterr().err.split())


def test_several_paths_and_times_are_recorded_by_round(tmp_path: Path) -> None:
    out = tmp_path / "rounds.parquet"
    one = ["--timed", "--proposal", "sampled", "--window", "3", "--top-p", "0.9"]
    assert main(["trace", "record", *SHORT, "-o", str(out), *one]) == ExitCode.OK
    trace = load_acceptance(out)
    assert isinstance(trace, RoundTrace)
    assert trace.draft_ms is not None
    assert (trace.metadata.top_p, trace.metadata.candidates) == (0.9, 1)


@pytest.mark.parametrize(
    ("more", "says", "code"),
    [
        (["-o", "x.json"], "let the name after -o end in .parquet", ExitCode.USAGE),
        (["-o", "x.parquet", "--top-p", "0"], "--top-p 0: expected", ExitCode.USAGE),
        (["-o", "x.parquet", "--draft", "folder"], "--target and --draft go together", ExitCode.USAGE),
        (["-o", "x.parquet", "--target", "a", "--draft", "b"], "need --prompts", ExitCode.USAGE),
        (["-o", "x.parquet", "--form", "tokens", "--candidates", "2"], "a match depends on its", ExitCode.BAD_INPUT),
    ],
)
def test_usage_of_record(more: list[str], says: str, code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "record", *more]) == code
    assert says in " ".join(capsys.readouterr().err.split())
