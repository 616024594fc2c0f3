"""A scenario at the bad end of what was measured of its inputs: accepted less, further away, slower, busier.

Each input has its own 95 % interval: of tokens a round over recorded requests, of step times that a profile told of
steps it was not made from, of a link's median over the stretches of its measurement. What was declared has none, and
stays as it is. Load is told by its user.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np

from dsd_plan.domain.acceptance import (
    Acceptance,
    AcceptanceCounts,
    AcceptanceLaw,
    RoundTrace,
    TokenTrace,
    largest_window,
    survival_by_position,
)
from dsd_plan.domain.fleet import Device, Link, RttTrace
from dsd_plan.domain.profile import LatencyProfile, LatencyStats, StepLaw
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.study_outlook import BadEnd
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Workload
from dsd_plan.model.input_errors import NORMAL_95, link_error, step_error, tokens_error

REFERENCE_WINDOW = 4
"""At which tokens a round are lowered by their error."""
STRETCHES = 10
"""Parts of a recorded round trip over time whose means tell how sure its mean is."""
SEED = 20

Moved = tuple[Scenario, tuple[BadEnd, ...], tuple[str, ...]]
"""The scenario at its bad end, what each input was set to, and the inputs that count as exact."""


def bad_end(scenario: Scenario, load: float | None) -> Moved:
    """Every input at the bad end of its interval; `load`: multiple of today's to plan for, None: today's.

    What was measured of the present system holds for today's inputs, so that the bad end has no present system.
    """
    ends: list[BadEnd] = []
    exact: list[str] = []
    pairs = tuple(_pair(pair, ends, exact) for pair in scenario.pairs)
    links = tuple(_link(link, ends, exact) for link in scenario.links)
    devices = tuple(_device(device, ends, exact) for device in scenario.devices)
    workloads = scenario.workloads
    if load is None:
        exact.append("the load (no robust_load is given)")
    else:
        workloads = tuple(_loaded(workload, load) for workload in workloads)
        ends.append(BadEnd(input="load", of="every workload", now=1.0, set_to=load, source="declared: robust_load"))
    moved = replace(scenario, pairs=pairs, links=links, devices=devices, workloads=workloads, present=None)
    return moved, tuple(ends), tuple(exact)


def _pair(pair: Pair, ends: list[BadEnd], exact: list[str]) -> Pair:
    limit = largest_window(pair.acceptance)
    window = REFERENCE_WINDOW if limit is None else min(REFERENCE_WINDOW, limit)
    error = tokens_error(pair.acceptance, window)
    name = f"{pair.draft} + {pair.target}"
    if not error:
        exact.append(f"the acceptance of {name}")
        return pair
    survival = survival_by_position(pair.acceptance, window)
    now = 1.0 + float(survival.sum())
    least = 1.0 + 1e-6
    wanted = max(now * (1.0 - error), least)
    kept = _kept_share(survival, wanted)
    ends.append(
        BadEnd(
            input="acceptance",
            of=name,
            now=now,
            set_to=wanted,
            source=f"95 % of tokens a round over recorded requests: ±{error:.1%}",
            window=window,
        )
    )
    return replace(pair, acceptance=thinned(pair.acceptance, kept))


def _kept_share(survival: np.ndarray, wanted: float) -> float:
    """The share k of accepted proposals to keep so that 1 + Σ s_i k^i is `wanted` tokens a round."""
    positions = np.arange(1, survival.size + 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if 1.0 + float((survival * middle**positions).sum()) < wanted else (low, middle)
    return high


def thinned(acceptance: Acceptance, kept: float) -> Acceptance:
    """The same evidence with each accepted proposal kept by chance `kept`, always the same ones; bursts stay."""
    draws = np.random.default_rng(SEED)
    if isinstance(acceptance, TokenTrace):
        match = acceptance.match.copy()
        match[draws.random(match.size) >= kept] = 0
        return replace(acceptance, match=match)
    if isinstance(acceptance, RoundTrace):
        lost_at = draws.geometric(max(1.0 - kept, 1e-12), acceptance.accepted.size)
        accepted = np.minimum(acceptance.accepted, lost_at - 1).astype(acceptance.accepted.dtype)
        return replace(acceptance, accepted=accepted)
    assert isinstance(acceptance, AcceptanceCounts)
    survival = survival_by_position(acceptance, len(acceptance.reached))
    powers = kept ** np.arange(1, survival.size + 1)
    return AcceptanceLaw(survival=tuple((survival * powers).tolist()), measured_window=survival.size)


def _link(link: Link, ends: list[BadEnd], exact: list[str]) -> Link:
    name = " – ".join(link.between)
    error, source = _rtt_error(link)
    now = sum(link.one_way_ms)
    if error <= 0.0:
        exact.append(f"the round trip {name}")
        return link
    factor = 1.0 + error
    ends.append(BadEnd(input="rtt_ms", of=name, now=now, set_to=now * factor, source=f"{source}: ±{error:.1%}"))
    trace = link.trace
    if trace is not None:
        trace = replace(trace, rtt_ms=tuple(rtt_ms * factor for rtt_ms in trace.rtt_ms))
    return replace(
        link,
        rtt_ms=_times(link.rtt_ms, factor),
        up_ms=_times(link.up_ms, factor),
        down_ms=_times(link.down_ms, factor),
        trace=trace,
    )


def _rtt_error(link: Link) -> tuple[float, str]:
    """Relative error of the mean round trip, and where it is from; 0: nothing is known."""
    if link.trace is not None:
        return _trace_error(link.trace), f"95 % of the mean over {STRETCHES} stretches of its recording"
    if link.profile is None:
        return 0.0, ""
    wandering, median = link_error(link.profile), link.profile.rtt_ms
    if wandering > 0.0:
        return wandering, "95 % of its median over the stretches of its measurement"
    return median.p50_high / median.p50 - 1.0 if median.p50 > 0.0 else 0.0, "95 % of its measured median"


def _trace_error(trace: RttTrace) -> float:
    if len(trace.rtt_ms) < 2 * STRETCHES or trace.mean_ms <= 0.0:
        return 0.0
    means = np.array([part.mean() for part in np.array_split(np.array(trace.rtt_ms), STRETCHES)])
    return float(NORMAL_95 * means.std(ddof=1) / sqrt(means.size) / means.mean())


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _device(device: Device, ends: list[BadEnd], exact: list[str]) -> Device:
    profiles = {}
    for model, profile in device.profiles.items():
        error = step_error(profile)
        if not error:
            exact.append(f"the step time of {model} on {device.name}")
            profiles[model] = profile
            continue
        ends.append(
            BadEnd(
                input="step_time",
                of=f"{model} on {device.name}",
                now=1.0,
                set_to=1.0 + error,
                source=f"mean error of steps that its profile was not made from: ±{error:.1%}",
            )
        )
        profiles[model] = slower(profile, 1.0 + error)
    return replace(device, profiles=profiles)


def slower(profile: LatencyProfile, factor: float) -> LatencyProfile:
    """The same profile, every step `factor` times as long."""
    points = tuple(replace(point, latency_ms=_slower_stats(point.latency_ms, factor)) for point in profile.points)
    law = profile.fit.law
    knots = None if law.knots is None else tuple((tokens, ms * factor) for tokens, ms in law.knots)
    times: dict[str, Any] = {key: _times(getattr(law, key), factor) for key in LAW_TIMES}
    moved: StepLaw = replace(law, knots=knots, **times)
    return replace(profile, points=points, fit=replace(profile.fit, law=moved))


LAW_TIMES = (
    "step_ms",
    "per_token_ms",
    "per_prompt_token_ms",
    "per_kv_token_us",
    "mixed_kv_token_us",
    "per_prompt_token_sq_us",
)
STATS_TIMES = ("mean", "std", "p50", "p95", "p99", "min", "mad", "p50_low", "p50_high")


def _slower_stats(stats: LatencyStats, factor: float) -> LatencyStats:
    times: dict[str, Any] = {key: _times(getattr(stats, key), factor) for key in STATS_TIMES}
    slowed: LatencyStats = replace(stats, **times)
    return slowed


def _loaded(workload: Workload, factor: float) -> Workload:
    """Asks `factor` times as much: rates, whole users, or a recording played faster."""
    requests = workload.requests
    rate = _times(workload.rate_per_s, factor)
    if isinstance(requests, PoissonRequests):
        return replace(workload, requests=replace(requests, rate_per_s=requests.rate_per_s * factor), rate_per_s=rate)
    if isinstance(requests, ClosedRequests):
        more = max(requests.users, round(requests.users * factor))
        return replace(workload, requests=replace(requests, users=more), rate_per_s=rate)
    return replace(workload, requests=replace(requests, arrival_s=requests.arrival_s / factor), rate_per_s=rate)
