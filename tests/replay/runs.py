"""The kernel run to the end, without marks, and a replication with all that it left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.collecting import Chunk
from dsd_plan.replay.engine import Run, horizon_of, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import FINISHED
from dsd_plan.replay.layout import Rows
from dsd_plan.replay.recording import Mark
from dsd_plan.replay.replication import most_sessions, play


def kernel_run(
    deployed: Deployed, seed: int = 0, replication: int = 0, most: int = 100, keep_bills: bool = False
) -> Run:
    """Replay until `most` sessions have started and all of them have ended."""
    fixed, keys = tables_of(deployed), keys_of(deployed, seed, replication)
    run = Run(fixed, keys, users_of(deployed), most, keep_bills=keep_bills)
    assert run.advance() == FINISHED
    return run


@dataclass(frozen=True, eq=False)
class Recording:
    """Every session and group of tokens of a replication, between which marks it is measured, what came too late."""

    sessions: Rows
    groups: Rows
    opened: Mark
    closed: Mark
    refused: int


def record(deployed: Deployed, seed: int, replication: int, requests: int) -> Recording:
    """One replication, measured from its first mark on."""
    chunks: list[Chunk] = []
    horizon, users = horizon_of(deployed, requests), users_of(deployed)
    keys = keys_of(deployed, seed, replication)
    run = Run(tables_of(deployed), keys, users, most_sessions(horizon, users), slots=64, groups=1 << 10)
    ran = play(run, horizon, chunks.append, lambda mark: None)
    sessions = np.concatenate([chunk.sessions for chunk in chunks])
    groups = np.concatenate([chunk.groups for chunk in chunks])
    return Recording(sessions, groups, ran.marks[0], ran.marks[-1], ran.refused)
