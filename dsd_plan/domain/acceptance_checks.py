"""Do counters of acceptance make sense?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.errors import Problem


def counts_problems(counts: AcceptanceCounts) -> tuple[Problem, ...]:
    """Everything in counters that cannot be true."""
    return (*_positions(counts), *_totals(counts))


def _positions(counts: AcceptanceCounts) -> Iterator[Problem]:
    if len(counts.reached) != len(counts.kept):
        yield Problem("kept", f"found {len(counts.kept)} positions, reached has {len(counts.reached)}")
    for name in ("reached", "kept"):
        for i, (before, after) in enumerate(pairwise(getattr(counts, name)), start=1):
            if after > before:
                yield Problem(f"{name}[{i}]", f"found {after}, expected no more than the {before} before it")
    for i, (reached, kept) in enumerate(zip(counts.reached, counts.kept, strict=False)):
        if kept > reached:
            yield Problem(f"kept[{i}]", f"found {kept}, expected no more than the {reached} that were reached")
        if reached == 0:
            yield Problem(f"reached[{i}]", "found 0; leave out positions that no round proposed")


def _totals(counts: AcceptanceCounts) -> Iterator[Problem]:
    told = [
        name
        for name in ("rounds", "proposed", "accepted", "window", "tokens_per_round")
        if getattr(counts, name) is not None
    ]
    if counts.reached:
        for name in told:
            yield Problem(name, "is told beside positions, from which it follows; leave it out")
        return
    if counts.accepted is None and counts.tokens_per_round is None:
        yield Problem("reached", "missing, and so are totals; give reached and kept, or accepted, or tokens_per_round")
    if counts.accepted is not None and counts.proposed is not None and counts.accepted > counts.proposed:
        yield Problem("accepted", f"found {counts.accepted}, expected no more than the {counts.proposed} proposed")
    if counts.tokens_per_round is not None and counts.tokens_per_round < 1:
        yield Problem("tokens_per_round", f"found {counts.tokens_per_round:g}, expected 1 or more: a round emits one")
