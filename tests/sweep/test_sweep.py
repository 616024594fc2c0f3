"""Whole sweeps: rows are what `predict` says, nothing is dropped, and a second run takes over what there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from dsd_plan import planning
from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.sweep import axis_of
from dsd_plan.domain.workload import PoissonRequests
from dsd_plan.errors import InputError, ScenarioError
from dsd_plan.files import copy_example, load_plan, load_scenario
from dsd_plan.files.variations import Variations
from dsd_plan.sweep import run
from dsd_plan.sweep.points import point_of
from dsd_plan.sweep.run import Replays, Sweep, sweep

RTT = "links[suburb-region].rtt_ms"


@pytest.fixture(scope="module")
def metro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metro") / "metro"
    copy_example("metro-edge", folder)
    return folder


def swept(metro: Path, *vary: str, output: Path | None = None, workers: int = 1, **more: object) -> Sweep:
    axes = [axis_of(written) for written in vary]
    plan = load_plan(metro / "edge.plan.json")
    return sweep(metro / "scenario.toml", plan, axes, output=output, workers=workers, **more)  # type: ignore[arg-type]


def test_a_row_says_what_predict_says(metro: Path) -> None:
    found = swept(metro, f"{RTT}=20,80", "load=0.5,1")
    assert found.points == 4
    assert [(row[RTT], row["load"], row["workload"]) for row in found.rows[::3]] == [
        (20, 0.5, "downtown-chat"),
        (20, 1, "downtown-chat"),
        (80, 0.5, "downtown-chat"),
        (80, 1, "downtown-chat"),
    ]
    scenario = load_scenario(metro / "scenario.toml")
    links = (scenario.links[0], replace(scenario.links[1], rtt_ms=80.0), scenario.links[2])
    expected = planning.predict(replace(scenario, links=links), load_plan(metro / "edge.plan.json"))
    row = found.rows[-2]
    suburb = expected.workload("suburb-chat")
    assert row["workload"] == "suburb-chat"
    assert row["tpot_p95_ms"] == suburb.tpot_ms.p95
    assert suburb.ci is not None
    assert (row["tpot_p95_low_ms"], row["tpot_p95_high_ms"]) == suburb.ci["tpot_ms.p95"]
    assert row["fleet_cost_per_hour"] == expected.fleet.cost_per_hour
    assert row["budgets_kept"] is False
    assert (row["outcome"], row["source"]) == ("ok", "model")


def test_derived_keys_change_what_they_say(metro: Path) -> None:
    variations = Variations(metro / "scenario.toml", load_plan(metro / "edge.plan.json"))
    scenario, _ = point_of(
        variations, {"load": 2.0, "workloads[island-chat].load": 0.5, "pairs[0].first_accepted": 0.9}
    )
    rates = [w.requests.rate_per_s for w in scenario.workloads if isinstance(w.requests, PoissonRequests)]
    assert rates == pytest.approx([7.0, 5.6, 1.4])
    law = scenario.pairs[0].acceptance
    assert isinstance(law, AcceptanceLaw)
    assert law.survival is not None
    assert law.survival[0] == pytest.approx(0.9)
    assert len(law.survival) == 8
    assert all(a > b for a, b in zip(law.survival, law.survival[1:], strict=False))


def test_points_without_numbers_are_rows_with_a_reason(metro: Path) -> None:
    found = swept(metro, "load=1,3", "plan.assignments[suburb-chat].window=5,9")
    outcomes = {(row["load"], row["plan.assignments[suburb-chat].window"]): row for row in found.rows}
    assert outcomes[1, 5]["outcome"] == "ok"
    unstable = outcomes[3, 5]
    assert (unstable["outcome"], unstable["tpot_p95_ms"]) == ("unstable", None)
    assert "saturation" in unstable["reason"]
    assert unstable["saturation"] > 1.0
    refused = outcomes[1, 9]
    assert (refused["outcome"], refused["tpot_p95_ms"]) == ("refused", None)
    assert "window 9 lies outside" in refused["reason"]
    assert len(found.rows) == 4 * 3


def test_where_no_point_makes_sense_it_is_an_error(metro: Path) -> None:
    with pytest.raises(ScenarioError, match=r"at every point.*window 9 lies outside"):
        swept(metro, "plan.assignments[suburb-chat].window=9:12:4")


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_second_run_computes_nothing_again(
    ending: str, metro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / f"sweep.{ending}"
    first = swept(metro, f"{RTT}=20:40:2", "load=0.5,3", output=output)
    before = output.read_bytes()
    monkeypatch.setattr(planning, "predict", _never)
    second = swept(metro, f"{RTT}=20:40:2", "load=0.5,3", output=output)
    assert (second.taken_over, second.rows) == (4, first.rows)
    assert output.read_bytes() == before


def _never(scenario: Scenario, plan: Plan) -> Performance:
    raise AssertionError("asked again")


def test_a_larger_grid_computes_what_is_new(metro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "sweep.parquet"
    swept(metro, f"{RTT}=20,40", output=output)
    asked: list[float | None] = []
    predict = planning.predict

    def counted(scenario: Scenario, plan: Plan) -> Performance:
        asked.append(scenario.links[1].rtt_ms)
        return predict(scenario, plan)

    monkeypatch.setattr(planning, "predict", counted)
    found = swept(metro, f"{RTT}=10,20,30,40", output=output)
    assert asked == [10, 30]
    assert found.taken_over == 2
    assert [row["point"] for row in found.rows[::3]] == [0, 1, 2, 3]
    assert pl.read_parquet(output)[RTT].to_list()[::3] == [10, 20, 30, 40]


def test_another_scenario_or_plan_is_computed_anew(metro: Path, tmp_path: Path) -> None:
    output = tmp_path / "sweep.parquet"
    swept(metro, f"{RTT}=20,40", output=output)
    copy_example("metro-edge", tmp_path / "other")
    file = tmp_path / "other" / "scenario.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("step_ms = 25.0", "step_ms = 24.0"), encoding="utf-8")
    assert swept(tmp_path / "other", f"{RTT}=20,40", output=output).taken_over == 0


def test_an_interrupt_keeps_what_there_is(metro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "sweep.parquet"
    predict = planning.predict

    def stopping(scenario: Scenario, plan: Plan) -> Performance:
        if scenario.links[1].rtt_ms == 30:
            raise KeyboardInterrupt
        return predict(scenario, plan)

    monkeypatch.setattr(planning, "predict", stopping)
    found = swept(metro, f"{RTT}=10,20,30,40", output=output)
    assert not found.complete
    assert [row[RTT] for row in found.rows[::3]] == [10, 20]
    monkeypatch.setattr(planning, "predict", predict)
    again = swept(metro, f"{RTT}=10,20,30,40", output=output)
    assert again.complete
    assert again.taken_over == 2


def test_several_processes_say_the_same(metro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PARALLEL_FROM", 4)
    monkeypatch.setattr(run, "BATCH", 2)
    said: list[tuple[int, int]] = []
    vary = (f"{RTT}=20:40:3", "load=0.5,3")
    together = swept(metro, *vary, workers=2, on_progress=lambda done, total, text: said.append((done, total)))
    assert together.rows == swept(metro, *vary).rows
    assert said == [(done, 6) for done in range(1, 7)]


def test_what_is_no_sweep_is_not_overwritten(metro: Path, tmp_path: Path) -> None:
    for name, content in (("a.csv", "name,age\nx,3\n"), ("b.parquet", "no parquet"), ("c.jsonl", '{"a": 1}\n')):
        output = tmp_path / name
        output.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="is no table of a sweep; nothing is overwritten"):
            swept(metro, "load=1", output=output)
        assert output.read_text(encoding="utf-8") == content
    with pytest.raises(InputError, match=r"expected \.parquet, \.csv or \.jsonl"):
        swept(metro, "load=1", output=tmp_path / "sweep.xlsx")


def test_points_are_replayed_on_the_same_luck(metro: Path, tmp_path: Path) -> None:
    replays = Replays(seed=3, requests=300, replications=2)
    found = swept(metro, "links[suburb-region].loss=0,0.5", replays=replays, output=tmp_path / "sweep.csv")
    calm, lossy = found.rows[1], found.rows[4]
    assert (calm["source"], calm["workload"]) == ("replay", "suburb-chat")
    assert calm["tpot_mean_ms"] < lossy["tpot_mean_ms"]
    assert calm["tpot_mean_low_ms"] < calm["tpot_mean_ms"] < calm["tpot_mean_high_ms"]
    direct = planning.replay(
        load_scenario(metro / "scenario.toml"),
        load_plan(metro / "edge.plan.json"),
        seed=3,
        requests=300,
        replications=2,
    )
    assert calm["tpot_mean_ms"] == direct.workload("suburb-chat").tpot_ms.mean
    other = replace(replays, seed=4)
    assert swept(metro, "links[suburb-region].loss=0,0.5", replays=other, output=tmp_path / "sweep.csv").taken_over == 0


def test_faults_that_a_prediction_leaves_out_are_told(metro: Path) -> None:
    told = "predicted without the scenario's faults, which only a replay plays"
    assert told not in swept(metro, "load=0.5").notes
    text = (metro / "scenario.toml").read_text(encoding="utf-8")
    fault = '\n[[faults]]\nkind = "slow_device"\ndevice = "h200"\nat_s = 10\nfor_s = 5\nfactor = 2\n'
    broken = metro / "faults.toml"
    broken.write_text(text + fault, encoding="utf-8")
    plan, axes = load_plan(metro / "plan.json"), [axis_of("load=0.5")]
    assert told in sweep(broken, plan, axes).notes
    assert told not in sweep(broken, plan, axes, replays=Replays(requests=200, replications=2)).notes
