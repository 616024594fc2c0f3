"""Acceptance of a round that verifies several candidate paths."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dsd_plan.domain.acceptance import (
    MORE_OF_A_ROUND,
    Acceptance,
    AcceptanceCounts,
    AcceptanceLaw,
    RoundTrace,
    acceptance_form,
)


@lru_cache(maxsize=64)
def with_candidates(acceptance: Acceptance, candidates: int) -> Acceptance:
    """Acceptance of rounds of so many paths, of which the longest run that stands is kept.

    Recorded rounds are taken as they are, where they are of so many paths. Of a law of one path each position's
    conditional rate p becomes 1 − (1 − p)^k: as if paths were independent, which is optimistic (measured paths are
    alike). Raises ValueError where the evidence cannot tell.
    """
    if isinstance(acceptance, RoundTrace):
        return _recorded(acceptance, candidates)
    if isinstance(acceptance, AcceptanceCounts):
        told = acceptance.metadata.candidates or 1
        if told != candidates:
            raise ValueError(f"the counters are of rounds of {told} candidate paths, the plan asks for {candidates}")
        return acceptance
    if candidates == 1:
        return acceptance
    if isinstance(acceptance, AcceptanceLaw):
        return _of_a_law(acceptance, candidates)
    raise ValueError(
        f"rounds of {candidates} candidate paths cannot be played on one path (a {acceptance_form(acceptance)}); "
        f"record rounds with `trace record --form rounds --candidates {candidates}`"
    )


def recorded_paths(acceptance: Acceptance) -> tuple[int, ...]:
    """Numbers of candidate paths whose rounds were recorded, ascending; 1 where paths were not, or nothing was."""
    if isinstance(acceptance, RoundTrace) and acceptance.candidates is not None:
        return tuple(sorted({int(paths) for paths in np.unique(acceptance.candidates)}))
    if isinstance(acceptance, RoundTrace | AcceptanceCounts):
        return (acceptance.metadata.candidates or 1,)
    return (1,)


def _recorded(trace: RoundTrace, candidates: int) -> RoundTrace:
    told = trace.metadata.candidates or 1
    of_row = np.full(trace.proposed.size, told) if trace.candidates is None else trace.candidates
    keep = of_row == candidates
    if not keep.any():
        found = sorted(set(of_row.tolist()))
        raise ValueError(
            f"the trace's rounds are of {', '.join(map(str, found))} candidate paths, the plan asks for {candidates}; "
            f"record rounds with `trace record --form rounds --candidates {candidates}`"
        )
    if keep.all():
        return trace
    return RoundTrace(
        metadata=trace.metadata,
        request_id=trace.request_id[keep],
        proposed=trace.proposed[keep],
        accepted=trace.accepted[keep],
        task=None if trace.task is None else trace.task[keep],
        **{name: values[keep] for name in MORE_OF_A_ROUND if (values := getattr(trace, name)) is not None},
    )


def _of_a_law(law: AcceptanceLaw, candidates: int) -> AcceptanceLaw:
    if law.survival is None:
        return AcceptanceLaw(per_token=1.0 - (1.0 - (law.per_token or 0.0)) ** candidates)
    survival: list[float] = []
    reached_one, reached = 1.0, 1.0
    for kept in law.survival:
        rate = kept / reached_one if reached_one > 0 else 0.0
        reached_one, reached = kept, reached * (1.0 - (1.0 - rate) ** candidates)
        survival.append(reached)
    return AcceptanceLaw(survival=tuple(survival), measured_window=law.measured_window)
