"""The scenario of the file contract, key by key: what of it works, and that the rest is refused by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.profile import StepLaw, declared_profile
from dsd_plan.domain.workload import Budgets, ClosedRequests, PoissonRequests
from dsd_plan.files import load_scenario, write_profile

CONTRACT = """\
schema = 1
name = "metro-edge"

[[sites]]
name = "clinic"
count = 1
[[sites]]
name = "region"

[[links]]
between = ["clinic", "region"]
rtt_ms = 40.0
jitter_cv = 0.2
uplink_mbps = 20.0
downlink_mbps = 100.0
loss = 0.0

[[models]]
name = "llama-1b"
weights_gib = 2.3
kv_mib_per_token = 0.031
[[models]]
name = "llama-70b"
weights_gib = 130.0
kv_mib_per_token = 0.31

[[devices]]
name = "edge-box"
site = "clinic"
count = 24
memory_gib = 16.0
idle_w = 8.0
cost_per_hour = 0.05
available = 0.9
[devices.profiles]
"llama-1b" = "profiles/edge-box/llama-1b.json"

[[devices]]
name = "h200"
site = "region"
count = 2
memory_gib = 141.0
batch_cap = 64
token_cap = 8192
idle_w = 75.0
cost_per_hour = 4.0
[devices.profiles]
"llama-1b" = "profiles/h200/llama-1b.json"
[devices.profiles."llama-70b"]
law = { step_ms = 20.0, per_token_ms = 0.3, per_prompt_token_ms = 0.05, per_kv_token_us = 0.0, active_w = 600.0 }

[[pairs]]
draft = "llama-1b"
target = "llama-70b"
acceptance = { survival = [0.86, 0.66, 0.45, 0.31] }
wire = "ids"
kind = "model"
verify_via = "native"

[[workloads]]
name = "chat"
site = "clinic"
target = "llama-70b"
allowed_sites = ["clinic", "region"]
priority = 1
requests = { rate_per_s = 6.0, prompt_tokens = 300, output_tokens = 128 }
task = "code"
budgets = { ttft_p95_ms = 800.0, tpot_p95_ms = 45.0 }

[[faults]]
kind = "link_down"
at_s = 30.0
for_s = 2.0
between = ["clinic", "region"]

[budgets]
energy_j_per_token = 2.5
cost_per_hour = 20.0
power_w = { edge-box = 12.0 }

[search]
modes = ["target_only", "fused", "distributed", "pipelined"]
windows = [1, 2, 3, 4]
minimize = "cost"
"""


@pytest.fixture
def metro(tmp_path: Path) -> Path:
    for device in ("edge-box", "h200"):
        profile = declared_profile(device, "llama-1b", StepLaw(step_ms=7.0, active_w=20.0))
        write_profile(tmp_path / "profiles" / device / "llama-1b.json", profile)
    path = tmp_path / "metro.toml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


def test_it_is_read_to_the_letter(metro: Path) -> None:
    scenario = load_scenario(metro)
    raw = tomllib.loads(CONTRACT)
    # Every key that was written is a field with the value that was written.
    for kind in ("sites", "links", "models", "devices", "pairs", "workloads", "faults"):
        for table, made in zip(raw[kind], getattr(scenario, kind), strict=True):
            for key, value in table.items():
                if key not in ("profiles", "acceptance", "requests", "budgets"):
                    found = getattr(made, key)
                    assert (list(found) if isinstance(found, tuple) else found) == value
    assert scenario.pairs[0].acceptance == AcceptanceLaw(survival=(0.86, 0.66, 0.45, 0.31))
    chat = scenario.workload("chat")
    assert chat.requests == PoissonRequests(rate_per_s=6.0, prompt_tokens=300, output_tokens=128)
    assert chat.budgets == Budgets(ttft_p95_ms=800.0, tpot_p95_ms=45.0)
    assert scenario.device("h200").profiles["llama-70b"].fit.law == StepLaw(
        step_ms=20.0, per_token_ms=0.3, per_prompt_token_ms=0.05, per_kv_token_us=0.0, active_w=600.0
    )
    assert (scenario.budgets.energy_j_per_token, scenario.budgets.cost_per_hour) == (2.5, 20.0)
    assert (scenario.search.windows, scenario.search.minimize) == ((1, 2, 3, 4), "cost")


def test_the_other_forms_that_it_names(metro: Path) -> None:
    text = CONTRACT.replace("{ survival = [0.86, 0.66, 0.45, 0.31] }", "{ per_token = 0.7 }")
    text = text.replace("{ rate_per_s = 6.0,", "{ users = 40, think_s = 2.0,").replace(
        "rtt_ms = 40.0", "up_ms = 15\ndown_ms = 25"
    )
    metro.write_text(text, encoding="utf-8")
    scenario = load_scenario(metro)
    assert scenario.pairs[0].acceptance == AcceptanceLaw(per_token=0.7)
    assert scenario.workload("chat").requests == ClosedRequests(
        users=40, think_s=2.0, prompt_tokens=300, output_tokens=128
    )
    assert scenario.links[0].one_way_ms == (15.0, 25.0)
