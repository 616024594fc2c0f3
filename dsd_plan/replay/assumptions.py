"""What a plan's acceptance rests on that its evidence does not tell, and what the plan says in vain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsd_plan.domain.acceptance import AcceptanceLaw, RoundTrace
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.idle_caps import idle_cap_notes


def assumptions(deployed: Deployed) -> Iterator[str]:
    """A sentence each, for the notes of a result."""
    yield from idle_cap_notes(deployed)
    for stream in deployed.streams:
        yield from _paths(stream)
        yield from _rounds(stream)


def _paths(stream: Stream) -> Iterator[str]:
    candidates = stream.assignment.candidates
    if candidates > 1 and isinstance(stream.acceptance, AcceptanceLaw):
        yield (
            f"{stream.workload.name}: {candidates} candidate paths are accepted as if they were independent, "
            f"1 − (1 − p)^{candidates} a position, which is optimistic; record rounds of {candidates} paths"
        )


def _rounds(stream: Stream) -> Iterator[str]:
    trace = stream.acceptance
    if not isinstance(trace, RoundTrace):
        return
    alike = float(np.mean(trace.proposed == stream.window))
    if alike < 1.0:
        of = "no recorded round" if alike == 0.0 else f"{alike:.0%} of the recorded rounds"
        yield (
            f"{stream.workload.name}: {of} proposed {stream.window} tokens; in the place of others, acceptance is "
            "drawn by position from all of them"
        )
