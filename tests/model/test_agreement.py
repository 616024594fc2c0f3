"""Model against replayer: the two share only the definition of a step, so that what they agree on is likely right.

The bounds are what the model really keeps on systems that it was not tuned on; docs/method.md has the whole table.
"""

from __future__ import annotations

import pytest

from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.model.agreement import compare, errors
from tests.model.random_systems import Drafts, Kind, random_system
from tests.model.systems import Chat, system

# Mean absolute error of: mean TPOT, p95 TPOT, mean TTFT, p95 TTFT; then the worst stream's mean TPOT.
BOUNDS: dict[tuple[str, Kind, Drafts], tuple[float, float, float, float, float]] = {
    ("target_only", "open", "plenty"): (0.01, 0.04, 0.015, 0.05, 0.08),
    ("target_only", "closed", "plenty"): (0.01, 0.04, 0.03, 0.08, 0.16),
    ("fused", "open", "plenty"): (0.025, 0.05, 0.025, 0.05, 0.12),
    ("fused", "closed", "plenty"): (0.025, 0.05, 0.035, 0.07, 0.16),
    ("distributed", "open", "plenty"): (0.025, 0.035, 0.025, 0.04, 0.12),
    ("distributed", "closed", "plenty"): (0.03, 0.035, 0.03, 0.05, 0.15),
    ("distributed", "open", "shared"): (0.035, 0.06, 0.03, 0.05, 0.20),
    ("distributed", "closed", "shared"): (0.03, 0.045, 0.03, 0.06, 0.20),
    ("pipelined", "open", "plenty"): (0.025, 0.04, 0.025, 0.05, 0.12),
    ("pipelined", "closed", "plenty"): (0.03, 0.04, 0.03, 0.06, 0.15),
    ("pipelined", "open", "shared"): (0.035, 0.08, 0.03, 0.06, 0.20),
    ("pipelined", "closed", "shared"): (0.03, 0.06, 0.03, 0.06, 0.20),
    ("mixed", "open", "shared"): (0.035, 0.07, 0.035, 0.08, 0.25),
    ("mixed", "closed", "shared"): (0.045, 0.08, 0.05, 0.10, 0.30),
}
METRICS = ("tpot_ms.mean", "tpot_ms.p95", "ttft_ms.mean", "ttft_ms.p95")


@pytest.mark.parametrize("kind", ["open", "closed"])
@pytest.mark.parametrize("mode", ["target_only", "fused", "distributed", "pipelined", "mixed"])
def test_one_system_of_each_kind_agrees(mode: str, kind: Kind) -> None:
    found = compare(random_system(7, mode, kind, "shared"), seed=7, requests=4000, replications=2)
    assert found is not None
    for metric, error in found:
        if metric in ("tpot_ms.mean", "e2e_ms.mean", "tokens_per_s"):
            assert abs(error) < 0.08, metric
        elif metric in ("tpot_ms.p95", "e2e_ms.p95", "ttft_ms.mean"):
            assert abs(error) < 0.15, metric
        elif metric == "tokens_per_round":
            assert abs(error) < 0.01, metric


@pytest.mark.parametrize(
    "chats",
    [
        (Chat(rate_per_s=3.0), Chat(mode="target_only", rate_per_s=2.0, prompt=600, output=151)),
        (Chat(mode="fused", rate_per_s=2.0), Chat(mode="target_only", prompt=600)),
        (Chat(rate_per_s=3.0, devices=20), Chat(rate_per_s=2.0, window=8, prompt=1000, output=31, devices=20)),
    ],
    ids=["distributed", "fused", "shared drafts"],
)
def test_each_workload_bears_the_energy_that_it_does_in_the_replay(chats: tuple[Chat, ...]) -> None:
    deployed = system(*chats, replicas=2)
    predicted, observed = predict(deployed), replay(deployed, requests=2000, replications=2)
    for ours, theirs in zip(predicted.workloads, observed.workloads, strict=True):
        assert ours.energy_j_per_token == pytest.approx(theirs.energy_j_per_token, rel=0.05)


@pytest.mark.verify
@pytest.mark.parametrize("regime", BOUNDS, ids="-".join)
def test_errors_over_random_systems(regime: tuple[str, Kind, Drafts]) -> None:
    found = errors(range(900, 940), *regime, requests=5000, replications=4)
    assert found.unsettled <= 2
    *bounds, worst = BOUNDS[regime]
    for metric, bound in zip(METRICS, bounds, strict=True):
        assert found.typical(metric) < bound, metric
    assert found.worst("tpot_ms.mean") < worst
    assert found.typical("tokens_per_s") < 0.03
    assert found.typical("busy") < 0.05
