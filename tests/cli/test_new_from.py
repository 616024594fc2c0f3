"""`dsd-plan new --from-logs` and `--from-prometheus`: what is written loads, is tagged, and can be predicted."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import httpx
import pytest

from dsd_plan.cli import main
from dsd_plan.files import load_acceptance_counts, load_plan, load_scenario
from dsd_plan.measure.prometheus import server as prometheus_server
from tests.measure.fake_prometheus import FakePrometheus, plain, split, vllm

Captured = pytest.CaptureFixture[str]
VALUE = re.compile(r"^[\w\".-]+ = ")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """60 requests, one a second, TTFT 100 ms and TPOT 20 ms; a model whose name wants to leave its quotes."""
    path = tmp_path / "access.jsonl"
    record = {
        "model": 'org/"x"\n= 1\x7f',
        "usage": {"prompt_tokens": 400, "completion_tokens": 101},
        "ttft_ms": 100.0,
        "e2e_ms": 2100.0,
    }
    path.write_text("".join(json.dumps({"created": 0.5 + at, **record}) + "\n" for at in range(60)))
    return path


def fake(monkeypatch: pytest.MonkeyPatch, served: FakePrometheus) -> None:
    made = functools.partial(prometheus_server.Prometheus, transport=served.transport)
    monkeypatch.setattr(prometheus_server, "Prometheus", made)


def predicted(folder: Path, capsys: Captured) -> dict[str, float]:
    capsys.readouterr()
    line = ["predict", str(folder / "scenario.toml"), "--plan", str(folder / "plan.json"), "--json"]
    assert main(line) == 0
    found = json.loads(capsys.readouterr().out)
    performance = found.get("performance", found)
    told: dict[str, float] = performance["workloads"][0]["tpot_ms"]
    return told


def tags(folder: Path) -> list[str]:
    """Lines with a number or a reference, less those that only name things or places."""
    lines = (folder / "scenario.toml").read_text(encoding="utf-8").splitlines()
    structure = ("schema", "name = ", "site = ", "target = ", "draft = ", "between")
    return [line for line in lines if VALUE.match(line) and not line.startswith(structure)]


def test_logs_become_a_folder_that_runs(log: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "mine"
    assert main(["new", str(folder), "--from-logs", str(log), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    to_type = [value["name"] for value in told["values"] if value["origin"] == "to type"]
    assert to_type == ["rtt_ms", "cost_per_hour", "edge device"]
    assert all(re.search(r"# (measured|guessed|told|TYPE THIS): ", line) for line in tags(folder))
    scenario = load_scenario(folder / "scenario.toml")
    assert load_plan(folder / "plan.json").assignments[0].mode == "target_only"
    assert scenario.models[0].name == 'org/"x" = 1'
    present = json.loads((folder / "present.json").read_text(encoding="utf-8"))
    assert (present["schema"], present["source"]) == ("dsd-plan/performance/1", "measured")
    assert present["workloads"][0]["tpot_ms"]["mean"] == pytest.approx(20.0)
    # The first law is solved from the TPOT, so that the prediction of today agrees with today.
    assert predicted(folder, capsys)["mean"] == pytest.approx(20.0, rel=0.1)


def test_check_tells_what_is_left_to_type(log: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "mine"
    assert main(["new", str(folder), "--from-logs", str(log), "--price-per-hour", "2.5"]) == 0
    assert "left to type in" in capsys.readouterr().out
    assert main(["check", str(folder / "scenario.toml")]) == 0
    left = [line for line in capsys.readouterr().err.splitlines() if "left to type" in line]
    assert [line.partition(": ")[2].split(": ")[2].split(" = ")[0] for line in left] == ["rtt_ms", '"draft"']


def test_options_leave_nothing_to_type(log: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "mine"
    said = ["--rtt-ms", "35", "--edge-device", "step_ms=9,per_token_ms=0.2", "--price-per-hour", "2", "--draft", "tiny"]
    more = ["--replicas", "2", "--max-batch", "32", "--edge-devices", "5", "--acceptance", "0.8", "--model", "big"]
    log.write_text(log.read_text().replace(json.dumps('org/"x"\n= 1\x7f'), '"big"'))
    assert main(["new", str(folder), "--from-logs", str(log), *said, *more]) == 0
    assert "TYPE THIS" not in (folder / "scenario.toml").read_text(encoding="utf-8")
    scenario = load_scenario(folder / "scenario.toml")
    assert scenario.links[0].rtt_ms == 35.0
    present, edge = scenario.devices
    assert (present.count, present.batch_cap, present.cost_per_hour, edge.count) == (2, 32, 2.0, 5)
    assert edge.profiles["tiny"].fit.law.step_ms == 9.0
    capsys.readouterr()
    assert main(["check", str(folder / "scenario.toml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_to_type"] == []


def test_prometheus_becomes_a_folder_that_runs(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = vllm()
    served.grown |= {
        "vllm:spec_decode_num_drafts_total": plain(500, 500),
        "vllm:spec_decode_num_accepted_tokens_per_pos_total": split("position", {"0": [400, 400], "1": [200, 200]}),
    }
    fake(monkeypatch, served)
    monkeypatch.setenv("PROMETHEUS_TOKEN", "secret-token")
    folder = tmp_path / "mine"
    line = ["new", str(folder), "--from-prometheus", "http://prometheus.test:9090", "--last", "2h"]
    assert main([*line, "--api-key-env", "PROMETHEUS_TOKEN"]) == 0
    shown = capsys.readouterr()
    assert "secret-token" not in shown.out + shown.err + (folder / "scenario.toml").read_text(encoding="utf-8")
    assert served.authorization[0] == "Bearer secret-token"
    scenario = load_scenario(folder / "scenario.toml")
    assert scenario.devices[0].count == 2
    assert load_acceptance_counts(folder / "traces" / "acceptance.json").kept == (800, 400)
    assert (folder / "hours.csv").read_text(encoding="utf-8").splitlines()[2].partition(",")[2] == "2,400,100,8,200,20"
    assert json.loads((folder / "plan.json").read_text())["assignments"][0]["mode"] == "fused"
    assert "requests = { rate_per_s = 2, prompt_tokens = 400, output_tokens = 100 }" in (
        folder / "scenario.toml"
    ).read_text(encoding="utf-8")
    assert predicted(folder, capsys)["mean"] == pytest.approx(20.0, rel=0.1)


def test_nothing_is_written_over(log: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("important")
    assert main(["new", str(folder), "--from-logs", str(log)]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["new", str(empty), "--from-logs", str(log)]) == 0


def test_bad_input_leaves_nothing(log: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    folder = str(tmp_path / "mine")
    logs = ["new", folder, "--from-logs", str(log)]
    cases = [
        ([*logs, "--acceptance", str(tmp_path / "none.parquet")], 1, "none.parquet"),
        ([*logs, "--acceptance", "1.5"], 1, "between 0 and 1"),
        ([*logs, "--edge-device", "step=3"], 1, "step_ms=6.5"),
        ([*logs, "--edge-device", "none.json"], 1, "none.json"),
        ([*logs, "--draft", 'org/"x" = 1'], 1, "is the draft and the target"),
        ([*logs, "--kind", "eagle"], 2, "yields acceptance"),
        ([*logs, "--kind", "azur"], 2, "did you mean azure"),
        ([*logs, "--example", "metro-edge"], 2, "one of them makes a folder"),
        (["new", folder, str(log)], 2, "files stand behind --from-logs"),
        (["new", folder, "--from-prometheus", "http://h", "--last", "7x"], 1, "expected a time"),
        (["new", folder, "--from-prometheus", "ftp://h"], 1, "expected one like http"),
        (["new", folder, "--from-prometheus", "http://h", "--api-key-env", "NOT_SET"], 1, "NOT_SET is not set"),
    ]
    for line, code, said in cases:
        assert main(line) == code, line
        assert said in capsys.readouterr().err
    down = FakePrometheus({}, [])
    fake(monkeypatch, down)
    assert main(["new", folder, "--from-prometheus", "http://h"]) == 1
    assert "no metrics of vLLM" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_unreachable_server(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    made = functools.partial(prometheus_server.Prometheus, transport=httpx.MockTransport(refuse))
    monkeypatch.setattr(prometheus_server, "Prometheus", made)
    assert main(["new", str(tmp_path / "mine"), "--from-prometheus", "http://h:9090"]) == 1
    assert "cannot be reached: no route to host" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
