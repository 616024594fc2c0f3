"""From histograms of accepted drafts, or from counters, to counts by position."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.acceptance import AcceptanceCounts, TraceMetadata

SHORT_ROUNDS = 0.01
"""Share of missing proposals up to which every round is taken as a full window."""


def from_histogram(
    metadata: TraceMetadata, histogram: Sequence[int], window: int, proposed: int | None
) -> tuple[AcceptanceCounts, tuple[str, ...]]:
    """`histogram[j]` rounds accepted exactly j of at most `window` drafts, of which `proposed` were made in all.

    Where many rounds proposed less than the window, no position can be told how often it was asked: only the
    totals are kept.
    """
    rounds = sum(histogram)
    kept = tuple(sum(histogram[position:]) for position in range(1, window + 1))
    return by_position(metadata, rounds, kept, proposed)


def by_position(
    metadata: TraceMetadata, rounds: int, kept: Sequence[int], proposed: int | None
) -> tuple[AcceptanceCounts, tuple[str, ...]]:
    """`kept[i − 1]` of `rounds` rounds kept their first i drafts; as `from_histogram` otherwise."""
    window = len(kept)
    full = rounds * window
    accepted = sum(kept)
    if proposed is not None and proposed < full * (1 - SHORT_ROUNDS):
        note = (
            f"{proposed:,} of {full:,} possible drafts were proposed: windows differed, so survival by position "
            "cannot be told from these counters; only the totals are kept"
        )
        return AcceptanceCounts(metadata=metadata, rounds=rounds, proposed=proposed, accepted=accepted), (note,)
    notes: tuple[str, ...] = ()
    if proposed is not None and proposed != full:
        share = 1 - proposed / full
        notes = (f"{share:.2%} of the drafts of full windows were not proposed; every round is taken as full",)
    return AcceptanceCounts(metadata=metadata, reached=(rounds,) * window, kept=tuple(kept)), notes
