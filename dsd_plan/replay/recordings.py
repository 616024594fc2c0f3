"""Recorded streams in a replay: how many requests play the whole of them, and which part fewer play."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.load import unloaded_ms

USUAL_REQUESTS = 4000
"""In one replication, where nothing is recorded."""
MOST_REQUESTS = 100_000
"""Of a longer recording the beginning is played, unless more are asked for."""
SPARE = 1.1
"""Streams beside a recording come by chance: as many again may be needed until it ends."""


REQUESTS_A_STREAM = 40
"""At least, of many streams: p95 of a stream needs some requests above it in all replications together."""


def requests_for(deployed: Deployed) -> int:
    """Requests in one replication that play the shortest recording to its end; the usual number without recordings."""
    span_s = shortest_s(deployed)
    if span_s is None:
        return max(USUAL_REQUESTS, REQUESTS_A_STREAM * len(deployed.streams))
    return max(2, min(ceil(SPARE * _started(deployed, span_s)), MOST_REQUESTS))


def shortest_s(deployed: Deployed) -> float | None:
    """How long all recorded streams last, in s; None where there is none. Replays end there."""
    traces = [stream.requests for stream in deployed.streams if isinstance(stream.requests, RequestTrace)]
    if not traces:
        return None
    origin_s = min(float(trace.arrival_s[0]) for trace in traces)
    return min(float(trace.arrival_s[-1]) for trace in traces) - origin_s


def played_part(deployed: Deployed, requests: int) -> tuple[Deployed, float]:
    """(the plan with its recordings cut where so many requests have started, the share of the shortest that is left).

    What the model has to be asked for where a replay stops before the recordings do.
    """
    span_s = shortest_s(deployed)
    if span_s is None or requests >= _started(deployed, span_s):
        return deployed, 1.0
    low_s, high_s = 0.0, span_s
    while high_s - low_s > 1e-6 * span_s:
        middle_s = (low_s + high_s) / 2.0
        low_s, high_s = (middle_s, high_s) if _started(deployed, middle_s) < requests else (low_s, middle_s)
    origin_s = min(float(s.requests.arrival_s[0]) for s in deployed.streams if isinstance(s.requests, RequestTrace))
    streams = tuple(_until(stream, origin_s + high_s) for stream in deployed.streams)
    return replace(deployed, streams=streams), high_s / span_s


def _until(stream: Stream, end_s: float) -> Stream:
    if not isinstance(stream.requests, RequestTrace):
        return stream
    rows = stream.requests.arrival_s <= end_s
    rows[:2] = True  # two requests are the least that has a rate
    return replace(stream, requests=stream.requests.where(rows))


def _started(deployed: Deployed, span_s: float) -> float:
    """Requests that start in the first `span_s` seconds, about."""
    traces = [s.requests for s in deployed.streams if isinstance(s.requests, RequestTrace)]
    origin_s = min(float(trace.arrival_s[0]) for trace in traces)
    total = 0.0
    for stream in deployed.streams:
        requests = stream.requests
        if isinstance(requests, RequestTrace):
            total += float(np.searchsorted(requests.arrival_s, origin_s + span_s, side="right"))
        elif isinstance(requests, ClosedRequests):
            cycle_s = requests.think_s + unloaded_ms(deployed, stream) / MS_PER_S
            total += requests.users * span_s / cycle_s
        else:
            total += requests.rate_per_s * span_s
    return total
