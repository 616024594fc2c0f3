"""The same deployment under another round trip, acceptance, load or prompt length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np

from dsd_plan.domain.acceptance import Acceptance, AcceptanceLaw, largest_window, survival_by_position
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.network import Hop
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Requests, RequestTrace


def stream_of(deployed: Deployed, workload: str) -> Stream:
    """The (first) stream of a workload. Raises KeyError."""
    for stream in deployed.streams:
        if stream.workload.name == workload:
            return stream
    raise KeyError(workload)


def route_rtt_ms(stream: Stream) -> float:
    """Mean round trip of the stream's route, without serialisation and losses."""
    return sum(hop.mean_ms for hop in (*stream.up, *stream.down))


def with_rtt(deployed: Deployed, workload: str, rtt_ms: float) -> Deployed:
    """The workload's route takes `rtt_ms`: every delay on it is scaled alike, jitter with it.

    A route of no delay gets half of it on the first hop of each direction; no route (one site) stays as it is.
    """

    def changed(stream: Stream) -> Stream:
        now_ms = route_rtt_ms(stream)
        if now_ms > 0.0:
            factor = rtt_ms / now_ms
            return replace(stream, up=_scaled(stream.up, factor), down=_scaled(stream.down, factor))
        return replace(stream, up=_first(stream.up, rtt_ms), down=_first(stream.down, rtt_ms))

    return _changed(deployed, workload, changed)


def _scaled(hops: tuple[Hop, ...], factor: float) -> tuple[Hop, ...]:
    return tuple(hop._replace(mean_ms=hop.mean_ms * factor, rtt_ms=hop.rtt_ms * factor) for hop in hops)


def _first(hops: tuple[Hop, ...], rtt_ms: float) -> tuple[Hop, ...]:
    return tuple(
        hop._replace(mean_ms=rtt_ms / 2, rtt_ms=rtt_ms) if index == 0 else hop for index, hop in enumerate(hops)
    )


def with_acceptance(deployed: Deployed, workload: str, acceptance: Acceptance) -> Deployed:
    """The workload's proposals are accepted as `acceptance` says; nothing changes where it does not speculate."""

    def changed(stream: Stream) -> Stream:
        return stream if stream.acceptance is None else replace(stream, acceptance=acceptance)

    return _changed(deployed, workload, changed)


def _changed(deployed: Deployed, workload: str, change: Callable[[Stream], Stream]) -> Deployed:
    streams = tuple(change(s) if s.workload.name == workload else s for s in deployed.streams)
    return replace(deployed, streams=streams)


def prompt_tokens(stream: Stream) -> float:
    """Mean prompt of a stream's requests."""
    return float(np.mean(stream.requests.prompt_tokens))


def with_prompts(deployed: Deployed, workload: str, factor: float) -> Deployed:
    """Prompts of the workload are `factor` times as long, rounded to whole tokens; what is cached of them alike."""

    def longer(requests: Requests) -> Requests:
        if not isinstance(requests, RequestTrace):
            return replace(requests, prompt_tokens=max(1, round(requests.prompt_tokens * factor)))
        prompts = np.maximum(1, np.rint(requests.prompt_tokens * factor).astype(np.int64))
        cached = requests.cached_prefix_tokens
        if cached is not None:
            cached = np.minimum(np.rint(cached * factor).astype(np.int64), prompts - 1)
        return replace(requests, prompt_tokens=prompts, cached_prefix_tokens=cached)

    return _changed(deployed, workload, lambda stream: replace(stream, requests=longer(stream.requests)))


def with_load(deployed: Deployed, factor: float) -> Deployed:
    """Every workload asks `factor` times as much; closed users are rounded to whole ones, at least one."""
    streams = tuple(replace(stream, requests=_loaded(stream.requests, factor)) for stream in deployed.streams)
    return replace(deployed, streams=streams)


def with_load_of(deployed: Deployed, workload: str, factor: float) -> Deployed:
    """As `with_load`, one workload alone."""
    return _changed(deployed, workload, lambda stream: replace(stream, requests=_loaded(stream.requests, factor)))


def _loaded(
    requests: PoissonRequests | ClosedRequests | RequestTrace, factor: float
) -> PoissonRequests | ClosedRequests | RequestTrace:
    if isinstance(requests, PoissonRequests):
        return replace(requests, rate_per_s=requests.rate_per_s * factor)
    if isinstance(requests, ClosedRequests):
        return replace(requests, users=max(1, round(requests.users * factor)))
    return replace(requests, arrival_s=requests.arrival_s / factor)


def first_accepted(acceptance: Acceptance, windows: int) -> float:
    """P(the first proposal of a round is accepted): the one number that places a pair on an axis of acceptance."""
    return float(survival_by_position(acceptance, _covered(acceptance, windows))[0])


def matched_law(acceptance: Acceptance, windows: int, first: float) -> AcceptanceLaw:
    """A law of the same shape with another acceptance of the first proposal: s_i ← s_i^(ln first / ln s_1).

    Powers keep survival falling with position, keep what is independent independent, and give the pair's own
    survival back at its own s_1.
    """
    survival = survival_by_position(acceptance, _covered(acceptance, windows))
    here = float(survival[0])
    if not 0.0 < here < 1.0:
        return AcceptanceLaw(per_token=first)
    exponent = log(first) / log(here)
    return AcceptanceLaw(survival=tuple(float(s) ** exponent for s in survival))


def _covered(acceptance: Acceptance, windows: int) -> int:
    limit = largest_window(acceptance)
    return windows if limit is None else min(windows, limit)
