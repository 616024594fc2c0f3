"""Recorded acceptance as rounds of requests, in the two forms that fits need: sequences, and counts by request.

A round (w, a) proposed w tokens and kept a of them. Where a request ends inside a round, only what it still had to
say counts as proposed, so that the end of a text is no rejection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import RoundTrace, TokenTrace

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class RoundTable:
    """Rounds ordered by request; `request` counts from 0."""

    request: Whole
    proposed: Whole
    accepted: Whole

    @property
    def requests(self) -> int:
        """How many there are."""
        return int(self.request[-1]) + 1

    @property
    def window(self) -> int:
        """The largest proposed."""
        return int(self.proposed.max())

    def reached(self, window: int) -> Array:
        """Rounds of each request in which position i was tried (all before it kept), shape (requests, window)."""
        return self._counts(np.minimum(self.proposed, self.accepted + 1), window)

    def kept(self, window: int) -> Array:
        """Those in which it was kept too."""
        return self._counts(self.accepted, window)

    def _counts(self, most: Whole, window: int) -> Array:
        counts = np.zeros((self.requests, window + 2))
        np.add.at(counts, (self.request, np.clip(most, 0, window)), 1.0)
        return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1][:, 1 : window + 1].copy()

    def whole(self, window: int) -> RoundTable:
        """The same rounds as if no more than `window` had been proposed; those that proposed less are left out.

        All of them: to keep those that missed early would favour misses.
        """
        keep = self.proposed >= window
        _, request = np.unique(self.request[keep], return_inverse=True)
        proposed = np.full(int(keep.sum()), window, dtype=np.int64)
        return RoundTable(request.astype(np.int64), proposed, np.minimum(self.accepted[keep], window))


def rounds_of(trace: TokenTrace | RoundTrace, window: int) -> RoundTable:
    """Rounds of a trace; a token trace is played at `window`, each request from its first token."""
    if isinstance(trace, RoundTrace):
        order = np.argsort(trace.request_id, kind="stable")
        _, request = np.unique(trace.request_id[order], return_inverse=True)
        proposed = np.minimum(trace.proposed[order], window)
        keep = proposed > 0
        return RoundTable(
            request[keep].astype(np.int64), proposed[keep], np.minimum(trace.accepted[order], window)[keep]
        )
    starts = trace.request_starts()
    ends = np.append(starts[1:], trace.match.size)
    played = [_play(trace.match[a:b], window) for a, b in zip(starts, ends, strict=True)]
    request = np.repeat(np.arange(len(played)), [len(one) for one in played])
    rounds = np.array([row for one in played for row in one], dtype=np.int64).reshape(-1, 2)
    return RoundTable(request.astype(np.int64), rounds[:, 0].copy(), rounds[:, 1].copy())


def _play(match: NDArray[np.uint8], window: int) -> list[tuple[int, int]]:
    misses = [*np.flatnonzero(match == 0).tolist(), match.size]
    rounds: list[tuple[int, int]] = []
    position, at = 0, 0
    while position < match.size:
        while misses[at] < position:
            at += 1
        proposed = min(window, match.size - position)
        accepted = min(proposed, misses[at] - position)
        rounds.append((proposed, accepted))
        position += accepted + 1
    return rounds


def rounds_to_emit(table: RoundTable, tokens: int) -> Array:
    """Rounds in which each request that goes so far emitted its first `tokens` tokens."""
    emitted = table.accepted + 1
    starts = np.flatnonzero(np.diff(table.request, prepend=-1))
    total = np.cumsum(emitted)
    before = (total - emitted)[starts]
    done = np.searchsorted(total, before + tokens)
    ends = np.append(starts[1:], table.request.size)
    goes = done < ends
    return (done - starts + 1)[goes].astype(np.float64)
