"""Requests, rounds and series of a run as columns, for tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.charges import are_kept, charges
from dsd_plan.replay.layout import FATE_BITS, FATES, MS_PER_S, NONE, Rows
from dsd_plan.replay.series import ENDS, FIRSTS, TOKENS, TPOT_MS, TPOTS, TTFT_MS
from dsd_plan.replay.tallies import Tallies, bytes_up_and_down, kept_budgets, tpot_ms

if TYPE_CHECKING:
    from dsd_plan.replay.collecting import Chunk

MOST_STRETCHES = 128

Columns = Mapping[str, NDArray[Any]]


def request_columns(deployed: Deployed, replication: int, chunk: Chunk) -> Columns:
    """A row a request that has ended, in the order of arrival. NaN and masked: not there (one token has no TPOT).

    `draft_ms` … `downlink_ms` are sums over its rounds (iterations, where there is no draft). Energy and cost
    where shares of servers were kept.
    """
    ended = chunk.sessions["done"] == 1
    sessions = chunk.sessions[ended]
    streams = deployed.streams
    up, down = bytes_up_and_down(deployed, sessions)
    per_token = np.full(sessions.size, np.nan)
    longer = sessions["output"] > 1
    per_token[longer] = tpot_ms(sessions[longer])

    def named(names: Sequence[str]) -> NDArray[np.str_]:
        of_each: NDArray[np.str_] = np.array(names)[sessions["stream"]]
        return of_each

    target, replica = _places([pool.replicas for pool in deployed.targets], sessions["replica"])
    draft, device = _places([pool.count for pool in deployed.drafts], sessions["device"])
    return {
        "replication": np.full(sessions.size, replication),
        "request": sessions["number"].astype(np.int64),
        "workload": named([stream.workload.name for stream in streams]),
        "mode": named([stream.mode for stream in streams]),
        "target_device": np.array([pool.device.name for pool in deployed.targets])[target],
        "target_replica": replica,
        "draft_device": np.array(["", *(pool.device.name for pool in deployed.drafts)])[draft + 1],
        "draft_replica": np.ma.masked_equal(device, NONE),
        "arrival_s": sessions["started_ms"] / MS_PER_S,
        "prompt_tokens": sessions["prompt"].astype(np.int64),
        "output_tokens": sessions["output"].astype(np.int64),
        "ttft_ms": sessions["first_ms"] - sessions["started_ms"],
        "tpot_ms": per_token,
        "e2e_ms": sessions["last_ms"] - sessions["started_ms"],
        "rounds": sessions["rounds"].astype(np.int64),
        "accepted": sessions["accepted"].astype(np.int64),
        "proposed": sessions["proposed"].astype(np.int64),
        "draft_ms": sessions["sum_draft_ms"],
        "uplink_ms": sessions["sum_up_ms"],
        "wait_ms": sessions["sum_wait_ms"],
        "verify_ms": sessions["sum_verify_ms"],
        "downlink_ms": sessions["sum_down_ms"],
        "uplink_bytes": np.rint(up).astype(np.int64),
        "downlink_bytes": np.rint(down).astype(np.int64),
        **(charges(deployed, sessions) if are_kept(sessions) else {}),
        "faults": _fates(sessions),
        "met_budgets": kept_budgets(deployed, chunk)[ended],
    }


def _fates(sessions: Rows) -> NDArray[np.str_]:
    """What faults did to each session, in words."""
    told = [", ".join(fate for fate, bit in FATES.items() if bits & bit) for bits in range(1 << len(FATES))]
    of_each: NDArray[np.str_] = np.array(told)[sessions["fate"] & ((1 << FATE_BITS) - 1)]
    return of_each


def _places(counts: Sequence[int], index: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pool, and place in it, of a server's index; −1 and −1 where there is none."""
    ends = np.cumsum([0, *counts])
    pool = np.where(index == NONE, NONE, np.searchsorted(ends, index, side="right") - 1)
    return pool, np.where(index == NONE, NONE, index - ends[pool])


def round_columns(replication: int, chunk: Chunk) -> Columns:
    """A row a group of tokens of the requests that have ended, by request and round. Times in ms since the run began.

    Round 0 is the prefill. The session asked for the round, its draft was sent up, it joined the target's queue; its
    iteration began, had drafted (fused) and ended; its tokens arrived.
    """
    order = np.argsort(chunk.groups["session"], kind="stable")
    order = order[chunk.sessions["done"][chunk.groups["session"][order] - chunk.first] == 1]
    groups, rounds = chunk.groups[order], chunk.rounds[order]
    return {
        "replication": np.full(order.size, replication),
        "request": groups["session"],
        "round": rounds["round"],
        "window": rounds["window"],
        "accepted": rounds["accepted"],
        "tokens": groups["tokens"],
        "batch": rounds["batch"],
        **{f"{at}_ms": rounds[f"{at}_ms"] for at in ("asked", "sent", "joined", "began", "drafted", "ended")},
        "arrived_ms": groups["arrival_ms"],
    }


def series_columns(replication: int, tallies: Tallies, opened_ms: float, closed_ms: float) -> Columns:
    """A row a workload and stretch of time, from the run's beginning until measuring ends. NaN: nobody to ask.

    TTFT of the requests whose first token arrives in the stretch, TPOT of those whose last one does.
    """
    bins = tallies.bins
    bins.reach(closed_ms)  # measuring may end long after the last event
    width_ms = bins.width_ms
    while closed_ms > MOST_STRETCHES * width_ms:
        width_ms *= 2.0
    each = int(width_ms / bins.width_ms)
    count = max(int(closed_ms / width_ms), 1)
    width_s = width_ms / MS_PER_S
    sums = bins.sums[:, :, : count * each].reshape(*bins.sums.shape[:2], count, each).sum(axis=3)
    live_ms = bins.live_ms()[:, : count * each + 1 : each]
    from_s = np.arange(count) * width_s
    workloads = len(tallies.workloads)

    def mean(total: int, of: int) -> NDArray[np.float64]:
        return np.where(sums[of] > 0, sums[total] / np.maximum(sums[of], 1), np.nan).ravel()

    return {
        "replication": np.full(workloads * count, replication),
        "workload": np.repeat(tallies.workloads, count),
        "from_s": np.tile(from_s, workloads),
        "to_s": np.tile(from_s + width_s, workloads),
        "measured": np.tile(from_s * MS_PER_S >= opened_ms, workloads),
        "live_sessions": (np.diff(live_ms, axis=1) / width_ms).ravel(),
        "tokens_per_s": (sums[TOKENS] / width_s).ravel(),
        "requests_per_s": (sums[ENDS] / width_s).ravel(),
        "ttft_ms": mean(TTFT_MS, FIRSTS),
        "tpot_ms": mean(TPOT_MS, TPOTS),
    }
