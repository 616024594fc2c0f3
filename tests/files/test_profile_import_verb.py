"""`profile import` from the command line: files written, what is told, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli.app import main
from dsd_plan.files import load_profile

LAW = (10.0, 0.5, 0.05, 0.002)
"""ms a step, a sequence, a prompt token and a token of context: what the rows below are made from."""


def batched_rows(path: Path) -> Path:
    step, token, prompt, kv = LAW
    rows = []
    for pl in (1, 2, 4, 8):
        for pp in (64, 512):
            prefill_s = (step + prompt * pl * pp) / 1000
            decode_s = 16 * (step + token * pl + kv * pl * (pp + 7)) / 1000
            rows.append({"pp": pp, "tg": 16, "pl": pl, "is_pp_shared": 0, "t_pp": prefill_s, "t_tg": decode_s})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_imported_profile_is_written_with_its_law_and_its_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = batched_rows(tmp_path / "rows.jsonl")
    arguments = ["profile", "import", str(source), "--from", "llama-batched-bench", "-o", str(tmp_path / "out")]
    code = main([*arguments, "--device", "box", "--model", "tiny", "--cite", "us, here, CC0", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    path = tmp_path / "out" / "box" / "tiny.json"
    assert told["profiles"][0]["file"] == str(path)
    assert told["warnings"] == []
    profile = load_profile(path)
    assert (profile.origin, profile.citation, len(profile.points)) == ("imported", "us, here, CC0", 16)
    law = profile.fit.law
    assert [law.step_ms, law.per_token_ms, law.per_prompt_token_ms, law.per_kv_token_us / 1000] == pytest.approx(
        LAW, rel=1e-6
    )
    assert len(str((profile.method or {})["source_sha256"])) == 64


def test_what_is_missing_and_unsure_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"case": "x", "requests": [{"query_len": q, "kv_len": kv + q}] * batch, "median_us": 9000.0 + batch + q + kv}
        for q in (1, 4)
        for kv in (0, 100)
        for batch in (1, 2)
    ]
    source = tmp_path / "forward.json"
    source.write_text(json.dumps(rows), encoding="utf-8")
    arguments = ["profile", "import", str(source), "--from", "vllm-forward", "-o", str(tmp_path)]
    assert main(arguments) == 1
    assert "give --device and --model" in capsys.readouterr().err
    assert main([*arguments, "--device", "box", "--model", "tiny"]) == 0
    told = capsys.readouterr().err
    assert "not checked against a file" in told
    assert "--cite" in told


def test_a_bad_source_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"pp": 1}\n', encoding="utf-8")
    arguments = ["profile", "import", str(source), "--from", "llama-batched-bench", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--device", "box", "--model", "tiny"]) == 1
    assert not (tmp_path / "out").exists()
    assert "line 1: tg: nothing there" in capsys.readouterr().err


def test_too_few_points_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = batched_rows(tmp_path / "rows.jsonl")
    source.write_text(source.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    arguments = ["profile", "import", str(source), "--from", "llama-batched-bench", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--device", "box", "--model", "tiny"]) == 1
    assert "too few" in capsys.readouterr().err
