"""A saved study is read again as it was, and a broken or newer one is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Interval,
    Performance,
    Quantiles,
    RoundParts,
    WorkloadPerformance,
)
from dsd_plan.domain.study import (
    AcceptanceEvidence,
    Agreement,
    BudgetCheck,
    InputHash,
    LoadCurve,
    LoadPoint,
    MapCell,
    ModeMap,
    Option,
    Provenance,
    Study,
    TippingPoint,
    Verdict,
    WorkloadParts,
    plans_in,
)
from dsd_plan.domain.study_outlook import ParetoPoint
from dsd_plan.domain.summary import summary
from dsd_plan.errors import InputError, SchemaVersionError
from dsd_plan.files import load_plan, load_study, write_performance, write_study
from tests.domain.clinic import PLAN, SCENARIO

MS = Quantiles(mean=31.4, p50=30.0, p95=44.0, p99=None)
PARTS = RoundParts(draft_ms=28.0, uplink_ms=20.0, wait_ms=9.0, verify_ms=26.0, downlink_ms=20.0)
PERFORMANCE = Performance(
    source="model",
    workloads=(
        WorkloadPerformance(
            name="chat",
            requests=None,
            **dict.fromkeys(("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms"), MS),
            requests_per_s=2.0,
            tokens_per_s=100.0,
            goodput_per_s=1.9,
            slo_attainment=0.95,
            tokens_per_round=2.2,
            acceptance_rate=0.6,
            rounds_per_request=22.0,
            energy_j_per_token=None,
            bytes_per_token=8.0,
            round_parts=PARTS,
            ci={"ttft_ms.mean": (30.0, 33.0), "tpot_ms.mean": None},
            origin={"decode_ms": "declared"},
        ),
    ),
    devices=(DevicePerformance(name="gpu", saturation=0.5, busy=0.9, mean_batch=3.2, power_w=None),),
    fleet=FleetPerformance(
        tokens_per_s=100.0,
        goodput_per_s=1.9,
        power_w=None,
        energy_j_per_token=None,
        cost_per_hour=8.0,
        cost_per_million_tokens=22.2,
    ),
    notes=("acceptance is declared",),
)
OPTION = Option(name="do nothing", chosen=False, plan=PLAN, predicted=PERFORMANCE, devices={"gpu": 2}, reason="slower")
STUDY = Study(
    name="clinics",
    scenario=summary(SCENARIO),
    plan=PLAN,
    predicted=PERFORMANCE,
    replayed=replace(PERFORMANCE, source="replay", steady=False),
    measured=None,
    agreements=(
        Agreement(
            workload="chat",
            metric="tpot_ms.mean",
            predicted=31.4,
            observed=Interval(point=31.0, low=30.0, high=32.0),
            relative_error=0.013,
            tolerance=0.05,
            verdict="agrees",
        ),
    ),
    verdict=Verdict(answer="yes", sentence="Draft at the clinics.", saves={"tpot_share": 0.3}),
    budgets=(BudgetCheck(scope="chat", budget="tpot_p95_ms", limit=45.0, predicted=44.0, replayed=None, kept=True),),
    options=(OPTION,),
    alternatives=(replace(OPTION, plan=None, predicted=None),),
    equivalents=(),
    pareto=(
        ParetoPoint(
            mode="fused",
            window="4",
            cost_per_hour=8.0,
            devices=2,
            tpot_ms=31.4,
            energy_j_per_token=None,
            chosen=True,
            plan=PLAN,
        ),
    ),
    optimality_gap=0.02,
    bound_scope="frozen congestion",
    curves=(
        LoadCurve(
            workload="chat",
            mode="distributed",
            window=4,
            points=(LoadPoint(load=1.0, saturation=0.5, ttft_p95_ms=None, tpot_mean_ms=31.4, tpot_p95_ms=44.0),),
        ),
    ),
    maps=(
        ModeMap(
            workload="chat",
            title="RTT × acceptance",
            x_name="rtt_ms",
            y_name="acceptance",
            here=(40.0, 0.7),
            cells=(
                MapCell(x=1.0, y=0.5, mode="fused", window=3, margin=0.1, tpot_ms={"fused": 20.0, "distributed": None}),
            ),
        ),
    ),
    round_parts=(WorkloadParts(workload="chat", mode="distributed", parts=PARTS),),
    tipping_points=(
        TippingPoint(workload="chat", input="rtt_ms", now=40.0, tips_at=None, searched=(1.0, 400.0), becomes=None),
    ),
    acceptance=(
        AcceptanceEvidence(
            draft="small",
            target="big",
            source="declared law",
            proposal=None,
            temperature=None,
            tokens=None,
            requests=None,
            survival=(0.7, 0.5),
            survival_low=None,
            survival_high=None,
        ),
    ),
    story=("3 candidates",),
    provenance=Provenance(
        version="0.1.0",
        command="dsd-plan optimize",
        seed=1,
        inputs=(InputHash(path="a.toml", sha256="00"),),
        machine={"cpu": "x"},
    ),
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    write_study(tmp_path / "study.json", STUDY)
    return tmp_path / "study.json"


def rewrite(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_a_study_is_read_as_it_was_written(saved: Path) -> None:
    before = saved.read_bytes()
    found = load_study(saved)
    assert found == STUDY
    assert found.to_dict() == STUDY.to_dict() == json.loads(before)
    write_study(saved, found)
    assert saved.read_bytes() == before


def test_a_measured_study_too(saved: Path) -> None:
    write_study(saved, replace(STUDY, measured=replace(PERFORMANCE, source="testbed")))
    measured = load_study(saved).measured
    assert measured is not None
    assert measured.source == "testbed"


def test_a_performance_is_the_contract_s_json(tmp_path: Path) -> None:
    write_performance(tmp_path / "p.json", PERFORMANCE)
    body = json.loads((tmp_path / "p.json").read_text())
    assert body == PERFORMANCE.to_dict()
    assert list(body)[:2] == ["schema", "source"]
    assert body["workloads"][0]["ttft_ms"] == {"mean": 31.4, "p50": 30.0, "p95": 44.0, "p99": None}


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ({"verdict": {"answer": "maybe", "sentence": "", "saves": {}}}, "verdict.answer", 'found "maybe" (text)'),
        ({"plan": {"schema": "dsd-plan/plan/1"}}, "plan.assignments", "missing; expected a list, each a table"),
        ({"plan": 3}, "plan", "found 3, expected a table"),
        ({"storey": []}, "storey", "unknown key"),
        ({"optimality_gap": float("nan")}, "optimality_gap", "found nan, expected a finite number"),
        ({"scenario": {"a": [float("inf")]}}, 'scenario["a"][0]', "found inf"),
        ({"schema": "dsd-plan/plan/1"}, "schema", "the file is a plan"),
    ],
)
def test_a_broken_study_is_explained(saved: Path, changes: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        load_study(rewrite(saved, **changes))
    found = {problem.place: problem.text for problem in caught.value.problems}
    assert says in found[place]


def test_a_newer_study_or_part_of_it_is_refused(saved: Path) -> None:
    body = json.loads(saved.read_text())
    with pytest.raises(SchemaVersionError, match="upgrade dsd-plan"):
        load_study(rewrite(saved, predicted=body["predicted"] | {"schema": "dsd-plan/performance/2"}))
    with pytest.raises(SchemaVersionError, match="upgrade dsd-plan"):
        load_study(rewrite(saved, schema="dsd-plan/study/7"))


def test_half_a_study_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:2000])
    with pytest.raises(InputError, match="half-written"):
        load_study(saved)


def test_nan_is_never_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_study(tmp_path / "s.json", replace(STUDY, optimality_gap=float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_every_plan_of_a_study_can_be_used_as_a_file(tmp_path: Path) -> None:
    written = STUDY.to_dict()
    plans = {place: holder[key] for place, holder, key in plans_in(written)}
    assert "plan" in plans
    assert any(place.startswith("options[") for place in plans)
    for place, plan in plans.items():
        path = tmp_path / f"{place}.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        assert load_plan(path).scenario == STUDY.plan.scenario


def test_a_study_whose_other_plans_were_written_without_schema_is_read(tmp_path: Path) -> None:
    written = json.loads(json.dumps(STUDY.to_dict()))
    for place, holder, key in plans_in(written):
        if place != "plan":
            del holder[key]["schema"]
    path = tmp_path / "study.json"
    path.write_text(json.dumps(written), encoding="utf-8")
    assert load_study(path) == STUDY
