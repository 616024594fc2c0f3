"""Heads and n-grams: they draft on the target, and are an option of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.crosscheck import agreements
from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.checks import scenario_problems
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import ModelSpec
from dsd_plan.domain.ngrams import with_ngrams
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.errors import PlanError
from dsd_plan.model import predict
from dsd_plan.optimize.alternatives.options import HEAD, NO_HEAD
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.run import optimize
from dsd_plan.replay.run import replay
from tests.optimize import stub_model
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer

PROVENANCE = Provenance(version="0", command="", seed=0, inputs=(), machine={})
NGRAM = Pair(draft="lookup", target="large", acceptance=AcceptanceLaw(per_token=0.5), kind="ngram")
ORDER = [
    "do nothing: plain decoding on the target",
    "head or n-gram on the target",
    "draft beside the target",
    "draft at the edge",
    "edge alone",
]


def with_pair(given: Scenario, pair: Pair) -> Scenario:
    return replace(given, pairs=(*given.pairs, pair))


def with_head(given: Scenario, step_ms: float = 0.5, weights_gib: float = 1.5) -> Scenario:
    """A head of .5 ms a step on every GPU, accepted as an n-gram is not."""
    law = StepLaw(step_ms=step_ms, active_w=500.0)
    devices = tuple(
        replace(d, profiles={**d.profiles, "eagle": declared_profile(d.name, "eagle", law)})
        if "large" in d.profiles
        else d
        for d in given.devices
    )
    models = (*given.models, ModelSpec(name="eagle", weights_gib=weights_gib, kv_mib_per_token=0.1))
    head = Pair(draft="eagle", target="large", acceptance=AcceptanceLaw(per_token=0.8), kind="head")
    return with_pair(replace(given, devices=devices, models=models), head)


def plan(draft: str, mode: str = "fused", device: str = "gpu") -> Plan:
    return Plan(
        scenario="small",
        assignments=(
            Assignment(
                workload="chat", mode=mode, target_device="gpu", draft_model=draft, draft_device=device, window=4
            ),
        ),
        deployments=(
            Deployment(device="gpu", model="large", count=2),
            Deployment(device=device, model=draft, count=2),
        ),
    )


def study(given: Scenario) -> Study:
    return optimize(given, stub_model.predict, observer(given), agreements, PROVENANCE)


def test_an_n_gram_needs_neither_model_nor_profile() -> None:
    given = with_pair(scenario(), NGRAM)
    assert scenario_problems(given) == ()
    filled = with_ngrams(given)
    assert with_ngrams(filled) is filled
    assert with_ngrams(scenario()) == scenario()
    assert [model.name for model in filled.models] == ["small", "large", "lookup"]
    assert filled.device("gpu").profiles["lookup"].fit.law == StepLaw(step_ms=0.0, active_w=600.0)
    assert "lookup" not in filled.device("edge-box").profiles  # it lives where the target does


def test_an_n_gram_takes_no_time_and_no_memory() -> None:
    """A round of window 4 alone on the GPU: one step of five tokens, 20 + 5 · .1 ms; E[X] = 1 + ½ + ¼ + ⅛ + 1⁄16."""
    given = with_pair(scenario(workloads=(chat(rate_per_s=0.01),)), NGRAM)
    deployed = deploy(given, plan("lookup"))
    plain = deploy(
        given,
        replace(
            plan("lookup"),
            deployments=plan("lookup").deployments[:1],
            assignments=(Assignment(workload="chat", mode="target_only", target_device="gpu"),),
        ),
    )
    assert deployed.targets[0].kv_tokens == plain.targets[0].kv_tokens
    found = predict(deployed).workload("chat")
    assert found.round_parts is not None
    assert found.round_parts.draft_ms == pytest.approx(0.0, abs=1e-9)
    assert found.tpot_ms.mean == pytest.approx(20.5 / 1.9375, rel=0.02)
    seen = replay(deployed, seed=1, requests=300, replications=2, run_all=map).workload("chat")
    assert seen.tpot_ms.mean == pytest.approx(20.5 / 1.9375, rel=0.03)
    assert (found.origin or {}).get("tpot_ms") == (predict(plain).workload("chat").origin or {}).get("tpot_ms")


def test_a_heads_steps_and_memory_count_on_the_target() -> None:
    """(141 − 70 − 1.5) GiB over .3 + .1 MiB a token; four steps of .5 ms before each verification."""
    given = with_head(scenario(workloads=(chat(rate_per_s=0.01),)))
    deployed = deploy(given, plan("eagle"))
    assert deployed.targets[0].kv_tokens == pytest.approx(69.5 * 1024 / 0.4)
    parts = predict(deployed).workload("chat").round_parts
    assert parts is not None
    assert parts.draft_ms == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("mode", ["distributed", "pipelined"])
def test_neither_drafts_at_the_edge(mode: str) -> None:
    given = with_head(scenario(devices=(edge_box(), gpu())))
    box = given.devices[0]
    profiles = {**box.profiles, "eagle": declared_profile(box.name, "eagle", StepLaw(step_ms=1.0))}
    given = replace(given, devices=(replace(box, profiles=profiles), given.devices[1]))
    with pytest.raises(PlanError, match="of kind 'head', which lives on the target: use fused"):
        deploy(given, plan("eagle", mode, "edge-box"))
    space = space_of(given)
    assert {c.mode for group in space.by_workload for c in group if c.draft_model == "eagle"} == {"fused"}


def test_it_is_an_option_beside_the_draft_model() -> None:
    found = study(with_head(with_pair(scenario(rtt_ms=80.0, minimize="tpot"), NGRAM)))
    assert [option.name for option in found.options][:5] == ORDER
    head, beside = found.options[1], found.options[2]
    assert head.plan is not None
    assert beside.plan is not None
    assert head.plan.assignments[0].draft_model == "eagle"  # of head and n-gram the better one
    assert beside.plan.assignments[0].draft_model == "small"
    assert head.chosen
    assert found.verdict.answer == "yes"
    assert "head or n-gram" not in found.verdict.sentence or "gpu" in found.verdict.sentence


def test_n_gram_alone_stands_in_its_row() -> None:
    found = study(replace(scenario(minimize="tpot"), pairs=(NGRAM,)))
    assert found.options[1].plan is not None
    assert found.options[1].plan.assignments[0].draft_model == "lookup"
    assert [deployment.model for deployment in found.options[1].plan.deployments] == ["large"]
    assert not any(row.model == "lookup" for row in found.profiles)
    assert found.options[2].plan is None


def test_a_scenario_without_one_says_so() -> None:
    found = study(scenario(minimize="tpot"))
    assert [option.name for option in found.options][:5] == ORDER
    assert (found.options[1].name, found.options[1].reason) == (HEAD, NO_HEAD)
    assert "list edge_only in search.modes" in found.options[4].reason
