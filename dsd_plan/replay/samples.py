"""What one replication says of each workload from a cut on: latencies, rates, rounds, and sums of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import METRICS
from dsd_plan.replay.layout import WORK
from dsd_plan.replay.statistics import trend
from dsd_plan.replay.tallies import PARTS, Tallies
from dsd_plan.replay.values import Values
from dsd_plan.replay.warm_up import BATCH, Cut, Series, chosen_cut

if TYPE_CHECKING:
    from dsd_plan.replay.replication import Replication

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class WorkloadSample:
    """One workload in one replication. Requests are measured if they started between the marks."""

    latency_ms: dict[str, Values]
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
    end_ms: float
    """The last mark."""
    step_ms: Array
    """By replica; `draft_ms` likewise."""
    draft_ms: Array
    iterations: NDArray[np.int64]
    jobs: NDArray[np.int64]
    device_ms: Array
    """By draft device."""
    work: dict[str, Array]
    """By field of layout.WORK, by stream."""
    sent_ms: Array
    """By lane of a thin link, in the order of `inputs.lanes_of`; `sent_bytes` likewise."""
    sent_bytes: Array
    finished: NDArray[np.int64]
    """By stream."""
    live_trend: float
    refused: int
    memory_waits: NDArray[np.int64]
    """By replica, over the whole run."""
    prompts: NDArray[np.int64]
    """Requests that each replica was given, over the whole run."""


def common_cut(replications: Sequence[Replication]) -> Cut:
    """Where measuring begins in every one of the replications: see `warm_up`."""
    first = replications[0].tallies
    series = {}
    for index, name in enumerate(first.workloads):
        batch = max(replication.tallies.e2e[index].size for replication in replications)
        series[f"E2E of {name}"] = [_series(replication.tallies, index, batch) for replication in replications]
    width_ms = max(replication.tallies.bins.width_ms for replication in replications)
    series["the number of live sessions"] = [_live_series(replication, width_ms) for replication in replications]
    return chosen_cut(series)


def _series(tallies: Tallies, workload: int, batch: int) -> Series:
    before = np.cumsum(tallies.e2e_counts[workload])[: tallies.stretches - 2]
    return Series(tallies.e2e[workload].means(batch), tuple(int(count) // batch for count in before), batch)


def _live_series(replication: Replication, width_ms: float) -> Series:
    """Live sessions by stretch of time, each as good as a batch."""
    *opened, closed = (mark.at_ms for mark in replication.ran.marks)
    live = replication.tallies.bins.live(width_ms)[: int(closed / width_ms)]
    return Series(live, tuple(int(at_ms / width_ms) for at_ms in opened), BATCH)


def sample_of(replication: Replication, cut: int) -> Sample:
    """The replication as it is measured from its mark number `cut` on."""
    tallies, ran = replication.tallies, replication.ran
    opened, closed = ran.marks[cut], ran.marks[-1]
    inside = slice(cut + 1, tallies.stretches - 1)
    middle_ms = (opened.at_ms + closed.at_ms) / 2.0
    live = tallies.bins.mean_live
    return Sample(
        workloads={name: _workload(tallies, index, inside) for index, name in enumerate(tallies.workloads)},
        span_ms=closed.at_ms - opened.at_ms,
        end_ms=closed.at_ms,
        step_ms=closed.step_ms - opened.step_ms,
        draft_ms=closed.draft_ms - opened.draft_ms,
        iterations=closed.iterations - opened.iterations,
        jobs=closed.jobs - opened.jobs,
        device_ms=closed.device_ms - opened.device_ms,
        work={field: (closed.work[field] - opened.work[field]).astype(float) for field in WORK.names or ()},
        sent_ms=closed.sent_ms - opened.sent_ms,
        sent_bytes=closed.sent_bytes - opened.sent_bytes,
        finished=tallies.finished[:, inside].sum(axis=1).astype(np.int64),
        live_trend=trend(live(opened.at_ms, middle_ms), live(middle_ms, closed.at_ms)),
        refused=ran.refused,
        memory_waits=ran.memory_waits,
        prompts=tallies.prompts,
    )


def _workload(tallies: Tallies, index: int, inside: slice) -> WorkloadSample:
    sums = {name: total[index, inside].sum() for name, total in (tallies.of_requests | tallies.of_time).items()}
    whole = {name: round(float(sums[name])) for name in sums if name != "payload_bytes" and not name.startswith("sum_")}
    e2e_ms = tallies.e2e[index].means()[tallies.e2e_counts[index, : inside.start].sum() // tallies.e2e[index].size :]
    half = e2e_ms.size // 2
    return WorkloadSample(
        latency_ms={metric: Values.pooled(tallies.latency[metric][index][inside]) for metric in METRICS},
        payload_bytes=float(sums["payload_bytes"]),
        parts_ms=np.array([sums[f"sum_{part}"] for part in PARTS]),
        e2e_trend=trend(float(e2e_ms[:half].mean()), float(e2e_ms[half:].mean())) if half > 0 else 0.0,
        **whole,
    )
