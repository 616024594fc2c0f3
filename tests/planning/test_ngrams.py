"""A scenario file with an n-gram table, through the public functions: the loader's stand-in profile is no mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan import load_scenario, predict, replay
from dsd_plan.domain.plan import Assignment, Deployment, Plan

TOML = """
schema = 1
name = "lookup"

[[sites]]
name = "region"

[[models]]
name = "large"
weights_gib = 70.0

[[devices]]
name = "gpu"
site = "region"
count = 1
memory_gib = 141.0
[devices.profiles]
large = { law = { step_ms = 20.0, per_token_ms = 0.0, per_prompt_token_ms = 0.01 } }

[[pairs]]
draft = "lookup"
target = "large"
kind = "ngram"
acceptance = { per_token = 0.5 }

[[workloads]]
name = "chat"
site = "region"
target = "large"
requests = { rate_per_s = 0.01, prompt_tokens = 100, output_tokens = 201 }
"""


def plan(mode: str) -> Plan:
    drafting = {} if mode == "target_only" else {"draft_model": "lookup", "draft_device": "gpu", "window": 2}
    return Plan(
        scenario="lookup",
        assignments=(Assignment(workload="chat", mode=mode, target_device="gpu", **drafting),),  # type: ignore[arg-type]
        deployments=(Deployment(device="gpu", model="large", count=1),),
    )


def test_a_loaded_table_takes_no_time_and_halves_accepted_tokens_as_they_should(tmp_path: Path) -> None:
    """One request at a time: 20 ms a token plainly, and a round of 1 + ½ + ¼ tokens takes the same 20 ms."""
    file = tmp_path / "lookup.toml"
    file.write_text(TOML)
    scenario = load_scenario(file)
    plain = predict(scenario, plan("target_only")).workload("chat").tpot_ms.mean
    table = predict(scenario, plan("fused")).workload("chat").tpot_ms.mean
    assert plain == pytest.approx(20.0, rel=0.02)
    assert table == pytest.approx(20.0 / 1.75, rel=0.02)
    seen = replay(scenario, plan("fused"), requests=60, replications=2).workload("chat").tpot_ms.mean
    assert seen == pytest.approx(20.0 / 1.75, rel=0.03)
