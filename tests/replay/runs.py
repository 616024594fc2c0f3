"""The kernel run to the end, without marks."""

from __future__ import annotations

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import FINISHED


def kernel_run(deployed: Deployed, seed: int = 0, replication: int = 0, most: int = 100) -> Run:
    """Replay until `most` sessions have started and all of them have ended."""
    run = Run(tables_of(deployed), keys_of(deployed, seed, replication), users_of(deployed), most)
    assert run.advance() == FINISHED
    return run
