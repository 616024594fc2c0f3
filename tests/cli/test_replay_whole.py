"""`replay --whole`: a recording that overloads its target, played to its last token, as a user would from a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli.app import main

SCENARIO = """\
schema = 1
name = "one-gpu"
[[sites]]
name = "here"
[[models]]
name = "big"
[[devices]]
name = "gpu"
site = "here"
count = 1
memory_gib = 24.0
max_sequences = 2
token_cap = 512
kv_block_tokens = 16
kv_blocks = 1000
[devices.profiles]
"big" = { law = { step_ms = 10.0, per_token_ms = 0.0, per_prompt_token_ms = 0.0 } }
[[workloads]]
name = "chat"
site = "here"
target = "big"
requests = "run.parquet"
"""
PLAN = {
    "schema": "dsd-plan/plan/1",
    "scenario": "one-gpu",
    "assignments": [{"workload": "chat", "mode": "target_only", "target_device": "gpu"}],
    "deployments": [{"device": "gpu", "model": "big", "count": 1}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four requests at once, two places: 10 ms a step whatever it does."""
    rows = [
        {"request_id": f"r{i}", "input_toks": 16, "output_toks": 5, "arrival_time": 1000.0 + 0.0001 * i}
        for i in range(4)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = str(tmp_path / "run.parquet")
    assert main(["trace", "import", str(tmp_path / "log.jsonl"), "--from", "engine-run", "-o", out]) == 0
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    return ["replay", str(folder / "scenario.toml"), "--plan", str(folder / "plan.json"), "--whole", *more]


def test_a_log_is_played_to_its_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = folder / "seen.csv"
    assert main(command(folder, "--json", "--requests-out", str(out))) == 0
    found = json.loads(capsys.readouterr().out)["whole_run"]
    # The first step holds the first request alone (50 ms to its end); the second joins 10 ms later, and so on: of two
    # places one falls free every time a request of five steps ends. Worked by hand: 0–50, 10–60, 50–100, 60–110.
    assert found["makespan_s"] == pytest.approx(0.11, abs=1e-6)
    assert found["preemptions"] == 0
    (chat,) = found["workloads"]
    assert chat["requests"] == 4
    assert chat["tpot_ms"]["mean"] == pytest.approx(10.0)
    assert len(out.read_text().splitlines()) == 5


def test_it_is_shown_as_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(command(folder)) == 0
    text = capsys.readouterr().out
    assert "chat (4 requests, all of the recording)" in text
    assert "makespan 0.110 s" in text


def test_options_that_it_cannot_heed_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(folder, "--replications", "3", "--timeline", str(folder / "t.json"))) == 2
    told = capsys.readouterr().err
    assert "--replications" in told
    assert "--timeline" in told
    assert not (folder / "t.json").exists()


def test_a_workload_that_never_ends_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endless = SCENARIO.replace('"run.parquet"', "{ rate_per_s = 1.0, prompt_tokens = 10, output_tokens = 5 }")
    (folder / "scenario.toml").write_text(endless)
    assert main(command(folder)) == 1
    assert "is not a recording, and never ends" in capsys.readouterr().err


def plain(folder: Path, more: str = "") -> None:
    """The same folder with a plain target of two places."""
    keys = ("max_sequences", "token_cap", "kv_block_tokens", "kv_blocks")
    lines = [line for line in SCENARIO.splitlines() if not line.startswith(keys)]
    text = "\n".join(lines).replace("memory_gib = 24.0", "memory_gib = 24.0\nbatch_cap = 2")
    (folder / "scenario.toml").write_text(text + "\n" + more)


def test_a_plain_target_tells_its_mean_batch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four requests of 5 jobs at two places: the first iteration holds one job, then they are full to the last one."""
    plain(folder)
    capsys.readouterr()
    assert main(command(folder, "--json")) == 0
    found = json.loads(capsys.readouterr().out)["whole_run"]
    # 20 jobs: one alone, nine times two, one alone at the end.
    assert found["mean_batch"] == pytest.approx(20 / 11)
    assert (found["running_mean"], found["preemptions"]) == (None, None)
    assert main(command(folder)) == 0
    text = capsys.readouterr().out
    assert "1.82 jobs in an iteration" in text
    assert "sessions in a step" not in text
    assert "preemptions" not in text


def test_a_whole_run_has_its_notes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Room for one session of 21 tokens: three of four wait; one fault slows, the other never comes."""
    faults = (
        '[[faults]]\nkind = "slow_device"\ndevice = "gpu"\nat_s = 0.01\nfor_s = 0.01\nfactor = 2.0\n'
        '[[faults]]\nkind = "device_down"\ndevice = "gpu"\nat_s = 1e8\nfor_s = 1.0\n'
    )
    plain(folder, faults)
    text = (
        (folder / "scenario.toml")
        .read_text()
        .replace('"big"\n[[devices]]', '"big"\nkv_mib_per_token = 1024.0\n[[devices]]')
    )
    (folder / "scenario.toml").write_text(text)
    capsys.readouterr()
    assert main(command(folder, "--json")) == 0
    expected = [
        "faults[1]: device_down at 1e+08 s: the run ended before, at 0.21 s",
        "faults: slow spells leave no mark on single requests, and are not counted",
        "gpu: 75% of requests waited for KV memory",
    ]
    assert json.loads(capsys.readouterr().out)["whole_run"]["notes"] == expected
    assert main(command(folder)) == 0
    assert "gpu: 75% of requests waited for KV memory" in " ".join(capsys.readouterr().err.split())


def test_budgets_are_judged_and_gaps_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First tokens after 10, 20, 60, 70 ms: two of four keep 30 ms; the gaps are steps of 10 ms."""
    text = (folder / "scenario.toml").read_text() + "budgets = { ttft_p95_ms = 30.0 }\n"
    (folder / "scenario.toml").write_text(text)
    capsys.readouterr()
    assert main(command(folder, "--json")) == 0
    (chat,) = json.loads(capsys.readouterr().out)["whole_run"]["workloads"]
    assert (chat["slo_attainment"], chat["itl_ms"]["p99"]) == (0.5, pytest.approx(10.0))
    assert chat["goodput_per_s"] == pytest.approx(2 / 0.11, rel=1e-3)
    assert main(command(folder)) == 0
    shown = capsys.readouterr().out
    assert "p95 ✗ 30" in shown
    assert "50.0 % within budget" in shown


@pytest.mark.parametrize("count", [1, 3])
def test_requests_of_one_instant_are_played_whole_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """They have no rate, which all that asks for a load over time says."""
    lines = ["arrival_s,prompt_tokens,output_tokens", *["7.0,16,5"] * count]
    (folder / "run.csv").write_text("\n".join(lines) + "\n")
    (folder / "scenario.toml").write_text(SCENARIO.replace("run.parquet", "run.csv"))
    capsys.readouterr()
    assert main(command(folder, "--json")) == 0
    (chat,) = json.loads(capsys.readouterr().out)["whole_run"]["workloads"]
    assert (chat["requests"], chat["ttft_ms"]["p50"]) == (count, pytest.approx(10.0))
    for verb in ("replay", "predict"):
        assert main([verb, str(folder / "scenario.toml"), "--plan", str(folder / "plan.json")]) == 1
        assert "`dsd-plan replay --whole` plays it" in " ".join(capsys.readouterr().err.split())
    assert main(["check", str(folder / "scenario.toml")]) == 0


def test_the_table_has_what_each_request_costs(folder: Path) -> None:
    """The gpu steps 110 ms at 400 W, and costs 36 an hour: all of it, for somebody is always there."""
    text = (folder / "scenario.toml").read_text().replace("law = {", "law = { active_w = 400.0,")
    (folder / "scenario.toml").write_text(text.replace("memory_gib = 24.0", "memory_gib = 24.0\ncost_per_hour = 36.0"))
    out = folder / "seen.csv"
    assert main(command(folder, "--requests-out", str(out))) == 0
    header, *rows = (line.split(",") for line in out.read_text().splitlines())
    table = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    assert sum(map(float, table["verify_energy_j"])) == pytest.approx(44.0, abs=0.01)
    assert sum(map(float, table["cost"])) == pytest.approx(0.0011, abs=1e-6)
    assert {float(value) for value in table["draft_energy_j"]} == {0.0}
