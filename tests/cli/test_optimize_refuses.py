"""What `optimize` says, and how it exits, where there is nothing to choose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.files import copy_example

USERS = "{ users = 6, think_s = 60.0, prompt_tokens = 600, output_tokens = 160 }"


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        (USERS, "{ rate_per_s = 50.0, prompt_tokens = 600, output_tokens = 160 }", 3, "hospital-node is offered 26"),
        ("memory_gib = 149.0", "memory_gib = 128.6", 3, "KV memory holds 328 tokens, one request needs 760"),
        ("memory_gib = 149.0", "memory_gib = 100.0", 1, "the weights need 128.5 GiB, the device has 100 GiB"),
        (USERS, "{ rate_per_s = 0.0, prompt_tokens = 600, output_tokens = 160 }", 1, "expected a number above 0"),
        (USERS, '"one.csv"', 1, "requests at two different times"),
        ('allowed_sites = ["clinic", "hospital"]', 'allowed_sites = ["clinic"]', 1, "which is not allowed"),
    ],
    ids=["overload", "no-room-for-one", "no-room-for-weights", "no-traffic", "one-request", "not-allowed"],
)
def test_bad_input_has_a_clear_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, code: int, says: str
) -> None:
    copy_example("clinic", tmp_path)
    path = tmp_path / "scenario.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    (tmp_path / "one.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0.0,600,160\n", encoding="utf-8")
    assert main(["optimize", str(path), "--requests", "100", "--replications", "2"]) == code
    assert says in capsys.readouterr().err


def test_what_is_printed_is_json_where_no_plan_will_do_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_example("clinic", tmp_path)
    path = tmp_path / "scenario.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("memory_gib = 149.0", "memory_gib = 128.6"))
    assert main(["optimize", str(path), "--json"]) == 3
    said = capsys.readouterr()
    found = json.loads(said.out)["infeasible"]
    assert found["budget"].endswith(": memory")
    assert found["nearest"] > found["limit"] == 1.0
    assert f"no plan keeps every budget: {found['found']}; {found['advice']}" in said.err


def test_check_says_that_one_request_has_no_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy_example("clinic", tmp_path)
    path = tmp_path / "scenario.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(USERS, '"one.csv"'), encoding="utf-8")
    (tmp_path / "one.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0.0,600,160\n", encoding="utf-8")
    assert main(["check", str(path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "`dsd-plan replay --whole` plays it; `predict`, `capacity` and `optimize` refuse it" in said


def test_check_says_what_no_plan_can_make_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy_example("clinic", tmp_path)
    path = tmp_path / "scenario.toml"
    assert main(["check", str(path)]) == 0
    assert "is sound" in capsys.readouterr().out
    path.write_text(path.read_text(encoding="utf-8").replace("memory_gib = 149.0", "memory_gib = 128.6"))
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr()
    assert "can be read, but contradicts itself" in said.out
    assert "the longest request needs 760" in said.err
    assert main(["check", str(path), "--json"]) == 0
    assert "needs 760" in json.loads(capsys.readouterr().out)["contradictions"][0]
