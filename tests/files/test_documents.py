"""Plans and profiles: written and read again they are the same, and what is wrong with one is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import LatencyStats, LawFit, ProfilePoint, StepLaw
from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.errors import PlanError, ProfileError, SchemaVersionError
from dsd_plan.files import load_plan, load_profile, write_plan, write_profile
from tests.domain.clinic import PLAN, measured
from tests.files.conftest import PROFILE

if TYPE_CHECKING:
    from tests.files.conftest import Folder


def rewrite(path: Path, **changes: Any) -> Path:
    body = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in (body | changes).items() if value != "gone"}))
    return path


def test_a_plan_is_read_as_it_was_written(folder: Folder) -> None:
    assert load_plan(folder.plan) == PLAN
    before = folder.plan.read_bytes()
    write_plan(folder.plan, load_plan(folder.plan))
    assert folder.plan.read_bytes() == before
    assert before.startswith(b'{\n  "schema": "dsd-plan/plan/1",\n  "scenario": "clinics"')


def test_the_contract_s_plan_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("""
        {"schema": "dsd-plan/plan/1", "scenario": "metro-edge",
         "assignments": [{"workload": "chat", "share": 1.0, "mode": "distributed",
                          "draft_model": "llama-1b", "draft_device": "edge-box", "target_device": "h200",
                          "window": 4, "candidates": 1, "routing": "jsq", "policy": {"kind": "static"}}],
         "deployments": [{"device": "edge-box", "model": "llama-1b", "count": 24},
                         {"device": "h200", "model": "llama-70b", "count": 2, "batch_cap": 64, "batching": "fifo"}]}
    """)
    plan = load_plan(path)
    assert plan.assignments == (
        Assignment(
            workload="chat",
            mode="distributed",
            draft_model="llama-1b",
            draft_device="edge-box",
            target_device="h200",
            window=4,
        ),
    )
    assert plan.deployments[1] == Deployment(device="h200", model="llama-70b", count=2, batch_cap=64)


def test_all_problems_of_a_plan_are_in_one_message(folder: Folder) -> None:
    body = json.loads(folder.plan.read_text())
    body["assignments"][0] |= {"mode": "distribted", "windw": 3, "candidates": 2}
    del body["assignments"][0]["window"]
    body["deployments"][0]["count"] = 0
    body["deployments"][1]["batching"] = "length_aware"
    folder.plan.write_text(json.dumps(body))
    with pytest.raises(PlanError) as caught:
        load_plan(folder.plan)
    found = {problem.place: problem.text for problem in caught.value.problems}
    assert found["assignments[0].windw"] == "unknown key; did you mean `window`?"
    assert found["assignments[0].mode"].endswith("did you mean distributed?")
    assert found["deployments[0].count"] == "found 0, expected a whole number, 1 or more; correct it"


def test_sense_and_shape_are_complained_of_together(folder: Folder) -> None:
    body = json.loads(folder.plan.read_text())
    body["assignments"][0] |= {"share": 0.5, "routng": "jsq"}
    body["assignments"][0]["policy"] = {"kind": "wc_dnn"}
    folder.plan.write_text(json.dumps(body))
    with pytest.raises(PlanError) as caught:
        load_plan(folder.plan)
    assert {problem.place for problem in caught.value.problems} == {
        "assignments[0].routng",
        "assignments",
        "assignments[0].policy.kind",
    }


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("gone", 'missing; add `"schema": "dsd-plan/plan/1"`'),
        (1, 'found 1, expected "dsd-plan/plan/1"'),
        ("dsd-plan/study/1", 'the file is a study ("dsd-plan/study/1"), expected "dsd-plan/plan/1"'),
        ("dsd-plan/plan/one", 'found "dsd-plan/plan/one" (text), expected'),
    ],
)
def test_a_wrong_schema_is_explained(folder: Folder, schema: object, says: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(rewrite(folder.plan, schema=schema))
    assert says in str(caught.value)


@pytest.mark.parametrize(("version", "says"), [(2, "upgrade dsd-plan"), (0, "no converter from it exists yet")])
def test_another_version_is_refused(folder: Folder, version: int, says: str) -> None:
    with pytest.raises(SchemaVersionError, match=says):
        load_plan(rewrite(folder.plan, schema=f"dsd-plan/plan/{version}"))
    with pytest.raises(SchemaVersionError, match=says):
        load_profile(rewrite(folder.profile, schema=f"dsd-plan/profile/{version}"))


def test_a_profile_has_the_keys_of_the_contract(folder: Folder) -> None:
    body = json.loads(folder.profile.read_text())
    assert body["schema"] == "dsd-plan/profile/1"
    assert set(body) >= {
        "device",
        "model",
        "backend",
        "precision",
        "software",
        "measured_at",
        "points",
        "fit",
        "idle_w",
    }
    assert set(body) >= {"active_w", "power_source", "sustained"}
    assert set(body["points"][0]) == {
        *("phase", "batch", "new_tokens", "context_tokens", "samples"),
        "latency_ms",
        "energy_j",
    }
    assert set(body["points"][0]["latency_ms"]) >= {"mean", "std", "p50", "p95", "p99"}


def test_points_that_repeat_are_an_error(folder: Folder) -> None:
    body = json.loads(folder.profile.read_text())
    rewrite(folder.profile, points=[*body["points"], body["points"][2]])
    with pytest.raises(ProfileError, match=r"points\[9\]: decode at batch 1, 5 new and 100 context tokens is already"):
        load_profile(folder.profile)


def test_nan_is_an_error_with_its_place(folder: Folder) -> None:
    folder.profile.write_text(folder.profile.read_text().replace('"std": 1.0', '"std": NaN', 1))
    with pytest.raises(ProfileError, match=r"points\[0\]\.latency_ms\.std: found nan, expected a finite number"):
        load_profile(folder.profile)


def test_nonsense_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="found none"):
        write_profile(tmp_path / "p.json", measured())
    with pytest.raises(PlanError, match="found none"):
        write_plan(tmp_path / "p.json", replace(PLAN, deployments=()))
    assert list(tmp_path.iterdir()) == []


positive = st.floats(min_value=1e-6, max_value=1e9)
points = st.builds(
    lambda phase, batch, new_tokens, context_tokens, spread, energy_j: ProfilePoint(
        phase=phase,
        batch=batch,
        new_tokens=new_tokens,
        context_tokens=context_tokens,
        samples=3,
        latency_ms=LatencyStats(mean=spread[0], std=0.1, p50=spread[0], p95=spread[1], p99=spread[2], mad=None),
        energy_j=energy_j,
    ),
    st.sampled_from(["decode", "prefill"]),
    *(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6)),
    st.tuples(positive, positive, positive).map(sorted),
    st.none() | positive,
)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(
    points=st.lists(
        points, min_size=1, max_size=6, unique_by=lambda p: (p.phase, p.batch, p.new_tokens, p.context_tokens)
    ),
    step_ms=positive,
    name=names,
    method=st.none()
    | st.dictionaries(names, st.none() | st.booleans() | st.integers(-9, 9) | positive | names, max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_profile_is_read_as_it_was_written(
    tmp_path: Path, points: Any, step_ms: float, name: str, method: Any
) -> None:
    profile = replace(
        PROFILE,
        device=name,
        points=tuple(points),
        fit=LawFit(law=StepLaw(step_ms=step_ms, per_prompt_token_ms=1.0)),
        method=method,
        sustained=((0.0, 1.0), (60.0, 0.5)),
    )
    assert profile_problems(profile) == ()
    write_profile(tmp_path / "any.json", profile)
    assert load_profile(tmp_path / "any.json") == profile


@given(share=st.floats(min_value=1e-9, max_value=1.0, exclude_max=True), window=st.integers(1, 10**9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plan_is_read_as_it_was_written(tmp_path: Path, share: float, window: int) -> None:
    first = replace(PLAN.assignments[0], share=share, window=window)
    plan: Plan = replace(PLAN, assignments=(first, replace(first, share=1.0 - share)))
    write_plan(tmp_path / "any.json", plan)
    assert load_plan(tmp_path / "any.json") == plan


def test_a_document_of_another_kind_is_told_once_and_not_key_by_key(folder: Folder) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(next(folder.scenario.parent.rglob("big.json")))
    assert len(caught.value.problems) == 1
    assert 'the file is a profile ("dsd-plan/profile/1"), expected "dsd-plan/plan/1"' in str(caught.value)
