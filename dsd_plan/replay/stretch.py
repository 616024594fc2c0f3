"""A short stretch of one replication with every round in it, behind the usual warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.collecting import Chunk, Collector
from dsd_plan.replay.engine import BACKGROUND, Run, horizon_of, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.layout import MS_PER_S, NONE, Rows


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What happened from `start_ms` to `end_ms`; sessions and rounds that only touch it are here whole."""

    start_ms: float
    end_ms: float
    first: int
    """The sessions first … end − 1 began in it and are to be followed."""
    end: int
    sessions: Rows
    groups: Rows
    rounds: Rows
    """Parallel to `groups`."""


def played(
    deployed: Deployed,
    seed: int,
    requests: int,
    *,
    replication: int = 0,
    sessions: int = 1,
    seconds: float | None = None,
) -> Stretch:
    """Play a replication, as `requests` of it would be, until `sessions` that began behind the warm-up have ended.

    With `seconds` the stretch is so long instead, and all sessions are followed that begin in it.
    """
    horizon, users = horizon_of(deployed, requests), users_of(deployed)
    most = 2 * (requests + sessions + users.size) + BACKGROUND
    run = Run(tables_of(deployed), keys_of(deployed, seed, replication), users, most, slots=1 << 12, keep_rounds=True)
    kept: list[Chunk] = []
    collector = Collector(kept.append)
    run.mark_at(horizon.warm_ms, horizon.warm[0])
    run.advance(collector.make_room)
    # Whoever was handed on by now had ended before the stretch begins.
    kept.clear()
    opened = run.mark()
    end_ms = inf if seconds is None else opened.at_ms + seconds * MS_PER_S
    run.mark_at(end_ms, opened.started + sessions if seconds is None else NONE)
    run.advance(collector.make_room)
    last = int(run.worlds["started"][0])
    run.mark_at(inf, NONE)
    run.watch(opened.started if seconds is None else 0, last)
    run.advance(collector.make_room)
    collector.finish(run)
    rows = np.concatenate([chunk.sessions for chunk in kept])
    if seconds is None:
        followed = rows[(rows["number"] >= opened.started) & (rows["number"] < last)]
        end_ms = float(followed["last_ms"].max(initial=opened.at_ms))
    return Stretch(
        start_ms=opened.at_ms,
        end_ms=end_ms,
        first=opened.started,
        end=last,
        sessions=rows,
        groups=np.concatenate([chunk.groups for chunk in kept]),
        rounds=np.concatenate([chunk.rounds for chunk in kept]),
    )
