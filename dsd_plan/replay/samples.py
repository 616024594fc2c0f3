"""What one replication says of each workload: the measured requests' latencies, rates, rounds, and sums of work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import TOKEN_ID_BYTES, Deployed, Stream
from dsd_plan.domain.workload import RequestTrace, Workload
from dsd_plan.replay.layout import MS_PER_S, WORK, Rows
from dsd_plan.replay.recording import Recording
from dsd_plan.replay.statistics import trend

Array = NDArray[np.float64]
Which = NDArray[np.bool_]

PARTS = ("draft_ms", "up_ms", "wait_ms", "verify_ms", "down_ms")


@dataclass(frozen=True, slots=True, eq=False)
class WorkloadSample:
    """One workload in one replication. Requests are measured if they started between the marks."""

    latency_ms: dict[str, Array]
    """"ttft", "tpot", "e2e" by request, "itl" by gap."""
    requests: int
    met: int
    """Requests that kept every budget."""
    finished: int
    """Requests whose last token arrived between the marks; `good` of them kept every budget."""
    good: int
    arrived_tokens: int
    """Tokens that arrived between the marks."""
    tokens: int
    """Output tokens of the measured requests; `payload_bytes` likewise."""
    payload_bytes: float
    rounds: int
    """Of all measured requests (iterations, where there is no draft); the following of those that speculate."""
    speculative_requests: int
    speculative_rounds: int
    speculative_tokens: int
    accepted: int
    proposed: int
    parts_ms: Array
    """Sums over the measured rounds, in the order of PARTS."""
    e2e_trend: float


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One replication."""

    workloads: dict[str, WorkloadSample]
    span_ms: float
    """Between the marks; the sums of work below are over it."""
    step_ms: Array
    """By replica; `draft_ms` likewise."""
    draft_ms: Array
    iterations: NDArray[np.int64]
    jobs: NDArray[np.int64]
    device_ms: Array
    """By draft device."""
    work: dict[str, Array]
    """By field of layout.WORK, by stream."""
    finished: NDArray[np.int64]
    """By stream."""
    live_trend: float
    refused: int
    memory_waits: NDArray[np.int64]
    """By replica, over the whole run."""
    prompts: NDArray[np.int64]
    """Requests that each replica was given, over the whole run."""


def sample_of(deployed: Deployed, recording: Recording) -> Sample:
    """Cut a recording down to what statistics need."""
    opened, closed, sessions = recording.opened, recording.closed, recording.sessions
    measured = _measured(deployed, recording)
    of_stream = [sessions["stream"] == index for index in range(len(deployed.streams))]
    ended = sessions["done"] == 1
    finished = ended & (sessions["last_ms"] >= opened.at_ms) & (sessions["last_ms"] < closed.at_ms)
    return Sample(
        workloads={
            workload.name: _workload(deployed, workload, recording, measured, finished, of_stream)
            for workload in deployed.scenario.workloads
            if any(stream.workload.name == workload.name for stream in deployed.streams)
        },
        span_ms=closed.at_ms - opened.at_ms,
        step_ms=closed.step_ms - opened.step_ms,
        draft_ms=closed.draft_ms - opened.draft_ms,
        iterations=closed.iterations - opened.iterations,
        jobs=closed.jobs - opened.jobs,
        device_ms=closed.device_ms - opened.device_ms,
        work={field: (closed.work[field] - opened.work[field]).astype(float) for field in WORK.names or ()},
        finished=np.array([np.count_nonzero(finished & mine) for mine in of_stream]),
        live_trend=_live_trend(sessions, opened.at_ms, closed.at_ms),
        refused=recording.refused,
        memory_waits=recording.replicas["memory_waits"],
        prompts=np.bincount(sessions["replica"], minlength=recording.replicas.size),
    )


def _measured(deployed: Deployed, recording: Recording) -> Which:
    """Sessions between the marks. After a recorded stream's end the load falls: who saw that is left out."""
    sessions = recording.sessions
    number = np.arange(sessions.size)
    measured = (number >= recording.opened.started) & (number < recording.closed.started)
    last_s = [s.requests.arrival_s[-1] for s in deployed.streams if isinstance(s.requests, RequestTrace)]
    if last_s and measured.any():
        first_s = min(s.requests.arrival_s[0] for s in deployed.streams if isinstance(s.requests, RequestTrace))
        late = measured & (sessions["last_ms"] > (min(last_s) - first_s) * MS_PER_S)
        if late.any():
            measured &= number < np.flatnonzero(late)[0]
    return measured


def _live_trend(sessions: Rows, start_ms: float, end_ms: float) -> float:
    """Change in the mean number of live sessions from the first half to the second."""
    gone_ms = np.where(sessions["done"] == 1, sessions["last_ms"], np.inf)

    def live(a: float, b: float) -> float:
        return float(np.maximum(np.minimum(gone_ms, b) - np.maximum(sessions["started_ms"], a), 0.0).sum())

    middle_ms = (start_ms + end_ms) / 2.0
    return trend(live(start_ms, middle_ms), live(middle_ms, end_ms))


def _workload(
    deployed: Deployed,
    workload: Workload,
    recording: Recording,
    measured: Which,
    finished: Which,
    of_stream: list[Which],
) -> WorkloadSample:
    sessions, groups = recording.sessions, recording.groups
    streams = [i for i, stream in enumerate(deployed.streams) if stream.workload.name == workload.name]
    mine = np.logical_or.reduce([of_stream[i] for i in streams])
    speculative = np.logical_or.reduce([of_stream[i] & (deployed.streams[i].window > 0) for i in streams])
    chosen = sessions[mine & measured]
    of_mine = mine[groups["session"]]
    between = (groups["arrival_ms"] >= recording.opened.at_ms) & (groups["arrival_ms"] < recording.closed.at_ms)
    keeps = _keeps_budgets(workload, recording, mine & (measured | finished))
    drafted = sessions[mine & measured & speculative]
    e2e_ms = chosen["last_ms"] - chosen["started_ms"]
    half = e2e_ms.size // 2
    return WorkloadSample(
        latency_ms={
            "ttft": chosen["first_ms"] - chosen["started_ms"],
            "tpot": _tpot_ms(chosen),
            "itl": groups["gap_ms"][of_mine & measured[groups["session"]] & (groups["gap_ms"] > 0)],
            "e2e": e2e_ms,
        },
        requests=chosen.size,
        met=int(np.count_nonzero(keeps & measured)),
        finished=int(np.count_nonzero(finished & mine)),
        good=int(np.count_nonzero(keeps & finished)),
        arrived_tokens=int(groups["tokens"][of_mine & between].sum()),
        tokens=int(chosen["output"].sum()),
        payload_bytes=sum(_payload_bytes(deployed.streams[i], sessions[of_stream[i] & measured]) for i in streams),
        rounds=int(chosen["rounds"].sum()),
        speculative_requests=drafted.size,
        speculative_rounds=int(drafted["rounds"].sum()),
        speculative_tokens=int((drafted["output"] - 1).sum()),
        accepted=int(drafted["accepted"].sum()),
        proposed=int(drafted["proposed"].sum()),
        parts_ms=np.array([chosen[f"sum_{part}"].sum() for part in PARTS]),
        e2e_trend=trend(float(e2e_ms[:half].mean()), float(e2e_ms[half:].mean())) if half > 0 else 0.0,
    )


def _tpot_ms(sessions: Rows) -> Array:
    """(last − first) / (output_tokens − 1) of the requests that have more than one token."""
    longer = sessions[sessions["output"] > 1]
    tpot_ms: Array = (longer["last_ms"] - longer["first_ms"]) / (longer["output"] - 1)
    return tpot_ms


def _payload_bytes(stream: Stream, sessions: Rows) -> float:
    """What the requests sent up and down."""
    messages = stream.messages
    total = float((TOKEN_ID_BYTES * sessions["prompt"] + messages.first_down).sum())
    if stream.mode == "distributed":
        return total + float((sessions["rounds"] * (messages.round_up + messages.round_down)).sum())
    return total + float(((sessions["output"] - 1) * messages.round_down).sum())


def _keeps_budgets(workload: Workload, recording: Recording, asked: Which) -> Which:
    """Which of the asked-for sessions keep every latency budget themselves.

    A limit on TTFT, TPOT or E2E is compared with the request's own; a limit on ITL must hold for the share of
    its gaps that the statistic names (p95: 95 %).
    """
    sessions, groups = recording.sessions, recording.groups
    keeps: Which = asked & (sessions["done"] == 1)
    own_ms = {
        "ttft": sessions["first_ms"] - sessions["started_ms"],
        "tpot": (sessions["last_ms"] - sessions["first_ms"]) / np.maximum(sessions["output"] - 1, 1),
        "e2e": sessions["last_ms"] - sessions["started_ms"],
    }
    gaps = groups[groups["gap_ms"] > 0]
    for metric, statistic, limit_ms in workload.budgets.limits():
        if metric == "itl":
            share = int(statistic.removeprefix("p")) / 100.0
            kept = np.bincount(gaps["session"][gaps["gap_ms"] <= limit_ms], minlength=sessions.size)
            keeps &= kept >= share * np.bincount(gaps["session"], minlength=sessions.size)
        else:
            keeps &= own_ms[metric] <= limit_ms
    return keeps
