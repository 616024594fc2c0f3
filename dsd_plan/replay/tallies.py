"""What the chunks of one run add up to, by workload and by stretch between marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.domain.workload import METRICS, RequestTrace
from dsd_plan.replay.layout import FATE_BITS, FATES, MS_PER_S, NONE, Rows
from dsd_plan.replay.series import (
    END_MS,
    ENDS,
    FIRSTS,
    START_MS,
    STARTS,
    TOKENS,
    TPOT_MS,
    TPOTS,
    TTFT_MS,
    BatchMeans,
    TimeBins,
)
from dsd_plan.replay.values import Values

if TYPE_CHECKING:
    from dsd_plan.replay.collecting import Chunk

Array = NDArray[np.float64]
Which = NDArray[np.bool_]
Indices = NDArray[np.int64]

PARTS = ("draft_ms", "up_ms", "wait_ms", "verify_ms", "down_ms")

OF_REQUESTS = (
    *("requests", "met", "tokens", "payload_bytes", "rounds"),
    # of those that speculate
    *("speculative_requests", "speculative_rounds", "speculative_tokens", "accepted", "proposed"),
    *(f"sum_{part}" for part in PARTS),
)
"""Sums over the requests that start in a stretch."""
OF_TIME = ("finished", "good", "arrived_tokens")
"""Requests whose last token arrives in a stretch, those that kept every budget, tokens that arrive in it."""


class Tallies:
    """Sums, latencies and series of one run. Stretch 0 lies before the first mark, the last one after the last."""

    def __init__(self, deployed: Deployed, marks: int, by_workload: bool = True) -> None:
        """`by_workload`: whether it is kept how each of them went over time, not only all together."""
        names = [workload.name for workload in deployed.scenario.workloads]
        served = {stream.workload.name for stream in deployed.streams}
        self.workloads = [name for name in names if name in served]
        self.stretches = marks + 1
        shape = (len(self.workloads), self.stretches)
        self.of_requests = {name: np.zeros(shape) for name in OF_REQUESTS}
        self.of_time = {name: np.zeros(shape) for name in OF_TIME}
        self.finished = np.zeros((len(deployed.streams), self.stretches))
        """By stream, as in `of_time`."""
        self.latency = {metric: [[Values() for _ in range(shape[1])] for _ in range(shape[0])] for metric in METRICS}
        """By workload and stretch: "ttft", "tpot", "e2e" by request, "itl" by gap."""
        self.e2e = [BatchMeans() for _ in self.workloads]
        self.e2e_counts = np.zeros(shape, dtype=np.int64)
        self.bins = TimeBins(len(self.workloads) if by_workload else 1)
        self.prompts: Indices = np.zeros(sum(pool.replicas for pool in deployed.targets), dtype=np.int64)
        """Requests that each replica was given."""
        self.fates: Indices = np.zeros(len(FATES), dtype=np.int64)
        """Requests that faults did each of FATES to, of the `ended` ones."""
        self.ended = 0
        self._deployed = deployed
        place = {name: index for index, name in enumerate(self.workloads)}
        self._of_stream = np.array([place[s.workload.name] for s in deployed.streams], dtype=np.int64)
        self._speculative = np.array([s.window > 0 for s in deployed.streams])
        self._end_ms = _recording_ends_ms(deployed)
        self._late: int | None = None
        self._marks: list[tuple[int, float]] = []

    def mark(self, started: int, at_ms: float) -> None:
        """The next stretch begins with session number `started`, at this time."""
        self._marks.append((started, at_ms))

    @property
    def measured_end(self) -> int:
        """The first session that is not measured any more."""
        end = self._marks[-1][0]
        return end if self._late is None else min(end, self._late)

    def take(self, chunk: Chunk) -> None:
        """Add a chunk up. It must hold no time after a mark that is still to come."""
        sessions = chunk.sessions
        stretch = self._stretch(chunk)
        workload = self._of_stream[sessions["stream"]]
        place = workload * self.stretches + stretch
        kept = kept_budgets(self._deployed, chunk)
        ended = sessions["done"] == 1
        self.ended += int(np.count_nonzero(ended))
        for index, bit in enumerate(FATES.values()):
            self.fates[index] += np.count_nonzero(sessions["fate"][ended] & bit)
        self.prompts += np.bincount(sessions["replica"], minlength=self.prompts.size)
        self._add_requests(sessions[ended], place[ended], kept[ended])
        self._add_times(chunk, workload, ended, kept)
        self._add_latencies(chunk, place, ended)
        self._add_series(sessions[ended], workload[ended], stretch[ended])
        self.bins.add(STARTS, workload, sessions["started_ms"])
        self.bins.add(START_MS, workload, sessions["started_ms"], sessions["started_ms"])

    def _stretch(self, chunk: Chunk) -> Indices:
        """Of each session, by its number. After a recorded stream's end the load falls: who saw that is left out."""
        numbers = chunk.sessions["number"]
        stretch = np.searchsorted([started for started, _ in self._marks], numbers, side="right")
        if self._end_ms is not None and self._late is None:
            inside = (stretch > 0) & (stretch < self.stretches - 1)
            late = inside & (chunk.sessions["last_ms"] > self._end_ms)
            if late.any():
                self._late = int(numbers[late][0])
        if self._late is not None:
            stretch[numbers >= self._late] = self.stretches - 1
        return stretch

    def _add_requests(self, sessions: Rows, place: Indices, kept: Which) -> None:
        drafted = self._speculative[sessions["stream"]]
        weights: dict[str, Array | None] = {
            "requests": None,
            "met": kept.astype(float),
            "tokens": sessions["output"],
            "payload_bytes": payload_bytes(self._deployed, sessions),
            "rounds": sessions["rounds"],
            "speculative_requests": drafted.astype(float),
            "speculative_rounds": sessions["rounds"] * drafted,
            "speculative_tokens": (sessions["output"] - 1) * drafted,
            "accepted": sessions["accepted"] * drafted,
            "proposed": sessions["proposed"] * drafted,
        }
        for name, total in self.of_requests.items():
            weight = sessions[name] if name.startswith("sum_") else weights[name]
            total += np.bincount(place, weight, minlength=total.size).reshape(total.shape)

    def _add_times(self, chunk: Chunk, workload: Indices, ended: Which, kept: Which) -> None:
        from dsd_plan.replay.counting import count_tokens

        at_ms = np.array([at_ms for _, at_ms in self._marks], dtype=np.float64)
        sessions, groups = chunk.sessions[ended], chunk.groups
        stretch = np.searchsorted(at_ms, sessions["last_ms"], side="right")
        place = workload[ended] * self.stretches + stretch
        for name, weights in (("finished", None), ("good", kept[ended].astype(float))):
            total = self.of_time[name]
            total += np.bincount(place, weights, minlength=total.size).reshape(total.shape)
        places = sessions["stream"] * self.stretches + stretch
        self.finished += np.bincount(places, minlength=self.finished.size).reshape(self.finished.shape)
        self.bins.reach(float(groups["arrival_ms"].max(initial=0.0)))
        bins = self.bins.sums[TOKENS]
        count_tokens(groups, chunk.first, workload, at_ms, self.of_time["arrived_tokens"], bins, self.bins.width_ms)

    def _add_latencies(self, chunk: Chunk, place: Indices, ended: Which) -> None:
        from dsd_plan.replay.counting import sorted_gaps

        sessions, places = chunk.sessions[ended], place[ended]
        longer = sessions["output"] > 1
        self._scatter("ttft", places, sessions["first_ms"] - sessions["started_ms"])
        self._scatter("e2e", places, sessions["last_ms"] - sessions["started_ms"])
        self._scatter("tpot", places[longer], tpot_ms(sessions[longer]))
        counts, gaps = np.zeros(len(self.workloads) * self.stretches, dtype=np.int64), np.empty(chunk.groups.size)
        sorted_gaps(chunk.groups, chunk.first, np.where(ended, place, NONE), counts, gaps)
        for of, mine in enumerate(np.split(gaps, np.cumsum(counts))[:-1]):
            self._values("itl", of).add(mine.copy())

    def _scatter(self, metric: str, places: Indices, values: Array) -> None:
        for place, mine in _grouped(places):
            # A copy: a view would keep the whole chunk in memory.
            self._values(metric, place).add(values[mine].astype(np.float64))

    def _values(self, metric: str, place: int) -> Values:
        return self.latency[metric][place // self.stretches][place % self.stretches]

    def _add_series(self, sessions: Rows, workload: Indices, stretch: Indices) -> None:
        counted = stretch < self.stretches - 1
        e2e_ms = (sessions["last_ms"] - sessions["started_ms"])[counted]
        for index, mine in _grouped(workload[counted]):
            self.e2e[index].add(e2e_ms[mine])
        places = (workload * self.stretches + stretch)[counted]
        self.e2e_counts += np.bincount(places, minlength=self.e2e_counts.size).reshape(self.e2e_counts.shape)
        longer = sessions["output"] > 1
        self.bins.add(ENDS, workload, sessions["last_ms"])
        self.bins.add(END_MS, workload, sessions["last_ms"], sessions["last_ms"])
        self.bins.add(TPOTS, workload[longer], sessions["last_ms"][longer])
        self.bins.add(TPOT_MS, workload[longer], sessions["last_ms"][longer], tpot_ms(sessions[longer]))
        self.bins.add(FIRSTS, workload, sessions["first_ms"])
        self.bins.add(TTFT_MS, workload, sessions["first_ms"], sessions["first_ms"] - sessions["started_ms"])


def _grouped(numbers: Indices) -> Iterator[tuple[int, Indices]]:
    """Every number that there is, and where it is, in order."""
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers))
    for number, (start, end) in enumerate(pairwise([0, *ends.tolist()])):
        if start < end:
            yield number, order[start:end]


def _recording_ends_ms(deployed: Deployed) -> float | None:
    """When the first of the recorded streams has no more requests; None where there is no recording."""
    traces = [s.requests for s in deployed.streams if isinstance(s.requests, RequestTrace)]
    if not traces:
        return None
    first_s = min(float(trace.arrival_s[0]) for trace in traces)
    return (min(float(trace.arrival_s[-1]) for trace in traces) - first_s) * MS_PER_S


def tpot_ms(sessions: Rows) -> Array:
    """(last − first) / (output_tokens − 1), of sessions of more than one token."""
    tpot: Array = (sessions["last_ms"] - sessions["first_ms"]) / (sessions["output"] - 1)
    return tpot


def payload_bytes(deployed: Deployed, sessions: Rows) -> Array:
    """What each request sent up and down."""
    up, down = bytes_up_and_down(deployed, sessions)
    return up + down


def bytes_up_and_down(deployed: Deployed, sessions: Rows) -> tuple[Array, Array]:
    """What each request sent up to the target and what came down to its site."""

    def of_stream(read: Callable[[int], float]) -> Array:
        read_all: Array = np.array([read(index) for index in range(len(deployed.streams))])[sessions["stream"]]
        return read_all

    messages = [stream.messages for stream in deployed.streams]
    verified = of_stream(lambda i: float(deployed.streams[i].draft is not None))
    alone = sessions["fate"] >> FATE_BITS
    answers = np.where(verified > 0, sessions["rounds"] - alone, sessions["output"] - 1)
    proposed_up = of_stream(lambda i: messages[i].round_up / max(deployed.streams[i].window, 1))
    up: Array = TOKEN_ID_BYTES * sessions["prompt"] + sessions["proposed"] * verified * proposed_up
    down: Array = of_stream(lambda i: messages[i].first_down) + answers * of_stream(lambda i: messages[i].accepted_down)
    down = down + verified * alone * TOKEN_ID_BYTES
    down += sessions["rejected"] * of_stream(lambda i: messages[i].rejected_down - messages[i].accepted_down)
    return up, down


def kept_budgets(deployed: Deployed, chunk: Chunk) -> Which:
    """Which of the chunk's sessions have ended and keep every latency budget themselves.

    A limit on TTFT, TPOT or E2E is compared with the request's own; a limit on ITL must hold for the share of
    its gaps that the statistic names (p95: 95 %).
    """
    sessions = chunk.sessions
    keeps: Which = sessions["done"] == 1
    own_ms = {
        "ttft": sessions["first_ms"] - sessions["started_ms"],
        "tpot": (sessions["last_ms"] - sessions["first_ms"]) / np.maximum(sessions["output"] - 1, 1),
        "e2e": sessions["last_ms"] - sessions["started_ms"],
    }
    for (metric, statistic), of_stream in _limits_by_stream(deployed).items():
        limit_ms = of_stream[sessions["stream"]]
        if metric == "itl":
            gaps = chunk.groups[chunk.groups["gap_ms"] > 0]
            own = gaps["session"] - chunk.first
            share = int(statistic.removeprefix("p")) / 100.0
            kept = np.bincount(own[gaps["gap_ms"] <= limit_ms[own]], minlength=sessions.size)
            keeps &= kept >= share * np.bincount(own, minlength=sessions.size)
        else:
            keeps &= own_ms[metric] <= limit_ms
    return keeps


def _limits_by_stream(deployed: Deployed) -> dict[tuple[str, str], Array]:
    """By metric and statistic, the limit of every stream's workload; infinite where it has none."""
    found: dict[tuple[str, str], Array] = {}
    for index, stream in enumerate(deployed.streams):
        for metric, statistic, limit_ms in stream.workload.budgets.limits():
            limits = found.setdefault((metric, statistic), np.full(len(deployed.streams), np.inf))
            limits[index] = limit_ms
    return found
