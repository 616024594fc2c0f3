"""predict, replay, crosscheck, optimize and report: what they print, and their exit codes.

The rooms behind them are stubbed with known answers; the README's test runs them for real.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsd_plan import planning
from dsd_plan.cli import main
from dsd_plan.crosscheck import NO_INTERVAL, Crosscheck
from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Interval,
    Performance,
    Quantiles,
    WorkloadPerformance,
)
from dsd_plan.domain.study import Agreement, VerdictKind
from dsd_plan.errors import InfeasibleError, UnstableError

Captured = pytest.CaptureFixture[str]

TPOT = Quantiles(mean=31.42, p50=30.0, p95=48.0, p99=1274.0)
UNKNOWN = Quantiles()


def workload(name: str, tpot: Quantiles = TPOT) -> WorkloadPerformance:
    return WorkloadPerformance(
        name=name,
        requests=None,
        ttft_ms=Quantiles(mean=200.0, p50=190.0, p95=510.0, p99=600.0),
        tpot_ms=tpot,
        itl_ms=UNKNOWN,
        e2e_ms=UNKNOWN,
        requests_per_s=3.5,
        tokens_per_s=448.0,
        goodput_per_s=3.4,
        slo_attainment=0.972,
        tokens_per_round=2.96,
        acceptance_rate=0.49,
        rounds_per_request=43.0,
        energy_j_per_token=None,
        bytes_per_token=9.5,
    )


PERFORMANCE = Performance(
    source="model",
    workloads=tuple(workload(name) for name in ("downtown-chat", "suburb-chat", "island-chat")),
    devices=(DevicePerformance(name="h200", saturation=0.42, busy=0.99, mean_batch=8.7, power_w=None),),
    fleet=FleetPerformance(
        tokens_per_s=985.6,
        goodput_per_s=None,
        power_w=None,
        energy_j_per_token=None,
        cost_per_hour=8.8,
        cost_per_million_tokens=2.48,
    ),
    notes=("verify steps are declared",),
)


def agreement(verdict: VerdictKind) -> Agreement:
    return Agreement(
        workload="downtown-chat",
        metric="tpot_ms.mean",
        predicted=31.4,
        observed=Interval(point=30.0, low=29.0, high=31.0),
        relative_error=0.0467,
        tolerance=0.05,
        verdict=verdict,
    )


@pytest.fixture
def files(tmp_path: Path, capsys: Captured) -> list[str]:
    """The arguments that name the example's scenario and plan."""
    assert main(["new", str(tmp_path / "metro")]) == 0
    capsys.readouterr()
    return [str(tmp_path / "metro" / "scenario.toml"), "--plan", str(tmp_path / "metro" / "plan.json")]


def test_predict_shows_latencies_against_their_budgets(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(planning, "predict", lambda scenario, plan: PERFORMANCE)
    assert main(["predict", *files]) == 0
    said = capsys.readouterr()
    # downtown-chat is promised TTFT p95 500 ms and TPOT p95 50 ms.
    assert "p95 ✗ 500 ms" in said.out
    assert "p95 ✓ 50.0 ms" in said.out
    assert "1.27 s" in said.out
    assert "97.2 %" in said.out
    assert "h200" in said.out
    assert said.err == "warning: verify steps are declared\n"
    assert max(map(len, said.out.splitlines())) <= 80


def test_predict_as_json_is_the_performance(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(planning, "predict", lambda scenario, plan: PERFORMANCE)
    assert main(["predict", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == PERFORMANCE.to_dict()


def test_intervals_over_replications_are_shown(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    known = replace(PERFORMANCE.workloads[0], ci={"tpot_ms.mean": (30.5, 32.25), "ttft_ms.mean": None})
    known = replace(known, ci={**(known.ci or {}), "e2e_ms.mean": (1500.0, 1612.0)})
    replayed = replace(PERFORMANCE, source="replay", workloads=(known,))
    monkeypatch.setattr(planning, "replay", lambda *given, **options: replayed)
    assert main(["replay", *files]) == 0
    assert "means lie in (95 %, over replications): TPOT 30.5–32.2 ms, E2E 1.50–1.61 s\n" in capsys.readouterr().out


def test_replay_passes_its_options_and_says_when_nothing_settled(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked: dict[str, Any] = {}
    drifting = replace(
        PERFORMANCE, steady=False, workloads=tuple(workload(w.name, UNKNOWN) for w in PERFORMANCE.workloads)
    )

    def replayed(scenario: object, plan: object, **options: Any) -> Performance:
        asked.update(options)
        return drifting

    monkeypatch.setattr(planning, "replay", replayed)
    assert main(["replay", *files, "--seed", "7", "--requests", "100", "--replications", "2", "--rounds-out", "r"]) == 0
    said = capsys.readouterr()
    assert callable(asked.pop("on_progress"))
    tables = {"requests_out": None, "rounds_out": Path("r"), "series_out": None}
    assert asked == {"seed": 7, "requests": 100, "replications": 2, **tables}
    assert said.out.startswith("No steady state, so no latencies: ")
    assert "✓ 50.0 ms" not in said.out, "what is not known is not within its budget"


def test_a_timeline_is_written_beside_the_answer(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    monkeypatch.setattr(planning, "replay", lambda *given, **options: PERFORMANCE)
    path = tmp_path / "t.json"
    short = ["--requests", "40", "--timeline", str(path)]
    assert main(["replay", *files, *short, "--timeline-sessions", "3"]) == 0
    told = json.loads(path.read_text())
    assert told["otherData"] == {"scenario": "metro-edge", "seed": 0, "replication": 0}
    followed = [e for e in told["traceEvents"] if e["name"] == "thread_name" and "request" in e["args"]["name"]]
    assert len(followed) == 3
    assert main(["replay", *files, *short, "--timeline-seconds", "0.5"]) == 0
    assert max(e["ts"] + e.get("dur", 0.0) for e in json.loads(path.read_text())["traceEvents"]) <= 5e5


def test_an_interrupted_replay_answers_with_what_has_ended(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    note = "interrupted: 3 of 8 replications stand behind the numbers"

    def replayed(*_: object, **__: object) -> Performance:
        raise planning.Interrupted(replace(PERFORMANCE, notes=(note,)))

    monkeypatch.setattr(planning, "replay", replayed)
    assert main(["replay", *files, "--json"]) == 130
    said = capsys.readouterr()
    assert json.loads(said.out)["notes"] == [note]
    assert said.err == f"warning: {note}\n"


@pytest.mark.parametrize(("verdict", "code"), [("agrees", 0), ("undecided", 0), ("disagrees", 4)])
def test_crosscheck_exits_4_only_when_a_metric_disagrees(
    files: list[str], verdict: VerdictKind, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    checked = Crosscheck(PERFORMANCE, PERFORMANCE, (agreement("agrees"), agreement(verdict)))
    monkeypatch.setattr(planning, "crosscheck", lambda *given, **options: checked)
    assert main(["crosscheck", *files]) == code
    said = capsys.readouterr().out
    assert "29.0–31.0" in said
    assert "+4.7 %" in said
    assert verdict in said
    assert main(["crosscheck", *files, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["agreements"][1]["verdict"] == verdict


def test_crosscheck_tells_the_notes_of_both_sides_once(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    replayed = replace(PERFORMANCE, notes=(*PERFORMANCE.notes, "chat: requests are a recording"))
    checked = Crosscheck(PERFORMANCE, replayed, (agreement("agrees"),))
    monkeypatch.setattr(planning, "crosscheck", lambda *given, **options: checked)
    for options in ([], ["--json"]):
        assert main(["crosscheck", *files, *options]) == 0
        assert capsys.readouterr().err == (
            "warning: verify steps are declared\nwarning: chat: requests are a recording\n"
        )


def test_crosscheck_says_that_one_replication_has_no_interval(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    point = Interval(point=30.0, low=30.0, high=30.0, level=NO_INTERVAL)
    checked = Crosscheck(PERFORMANCE, PERFORMANCE, (replace(agreement("undecided"), observed=point),))
    monkeypatch.setattr(planning, "crosscheck", lambda *given, **options: checked)
    assert main(["crosscheck", *files, "--replications", "1"]) == 0
    said = capsys.readouterr()
    assert "one replication has no interval" in said.err
    assert "30.0–30.0" not in said.out
    assert "none" in said.out


def test_crosscheck_passes_the_tolerance(files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    asked: dict[str, Any] = {}

    def checked(scenario: object, plan: object, **options: Any) -> Crosscheck:
        asked.update(options)
        return Crosscheck(PERFORMANCE, PERFORMANCE, ())

    monkeypatch.setattr(planning, "crosscheck", checked)
    assert main(["crosscheck", *files, "--tolerance", "0.2"]) == 0
    assert asked["tolerance"] == 0.2
    assert main(["crosscheck", *files]) == 0
    assert asked["tolerance"] is None


@pytest.mark.parametrize(
    ("error", "code"),
    [(InfeasibleError("tpot_p95_ms", 10.0, 12.5, "relax it"), 3), (UnstableError("h200", 1.2, "add one"), 1)],
    ids=["infeasible", "unstable"],
)
def test_optimize_says_why_there_is_no_plan(
    files: list[str], error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    def optimize(scenario: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(planning, "optimize", optimize)
    assert main(["optimize", files[0], "-o", str(tmp_path / "study.json")]) == code
    assert str(error) in capsys.readouterr().err
    assert not (tmp_path / "study.json").exists()


def test_a_plan_that_is_no_plan_is_bad_input(files: list[str], capsys: Captured) -> None:
    assert main(["predict", files[0], "--plan", files[0]]) == 1
    assert "not valid JSON" in capsys.readouterr().err
