"""The demo's scenario loads, and its load and budget follow from the measured step times."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan.cli.demo_scenario import demo_scenario
from dsd_plan.domain.profile import LatencyProfile, StepLaw, declared_profile
from dsd_plan.files import load_scenario, write_profile


def profile(model: str, step_ms: float) -> LatencyProfile:
    return declared_profile("this-machine", model, StepLaw(step_ms=step_ms, per_token_ms=0.5, per_prompt_token_ms=0.1))


def test_load_and_budget_follow_from_the_target(tmp_path: Path) -> None:
    target, draft = profile("big", 2.0), profile("small", 0.1)
    write_profile(tmp_path / "big.json", target)
    write_profile(tmp_path / "small.json", draft)
    text = demo_scenario(target, draft, target_profile="big.json", draft_profile="small.json", trace="t")
    path = tmp_path / "scenario.toml"
    path.write_text(text.replace('acceptance = "t"', "acceptance = { per_token = 0.5 }"), encoding="utf-8")
    workload = load_scenario(path).workloads[0]
    # A plain step of 16 takes 2 + 16·0.5 = 10 ms, so a server decodes 1,600 tokens/s; 30 % of that in 128-token answers.
    assert workload.requests.rate_per_s == pytest.approx(0.3 * 1600 / 128)
    # A step of one takes 2.5 ms; the promise is three times that.
    assert workload.budgets.tpot_p95_ms == pytest.approx(7.5)
