"""A stretch of a replay that a page can show: bounded in sessions, rounds and iterations, whatever is replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.excerpt import Excerpt, SessionExcerpt
from dsd_plan.replay.layout import MS_PER_S, NONE, Rows
from dsd_plan.replay.refusals import refuse_unsupported

if TYPE_CHECKING:
    from dsd_plan.replay.stretch import Stretch

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_TARGETS = 2
MOST_SESSIONS = 15
"""Followed in each excerpt."""
MOST_PLAYED = 600
"""Sessions played in all so that enough of them come to one replica."""
MOST_ROUNDS = 1000
MOST_ITERATIONS = 600
DIGITS = 2
"""Of a time in ms."""
TIMES = ("asked", "sent", "joined", "began", "ended")


def excerpts(deployed: Deployed, *, seed: int = 0, requests: int = 4000) -> tuple[Excerpt, ...]:
    """The first replica of each of the first targets that serve requests, behind the warm-up of the first replication.

    Raises ScenarioError or PlanError for what cannot be replayed yet.
    """
    refuse_unsupported(deployed)
    # The compiled kernel is loaded here, so that importing this room costs nothing.
    from dsd_plan.replay.stretch import played

    used = [i for i in range(len(deployed.targets)) if any(stream.target == i for stream in deployed.streams)]
    replicas = sum(pool.replicas for pool in deployed.targets)
    stretch = played(deployed, seed, requests, sessions=min(MOST_SESSIONS * replicas, MOST_PLAYED))
    found = (_excerpt(deployed, stretch, target) for target in used[:MOST_TARGETS])
    return tuple(one for one in found if one is not None)


def _excerpt(deployed: Deployed, stretch: Stretch, target: int) -> Excerpt | None:
    first = sum(pool.replicas for pool in deployed.targets[:target])
    mine = stretch.rounds["replica"] == first
    rounds, groups = stretch.rounds[mine], stretch.groups[mine]
    here = np.isin(stretch.sessions["number"], np.unique(rounds["session"]))
    came = here & (stretch.sessions["number"] >= stretch.first) & (stretch.sessions["number"] < stretch.end)
    followed = np.sort(stretch.sessions["number"][came])[:MOST_SESSIONS]
    if followed.size == 0:
        return None
    end_ms = min(_end_of(rounds, groups, followed, stretch.start_ms), stretch.end_ms)
    pool = deployed.targets[target]
    sessions = stretch.sessions[np.isin(stretch.sessions["number"], followed)]
    return Excerpt(
        device=pool.device.name,
        model=pool.model,
        replica=0,
        replicas=pool.replicas,
        began_at_s=round(stretch.start_ms / MS_PER_S, 3),
        lasts_ms=round(end_ms - stretch.start_ms, DIGITS),
        sessions=tuple(
            _session(deployed, one, rounds, groups, stretch.start_ms, end_ms)
            for one in sessions[np.argsort(sessions["number"])]
            if one["started_ms"] <= end_ms
        ),
        **_iterations(rounds, groups, stretch.start_ms, end_ms),
        **_queue(rounds, stretch.start_ms, end_ms),
    )


def _end_of(rounds: Rows, groups: Rows, followed: NDArray[np.int64], start_ms: float) -> float:
    """When the last of the followed sessions has ended, or when there would be too much to keep."""
    theirs = np.sort(groups["arrival_ms"][np.isin(rounds["session"], followed)])
    began = np.unique(rounds["began_ms"][rounds["began_ms"] >= start_ms])
    end_ms = float(theirs[min(theirs.size, MOST_ROUNDS) - 1])
    return min(end_ms, float(began[MOST_ITERATIONS])) if began.size > MOST_ITERATIONS else end_ms


def _session(
    deployed: Deployed, session: Rows, rounds: Rows, groups: Rows, start_ms: float, end_ms: float
) -> SessionExcerpt:
    mine = (rounds["session"] == session["number"]) & (groups["arrival_ms"] <= end_ms)
    stream = deployed.streams[int(session["stream"])]
    device = int(session["device"])
    pools = deployed.drafts[: stream.draft or 0]
    ended = session["done"] == 1 and session["last_ms"] <= end_ms
    own, arrived = rounds[mine], groups[mine]
    asked, sent, joined, began, verified = (_times(own[f"{name}_ms"], start_ms) for name in TIMES)
    return SessionExcerpt(
        request=int(session["number"]),
        workload=stream.workload.name,
        mode=stream.mode,
        prompt_tokens=int(session["prompt"]),
        output_tokens=int(session["output"]),
        draft_device=None if device == NONE else device - sum(pool.count for pool in pools),
        came_ms=round(float(session["started_ms"]) - start_ms, DIGITS),
        ended_ms=round(float(session["last_ms"]) - start_ms, DIGITS) if ended else None,
        asked_ms=asked,
        sent_ms=sent,
        joined_ms=joined,
        began_ms=began,
        verified_ms=verified,
        arrived_ms=_times(arrived["arrival_ms"], start_ms),
        window=tuple(own["window"].tolist()),
        accepted=tuple(own["accepted"].tolist()),
        tokens=tuple(arrived["tokens"].tolist()),
    )


def _iterations(rounds: Rows, groups: Rows, start_ms: float, end_ms: float) -> dict[str, Any]:
    """Columns by iteration of those that began in the excerpt."""
    inside = (rounds["began_ms"] >= start_ms) & (rounds["began_ms"] <= end_ms)
    own, emitted = rounds[inside], groups["tokens"][inside]
    began, at, of = np.unique(own["began_ms"], return_index=True, return_inverse=True)
    prefill = own["round"] == 0
    verifies = ~prefill & (own["window"] > 0)

    def sums(weights: Array | NDArray[np.int64] | Mask) -> Array:
        total: Array = np.bincount(of, weights.astype(np.float64), minlength=began.size).astype(np.float64)
        return total

    many, windows = sums(verifies), sums(np.where(verifies, own["window"], 0))
    return {
        "iteration_began_ms": _times(began, start_ms),
        "iteration_drafted_ms": _times(own["drafted_ms"][at], start_ms),
        "iteration_ended_ms": _times(own["ended_ms"][at], start_ms),
        "prefills": tuple(sums(prefill).astype(int).tolist()),
        "rounds": tuple(sums(~prefill).astype(int).tolist()),
        "mean_window": tuple(
            round(w / n, DIGITS) if n > 0 else None for w, n in zip(windows.tolist(), many.tolist(), strict=True)
        ),
        "tokens": tuple(sums(emitted).astype(int).tolist()),
    }


def _queue(rounds: Rows, start_ms: float, end_ms: float) -> dict[str, Any]:
    """Jobs that wait for the replica's next iteration, from the excerpt's beginning on, wherever that changes."""
    # What falls together may differ in a float's last digit: a job that leaves must not count before it came.
    times = np.round(np.concatenate([rounds["joined_ms"], rounds["began_ms"]]) - start_ms, DIGITS)
    steps = np.concatenate([np.ones(rounds.size), -np.ones(rounds.size)])
    before = int(steps[times <= 0.0].sum())
    inside = (times > 0.0) & (times <= end_ms - start_ms)
    at_ms, where = np.unique(times[inside], return_inverse=True)
    changes = np.bincount(where, steps[inside], minlength=at_ms.size)
    kept = changes != 0.0
    lengths = before + np.cumsum(changes)[kept]
    return {
        "queue_at_ms": (0.0, *at_ms[kept].tolist()),
        "queue": (before, *lengths.astype(int).tolist()),
    }


def _times(at_ms: Array, start_ms: float) -> tuple[float, ...]:
    return tuple(round(ms - start_ms, DIGITS) for ms in at_ms.tolist())
