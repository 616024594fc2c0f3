"""The model's own errors, by regime, as a study against the replay found them; and what lies outside that study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dsd_plan.domain.deployed import AT_THE_EDGE, Deployed, Stream
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.model.known_errors_of_drafting import KNOWN_OF_DRAFTING
from dsd_plan.model.known_errors_of_engines import ENGINE, KNOWN_OF_ENGINES
from dsd_plan.model.saturation import draft_saturation, target_saturation
from dsd_plan.model.traffic import Demand, demands_of

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
    "max_sequences": (16.0, 256.0),
    "token_cap": (512.0, 8192.0),
}
"""Ranges that the study drew from."""
STUDIED_MIX = frozenset({"target_only", "fused", "distributed"})
"""Modes that the study drew together on one target."""


def known_errors(deployed: Deployed, workload: str, metric: str) -> float:
    """Relative error that 95 % of the study's streams of this regime stayed below."""
    return errors_of(deployed, demands_of(deployed), workload).get(metric, 0.0)


def errors_of(deployed: Deployed, demands: Sequence[Demand], workload: str) -> Mapping[str, float]:
    """The same for every metric of a workload."""
    targets = {stream.target for stream in deployed.streams if stream.workload.name == workload}
    beside = [stream for stream in deployed.streams if stream.target in targets]
    modes = {stream.mode for stream in beside}
    mode = next(iter(modes)) if len(modes) == 1 else "mixed"
    kind = "closed" if any(isinstance(stream.requests, ClosedRequests) for stream in beside) else "open"
    shared = mode == "mixed" or (mode in AT_THE_EDGE and _shares_drafts(deployed, demands, beside))
    if mode == "distributed":
        mode = _kind_of_drafting(deployed, beside)
        shared = shared or mode == "batched"
    known = KNOWN | KNOWN_OF_DRAFTING | KNOWN_OF_ENGINES
    several = "mixed"
    if any(deployed.targets[index].engine is not None for index in targets):
        mode, several = ENGINE + mode, ENGINE + several
    return known.get((mode, kind, "shared" if shared else "plenty"), known[several, kind, "shared"])


def _kind_of_drafting(deployed: Deployed, streams: list[Stream]) -> str:
    """The study's name for what sessions with a draft device of their own do there."""
    if any(stream.assignment.candidates > 1 for stream in streams):
        return "paths"
    caps = [deployed.drafts[stream.draft].batch_cap for stream in streams if stream.draft is not None]
    return "batched" if max(caps, default=1) > 1 else "distributed"


def _kind(deployed: Deployed, stream: Stream) -> str:
    return _kind_of_drafting(deployed, [stream]) if stream.mode == "distributed" else stream.mode


def _shares_drafts(deployed: Deployed, demands: Sequence[Demand], streams: list[Stream]) -> bool:
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
        kinds = sorted({_kind(deployed, demand.stream) for demand in mine})
        if pool.engine is None:
            yield from _outside("batch cap", pool.batch_cap)
            if pool.token_cap is not None:
                yield f"a token_cap on {pool.device.name}, which is not engine-like"
            if pool.surface.law[5] > 0.0:
                yield f"mixed_kv_token_us on {pool.device.name}, which is not engine-like"
        else:
            yield from _outside("max_sequences", pool.engine.sequences)
            if pool.token_cap is not None:
                yield from _outside("token_cap", pool.token_cap)
            if not STUDIED_MIX.issuperset(kinds):
                yield f"{' and '.join(kinds)} on {pool.device.name}, which is engine-like"
        if len(kinds) > 1 and not STUDIED_MIX.issuperset(kinds):
            yield f"{' and '.join(kinds)} together on {pool.device.name}"
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
            if demand.stream.mode == "pipelined" and (cap > 1 or demand.paths > 1):
                what = "batches" if cap > 1 else "several paths"
                yield f"{what} where drafts go on ahead, of {demand.stream.workload.name}"
        yield from _outside("prompt tokens", demand.lengths.prefill)
        yield from _outside("output tokens", demand.lengths.output)


def _outside(what: str, value: float) -> Iterator[str]:
    low, high = STUDIED[what]
    if not low - 1e-9 <= value <= high + 1e-9:
        yield f"{what} {value:.4g} (studied {low:g}–{high:g})"


KNOWN: dict[tuple[str, str, str], dict[str, float]] = {
    # Made by `python -m tests.benchmarks.known_errors`: the agreement study's systems, ranges of STUDIED, load to 0.8.
    ("target_only", "open", "plenty"): {  # 265 streams
        "ttft_ms.mean": 0.021,
        "ttft_ms.p50": 0.068,
        "ttft_ms.p95": 0.120,
        "ttft_ms.p99": 0.145,
        "tpot_ms.mean": 0.009,
        "tpot_ms.p50": 0.023,
        "tpot_ms.p95": 0.041,
        "tpot_ms.p99": 0.075,
        "itl_ms.mean": 0.012,
        "itl_ms.p50": 0.038,
        "itl_ms.p95": 0.114,
        "itl_ms.p99": 0.167,
        "e2e_ms.mean": 0.009,
        "e2e_ms.p50": 0.022,
        "e2e_ms.p95": 0.041,
        "e2e_ms.p99": 0.071,
        "tokens_per_s": 0.019,
    },
    ("target_only", "closed", "plenty"): {  # 291 streams
        "ttft_ms.mean": 0.064,
        "ttft_ms.p50": 0.063,
        "ttft_ms.p95": 0.252,
        "ttft_ms.p99": 0.313,
        "tpot_ms.mean": 0.012,
        "tpot_ms.p50": 0.016,
        "tpot_ms.p95": 0.082,
        "tpot_ms.p99": 0.119,
        "itl_ms.mean": 0.014,
        "itl_ms.p50": 0.037,
        "itl_ms.p95": 0.156,
        "itl_ms.p99": 0.416,
        "e2e_ms.mean": 0.010,
        "e2e_ms.p50": 0.009,
        "e2e_ms.p95": 0.069,
        "e2e_ms.p99": 0.108,
        "tokens_per_s": 0.013,
    },
    ("fused", "open", "plenty"): {  # 265 streams
        "ttft_ms.mean": 0.038,
        "ttft_ms.p50": 0.056,
        "ttft_ms.p95": 0.093,
        "ttft_ms.p99": 0.109,
        "tpot_ms.mean": 0.022,
        "tpot_ms.p50": 0.039,
        "tpot_ms.p95": 0.044,
        "tpot_ms.p99": 0.073,
        "itl_ms.mean": 0.023,
        "itl_ms.p50": 0.074,
        "itl_ms.p95": 0.129,
        "itl_ms.p99": 0.179,
        "e2e_ms.mean": 0.020,
        "e2e_ms.p50": 0.030,
        "e2e_ms.p95": 0.044,
        "e2e_ms.p99": 0.078,
        "tokens_per_s": 0.019,
    },
    ("fused", "closed", "plenty"): {  # 297 streams
        "ttft_ms.mean": 0.051,
        "ttft_ms.p50": 0.102,
        "ttft_ms.p95": 0.167,
        "ttft_ms.p99": 0.192,
        "tpot_ms.mean": 0.024,
        "tpot_ms.p50": 0.030,
        "tpot_ms.p95": 0.055,
        "tpot_ms.p99": 0.072,
        "itl_ms.mean": 0.025,
        "itl_ms.p50": 0.065,
        "itl_ms.p95": 0.159,
        "itl_ms.p99": 0.194,
        "e2e_ms.mean": 0.027,
        "e2e_ms.p50": 0.030,
        "e2e_ms.p95": 0.060,
        "e2e_ms.p99": 0.065,
        "tokens_per_s": 0.024,
    },
    ("distributed", "open", "plenty"): {  # 265 streams
        "ttft_ms.mean": 0.032,
        "ttft_ms.p50": 0.114,
        "ttft_ms.p95": 0.104,
        "ttft_ms.p99": 0.147,
        "tpot_ms.mean": 0.052,
        "tpot_ms.p50": 0.057,
        "tpot_ms.p95": 0.068,
        "tpot_ms.p99": 0.077,
        "itl_ms.mean": 0.052,
        "itl_ms.p50": 0.135,
        "itl_ms.p95": 0.147,
        "itl_ms.p99": 0.215,
        "e2e_ms.mean": 0.051,
        "e2e_ms.p50": 0.054,
        "e2e_ms.p95": 0.067,
        "e2e_ms.p99": 0.075,
        "tokens_per_s": 0.019,
    },
    ("distributed", "closed", "plenty"): {  # 295 streams
        "ttft_ms.mean": 0.064,
        "ttft_ms.p50": 0.092,
        "ttft_ms.p95": 0.142,
        "ttft_ms.p99": 0.150,
        "tpot_ms.mean": 0.072,
        "tpot_ms.p50": 0.072,
        "tpot_ms.p95": 0.076,
        "tpot_ms.p99": 0.084,
        "itl_ms.mean": 0.072,
        "itl_ms.p50": 0.128,
        "itl_ms.p95": 0.166,
        "itl_ms.p99": 0.193,
        "e2e_ms.mean": 0.071,
        "e2e_ms.p50": 0.070,
        "e2e_ms.p95": 0.076,
        "e2e_ms.p99": 0.084,
        "tokens_per_s": 0.053,
    },
    ("distributed", "open", "shared"): {  # 265 streams
        "ttft_ms.mean": 0.036,
        "ttft_ms.p50": 0.118,
        "ttft_ms.p95": 0.098,
        "ttft_ms.p99": 0.144,
        "tpot_ms.mean": 0.055,
        "tpot_ms.p50": 0.055,
        "tpot_ms.p95": 0.096,
        "tpot_ms.p99": 0.133,
        "itl_ms.mean": 0.055,
        "itl_ms.p50": 0.150,
        "itl_ms.p95": 0.159,
        "itl_ms.p99": 0.207,
        "e2e_ms.mean": 0.054,
        "e2e_ms.p50": 0.054,
        "e2e_ms.p95": 0.095,
        "e2e_ms.p99": 0.131,
        "tokens_per_s": 0.019,
    },
    ("distributed", "closed", "shared"): {  # 298 streams
        "ttft_ms.mean": 0.045,
        "ttft_ms.p50": 0.068,
        "ttft_ms.p95": 0.125,
        "ttft_ms.p99": 0.142,
        "tpot_ms.mean": 0.071,
        "tpot_ms.p50": 0.075,
        "tpot_ms.p95": 0.072,
        "tpot_ms.p99": 0.072,
        "itl_ms.mean": 0.068,
        "itl_ms.p50": 0.122,
        "itl_ms.p95": 0.181,
        "itl_ms.p99": 0.172,
        "e2e_ms.mean": 0.067,
        "e2e_ms.p50": 0.075,
        "e2e_ms.p95": 0.071,
        "e2e_ms.p99": 0.070,
        "tokens_per_s": 0.049,
    },
    ("mixed", "open", "shared"): {  # 399 streams
        "ttft_ms.mean": 0.057,
        "ttft_ms.p50": 0.055,
        "ttft_ms.p95": 0.174,
        "ttft_ms.p99": 0.185,
        "tpot_ms.mean": 0.044,
        "tpot_ms.p50": 0.067,
        "tpot_ms.p95": 0.085,
        "tpot_ms.p99": 0.128,
        "itl_ms.mean": 0.045,
        "itl_ms.p50": 0.137,
        "itl_ms.p95": 0.178,
        "itl_ms.p99": 0.211,
        "e2e_ms.mean": 0.042,
        "e2e_ms.p50": 0.063,
        "e2e_ms.p95": 0.084,
        "e2e_ms.p99": 0.127,
        "tokens_per_s": 0.023,
    },
    ("mixed", "closed", "shared"): {  # 447 streams
        "ttft_ms.mean": 0.103,
        "ttft_ms.p50": 0.138,
        "ttft_ms.p95": 0.216,
        "ttft_ms.p99": 0.216,
        "tpot_ms.mean": 0.077,
        "tpot_ms.p50": 0.084,
        "tpot_ms.p95": 0.119,
        "tpot_ms.p99": 0.131,
        "itl_ms.mean": 0.074,
        "itl_ms.p50": 0.157,
        "itl_ms.p95": 0.238,
        "itl_ms.p99": 0.210,
        "e2e_ms.mean": 0.076,
        "e2e_ms.p50": 0.083,
        "e2e_ms.p95": 0.119,
        "e2e_ms.p99": 0.130,
        "tokens_per_s": 0.064,
    },
}
