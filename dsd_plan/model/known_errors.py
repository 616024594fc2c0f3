"""The model's own errors, by regime, as a study against the replay found them; and what lies outside that study."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsd_plan.domain.deployed import AT_THE_EDGE, Deployed, Stream
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.model.known_errors_of_drafting import KNOWN_OF_DRAFTING
from dsd_plan.model.saturation import draft_saturation, target_saturation
from dsd_plan.model.traffic import demands_of

SHARED_DRAFTS = 0.05
"""Load of a draft device from which on its queue matters."""
MOST_LOAD = 0.8
STUDIED: dict[str, tuple[float, float]] = {
    "round trip, ms": (1.0, 100.0),
    "window": (1.0, 10.0),
    "batch cap": (8.0, 64.0),
    "prompt tokens": (50.0, 1000.0),
    "output tokens": (24.0, 300.0),
    "candidate paths": (1.0, 4.0),
    "jobs at once on a draft device": (1.0, 8.0),
}
"""Ranges that the study drew from."""


def known_errors(deployed: Deployed, workload: str, metric: str) -> float:
    """Relative error that 95 % of the study's streams of this regime stayed below."""
    mine = [stream for stream in deployed.streams if stream.workload.name == workload]
    beside = [stream for stream in deployed.streams if stream.target in {own.target for own in mine}]
    modes = {stream.mode for stream in beside}
    mode = next(iter(modes)) if len(modes) == 1 else "mixed"
    kind = "closed" if any(isinstance(stream.requests, ClosedRequests) for stream in beside) else "open"
    shared = mode == "mixed" or (mode in AT_THE_EDGE and _shares_drafts(deployed, beside))
    if mode == "distributed":
        mode = _kind_of_drafting(deployed, beside)
        shared = shared or mode == "batched"
    found = (KNOWN | KNOWN_OF_DRAFTING).get(
        (mode, kind, "shared" if shared else "plenty"), KNOWN["mixed", kind, "shared"]
    )
    return found.get(metric, 0.0)


def _kind_of_drafting(deployed: Deployed, streams: list[Stream]) -> str:
    """The study's name for what sessions with a draft device of their own do there."""
    if any(stream.assignment.candidates > 1 for stream in streams):
        return "paths"
    caps = [deployed.drafts[stream.draft].batch_cap for stream in streams if stream.draft is not None]
    return "batched" if max(caps, default=1) > 1 else "distributed"


def _shares_drafts(deployed: Deployed, streams: list[Stream]) -> bool:
    demands = demands_of(deployed)
    for index in {stream.draft for stream in streams if stream.draft is not None}:
        mine = [demand for demand in demands if demand.stream.draft == index]
        if any(demand.users > 0 for demand in mine):
            return deployed.drafts[index].count < 20 * sum(demand.users for demand in mine)
        if draft_saturation(deployed.drafts[index], mine, np.array([d.rate for d in mine])) > SHARED_DRAFTS:
            return True
    return False


def outside_regime(deployed: Deployed) -> tuple[str, ...]:
    """One note that lists what the study did not cover; empty where it covered the plan."""
    beyond = tuple(dict.fromkeys(_beyond(deployed)))
    if not beyond:
        return ()
    return (f"the model's own error was not studied for this: {'; '.join(beyond)}; replay to be sure",)


def _beyond(deployed: Deployed) -> Iterator[str]:
    demands = demands_of(deployed)
    for index, pool in enumerate(deployed.targets):
        mine = [demand for demand in demands if demand.stream.target == index]
        load = target_saturation(pool, mine, np.array([demand.rate for demand in mine])) if mine else 0.0
        if load > MOST_LOAD:
            yield f"load {load:.2f} on {pool.device.name}"
        if pool.replicas > 1:
            yield f"{pool.replicas} replicas of {pool.device.name}"
        yield from _outside("batch cap", pool.batch_cap)
    for demand in demands:
        if isinstance(demand.stream.requests, RequestTrace):
            yield f"recorded arrivals of {demand.stream.workload.name}"
        if demand.stream.up:
            rtt_ms = mean_delay_ms(demand.stream.up, 0.0) + mean_delay_ms(demand.stream.down, 0.0)
            yield from _outside("round trip, ms", rtt_ms)
        if demand.window:
            yield from _outside("window", demand.window)
            yield from _outside("candidate paths", demand.paths)
        if demand.stream.draft is not None:
            cap = deployed.drafts[demand.stream.draft].batch_cap
            yield from _outside("jobs at once on a draft device", cap)
            if cap > 1 and demand.paths > 1:
                yield f"several paths on draft devices with batches, of {demand.stream.workload.name}"
        yield from _outside("prompt tokens", demand.lengths.prefill)
        yield from _outside("output tokens", demand.lengths.output)


def _outside(what: str, value: float) -> Iterator[str]:
    low, high = STUDIED[what]
    if not low - 1e-9 <= value <= high + 1e-9:
        yield f"{what} {value:.4g} (studied {low:g}–{high:g})"


KNOWN: dict[tuple[str, str, str], dict[str, float]] = {
    # Made by `python -m tests.benchmarks.known_errors 60`: seeds from 90,000, ranges as in STUDIED, load 0.1–0.8.
    ("target_only", "open", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.029,
        "ttft_ms.p50": 0.035,
        "ttft_ms.p95": 0.074,
        "ttft_ms.p99": 0.083,
        "tpot_ms.mean": 0.024,
        "tpot_ms.p50": 0.017,
        "tpot_ms.p95": 0.062,
        "tpot_ms.p99": 0.086,
        "itl_ms.mean": 0.025,
        "itl_ms.p50": 0.056,
        "itl_ms.p95": 0.206,
        "itl_ms.p99": 0.173,
        "e2e_ms.mean": 0.023,
        "e2e_ms.p50": 0.015,
        "e2e_ms.p95": 0.059,
        "e2e_ms.p99": 0.086,
        "tokens_per_s": 0.027,
    },
    ("target_only", "closed", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.015,
        "ttft_ms.p50": 0.045,
        "ttft_ms.p95": 0.200,
        "ttft_ms.p99": 0.290,
        "tpot_ms.mean": 0.003,
        "tpot_ms.p50": 0.006,
        "tpot_ms.p95": 0.040,
        "tpot_ms.p99": 0.071,
        "itl_ms.mean": 0.003,
        "itl_ms.p50": 0.036,
        "itl_ms.p95": 0.176,
        "itl_ms.p99": 0.026,
        "e2e_ms.mean": 0.003,
        "e2e_ms.p50": 0.004,
        "e2e_ms.p95": 0.040,
        "e2e_ms.p99": 0.070,
        "tokens_per_s": 0.015,
    },
    ("fused", "open", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.041,
        "ttft_ms.p50": 0.068,
        "ttft_ms.p95": 0.097,
        "ttft_ms.p99": 0.150,
        "tpot_ms.mean": 0.029,
        "tpot_ms.p50": 0.043,
        "tpot_ms.p95": 0.069,
        "tpot_ms.p99": 0.104,
        "itl_ms.mean": 0.032,
        "itl_ms.p50": 0.061,
        "itl_ms.p95": 0.200,
        "itl_ms.p99": 0.202,
        "e2e_ms.mean": 0.027,
        "e2e_ms.p50": 0.035,
        "e2e_ms.p95": 0.069,
        "e2e_ms.p99": 0.105,
        "tokens_per_s": 0.029,
    },
    ("fused", "closed", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.061,
        "ttft_ms.p50": 0.077,
        "ttft_ms.p95": 0.168,
        "ttft_ms.p99": 0.171,
        "tpot_ms.mean": 0.048,
        "tpot_ms.p50": 0.056,
        "tpot_ms.p95": 0.072,
        "tpot_ms.p99": 0.072,
        "itl_ms.mean": 0.050,
        "itl_ms.p50": 0.082,
        "itl_ms.p95": 0.113,
        "itl_ms.p99": 0.180,
        "e2e_ms.mean": 0.049,
        "e2e_ms.p50": 0.054,
        "e2e_ms.p95": 0.071,
        "e2e_ms.p99": 0.073,
        "tokens_per_s": 0.043,
    },
    ("distributed", "open", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.038,
        "ttft_ms.p50": 0.074,
        "ttft_ms.p95": 0.056,
        "ttft_ms.p99": 0.097,
        "tpot_ms.mean": 0.058,
        "tpot_ms.p50": 0.071,
        "tpot_ms.p95": 0.071,
        "tpot_ms.p99": 0.082,
        "itl_ms.mean": 0.057,
        "itl_ms.p50": 0.097,
        "itl_ms.p95": 0.091,
        "itl_ms.p99": 0.196,
        "e2e_ms.mean": 0.057,
        "e2e_ms.p50": 0.070,
        "e2e_ms.p95": 0.070,
        "e2e_ms.p99": 0.080,
        "tokens_per_s": 0.027,
    },
    ("distributed", "closed", "plenty"): {  # 118 streams
        "ttft_ms.mean": 0.046,
        "ttft_ms.p50": 0.068,
        "ttft_ms.p95": 0.093,
        "ttft_ms.p99": 0.093,
        "tpot_ms.mean": 0.066,
        "tpot_ms.p50": 0.063,
        "tpot_ms.p95": 0.061,
        "tpot_ms.p99": 0.072,
        "itl_ms.mean": 0.066,
        "itl_ms.p50": 0.127,
        "itl_ms.p95": 0.099,
        "itl_ms.p99": 0.126,
        "e2e_ms.mean": 0.063,
        "e2e_ms.p50": 0.062,
        "e2e_ms.p95": 0.060,
        "e2e_ms.p99": 0.071,
        "tokens_per_s": 0.049,
    },
    ("distributed", "open", "shared"): {  # 118 streams
        "ttft_ms.mean": 0.033,
        "ttft_ms.p50": 0.066,
        "ttft_ms.p95": 0.058,
        "ttft_ms.p99": 0.089,
        "tpot_ms.mean": 0.061,
        "tpot_ms.p50": 0.062,
        "tpot_ms.p95": 0.097,
        "tpot_ms.p99": 0.124,
        "itl_ms.mean": 0.060,
        "itl_ms.p50": 0.139,
        "itl_ms.p95": 0.149,
        "itl_ms.p99": 0.188,
        "e2e_ms.mean": 0.060,
        "e2e_ms.p50": 0.061,
        "e2e_ms.p95": 0.096,
        "e2e_ms.p99": 0.122,
        "tokens_per_s": 0.027,
    },
    ("distributed", "closed", "shared"): {  # 118 streams
        "ttft_ms.mean": 0.032,
        "ttft_ms.p50": 0.044,
        "ttft_ms.p95": 0.103,
        "ttft_ms.p99": 0.096,
        "tpot_ms.mean": 0.073,
        "tpot_ms.p50": 0.074,
        "tpot_ms.p95": 0.080,
        "tpot_ms.p99": 0.077,
        "itl_ms.mean": 0.072,
        "itl_ms.p50": 0.107,
        "itl_ms.p95": 0.154,
        "itl_ms.p99": 0.142,
        "e2e_ms.mean": 0.069,
        "e2e_ms.p50": 0.073,
        "e2e_ms.p95": 0.077,
        "e2e_ms.p99": 0.076,
        "tokens_per_s": 0.042,
    },
    ("mixed", "open", "shared"): {  # 180 streams
        "ttft_ms.mean": 0.056,
        "ttft_ms.p50": 0.087,
        "ttft_ms.p95": 0.174,
        "ttft_ms.p99": 0.210,
        "tpot_ms.mean": 0.061,
        "tpot_ms.p50": 0.065,
        "tpot_ms.p95": 0.123,
        "tpot_ms.p99": 0.162,
        "itl_ms.mean": 0.064,
        "itl_ms.p50": 0.210,
        "itl_ms.p95": 0.241,
        "itl_ms.p99": 0.249,
        "e2e_ms.mean": 0.057,
        "e2e_ms.p50": 0.063,
        "e2e_ms.p95": 0.111,
        "e2e_ms.p99": 0.147,
        "tokens_per_s": 0.029,
    },
    ("mixed", "closed", "shared"): {  # 180 streams
        "ttft_ms.mean": 0.105,
        "ttft_ms.p50": 0.133,
        "ttft_ms.p95": 0.259,
        "ttft_ms.p99": 0.216,
        "tpot_ms.mean": 0.109,
        "tpot_ms.p50": 0.120,
        "tpot_ms.p95": 0.172,
        "tpot_ms.p99": 0.173,
        "itl_ms.mean": 0.109,
        "itl_ms.p50": 0.213,
        "itl_ms.p95": 0.212,
        "itl_ms.p99": 0.248,
        "e2e_ms.mean": 0.107,
        "e2e_ms.p50": 0.112,
        "e2e_ms.p95": 0.157,
        "e2e_ms.p99": 0.170,
        "tokens_per_s": 0.103,
    },
}
