"""A folder with a scenario and everything it refers to, and a plan; written with the project's own writers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsd_plan.errors import ScenarioError
from dsd_plan.files import load_scenario, write_acceptance, write_plan, write_profile, write_requests
from tests.domain.clinic import PLAN, REQUESTS, TOKENS, measured, point

SCENARIO_TOML = """\
schema = 1
name = "clinics"

[[sites]]
name = "clinic"
[[sites]]
name = "region"

[[links]]
between = ["clinic", "region"]
rtt_ms = 40.0
jitter_cv = 0.2
uplink_mbps = 20

[[models]]
name = "small"
weights_gib = 2.3
[[models]]
name = "big"
weights_gib = 130.0
kv_mib_per_token = 0.31

[[devices]]
name = "box"
site = "clinic"
count = 24
memory_gib = 16.0
idle_w = 8.0
[devices.profiles]
small = { law = { step_ms = 7.0, per_prompt_token_ms = 0.25, active_w = 30.0 } }

[[devices]]
name = "gpu"
site = "region"
count = 2
memory_gib = 141.0
batch_cap = 64
cost_per_hour = 4
[devices.profiles]
"big" = "profiles/gpu/big.json"
"small" = { law = { step_ms = 2.0 } }

[[pairs]]
draft = "small"
target = "big"
acceptance = "traces/pair.parquet"

[[workloads]]
name = "chat"
site = "clinic"
target = "big"
requests = "traces/chat.parquet"
rate_per_s = 12.0
task = "code"
budgets = { ttft_p95_ms = 800.0, tpot_p95_ms = 45.0 }

[[workloads]]
name = "night"
site = "clinic"
target = "big"
requests = { users = 40, think_s = 2.0, prompt_tokens = 300, output_tokens = 128 }

[budgets]
energy_j_per_token = 2.5

[search]
windows = [1, 2, 4]
"""

PROFILE = measured(
    *(
        point(batch, new, context, p50=20.0 + batch + new)
        for batch in (1, 8)
        for new in (1, 5)
        for context in (100, 1000)
    ),
    point(1, 100, 0, phase="prefill"),
    software={"torch": "2.7"},
    method={"threads": 2, "drift": 0.01, "contended": False, "note": None},
)


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder, and its two main files."""

    path: Path

    @property
    def scenario(self) -> Path:
        return self.path / "clinics.toml"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def profile(self) -> Path:
        return self.path / "profiles" / "gpu" / "big.json"

    def edit(self, *changes: tuple[str, str]) -> Path:
        """The scenario with some of its text replaced."""
        text = self.scenario.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) >= 1, old
            text = text.replace(old, new, 1)
        self.scenario.write_text(text, encoding="utf-8")
        return self.scenario


def fill(path: Path) -> Folder:
    """Write the whole folder."""
    folder = Folder(path)
    folder.scenario.write_text(SCENARIO_TOML, encoding="utf-8")
    write_profile(folder.profile, PROFILE)
    write_acceptance(path / "traces" / "pair.parquet", TOKENS)
    write_requests(path / "traces" / "chat.parquet", REQUESTS)
    write_plan(folder.plan, PLAN)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return fill(tmp_path)


@pytest.fixture
def complaints(folder: Folder) -> Callable[..., dict[str, str]]:
    """What loading the scenario complains of after some edits, text by place."""

    def complain(*changes: tuple[str, str]) -> dict[str, str]:
        with pytest.raises(ScenarioError) as caught:
            load_scenario(folder.edit(*changes))
        assert caught.value.source == str(folder.scenario)
        return {problem.place: problem.text for problem in caught.value.problems}

    return complain
