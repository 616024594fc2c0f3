"""The model's errors against the replayer, metric by metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import WorkloadPerformance
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.model.random_systems import Drafts, Kind, random_system

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")
METRICS = (
    *(f"{latency}.{statistic}" for latency in LATENCIES for statistic in STATISTICS),
    *("tokens_per_s", "tokens_per_round", "busy", "mean_batch"),
)
FEWEST_REQUESTS = 400
"""A stream with fewer measured requests says too little about its p95."""


@dataclass(frozen=True)
class Errors:
    """predicted / replayed − 1 over the streams of many systems, by metric."""

    relative: dict[str, np.ndarray]
    unsettled: int
    """Systems whose replay had not settled, and that are left out."""

    def typical(self, metric: str) -> float:
        """Mean absolute error."""
        return float(np.abs(self.relative[metric]).mean())

    def worst(self, metric: str) -> float:
        """Largest absolute error."""
        return float(np.abs(self.relative[metric]).max())

    def usual(self, metric: str, share: float = 0.9) -> float:
        """Absolute error that this share of streams stays below."""
        return float(np.quantile(np.abs(self.relative[metric]), share))

    def bias(self, metric: str) -> float:
        """Mean error."""
        return float(self.relative[metric].mean())


def errors(seeds: range, mode: str, kind: Kind, drafts: Drafts, requests: int, replications: int) -> Errors:
    """Compare over random systems."""
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    unsettled = 0
    for seed in seeds:
        deployed = random_system(seed, mode, kind, drafts)
        compared = compare(deployed, seed, requests, replications)
        if compared is None:
            unsettled += 1
            continue
        for metric, value in compared:
            found[metric].append(value)
    return Errors({metric: np.array(values) for metric, values in found.items()}, unsettled)


def compare(deployed: Deployed, seed: int, requests: int, replications: int) -> list[tuple[str, float]] | None:
    """(metric, error) of every stream and of the target; None where the replay has no steady state."""
    replayed = replay(deployed, seed=seed, requests=requests, replications=replications)
    if not replayed.steady:
        return None
    predicted = predict(deployed)
    found: list[tuple[str, float]] = []
    for expected, seen in zip(predicted.workloads, replayed.workloads, strict=True):
        if (seen.requests or 0) >= FEWEST_REQUESTS:
            found += [
                (metric, _value(expected, metric) / _value(seen, metric) - 1.0)
                for metric in METRICS
                if "busy" not in metric and "batch" not in metric and _known(seen, metric)
            ]
    target, saw = predicted.devices[0], replayed.devices[0]
    found.append(("busy", (target.busy or 0.0) - (saw.busy or 0.0)))
    found.append(("mean_batch", (target.mean_batch or 0.0) / (saw.mean_batch or 1.0) - 1.0))
    return found


def _known(workload: WorkloadPerformance, metric: str) -> bool:
    latency, _, statistic = metric.partition(".")
    value = getattr(workload, latency)
    return (value if not statistic else getattr(value, statistic)) is not None


def _value(workload: WorkloadPerformance, metric: str) -> float:
    latency, _, statistic = metric.partition(".")
    value = getattr(workload, latency)
    return float(value if not statistic else getattr(value, statistic))
