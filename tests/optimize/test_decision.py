"""Which option a plan stands for, whatever search found it."""

from __future__ import annotations

from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_verdict import study

SLOW_POOR_DRAFTS = scenario(
    per_token=0.3,
    rtt_ms=60.0,
    devices=(edge_box(step_ms=6.0), gpu(count=8)),
    workloads=(chat(rate_per_s=20.0, tpot_p95_ms=27.0), chat("region", 20.0 / 3.0, "jobs", tpot_p95_ms=40.0)),
    modes=("target_only", "distributed"),
)


def test_a_plain_plan_that_only_the_search_among_all_modes_finds_is_plain_decoding() -> None:
    """The replay of the first plain plan is 4 % faster than the model: corrected by it, one device less will do."""
    found = study(SLOW_POOR_DRAFTS, observer(SLOW_POOR_DRAFTS, lambda plan: 0.96, noise=0.001))
    assert any(line.startswith("any mode: replayed target only") for line in found.story)
    (chosen,) = (option for option in found.options if option.chosen)
    assert chosen.name == "do nothing: plain decoding on the target"
    assert chosen.plan == found.plan
    assert {assignment.mode for assignment in found.plan.assignments} == {"target_only"}
    assert all(option.name != "each workload in its own way" for option in found.options)
    assert found.verdict.answer == "no"
