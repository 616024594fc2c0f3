"""What is done for every group of tokens after the kernel: compiled, and without the GIL, as the kernel is."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dsd_plan.replay.layout import Rows

Indices = NDArray[np.int64]
Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def parted(rows: Rows, end: int, ready: Rows, rest: Rows) -> int:
    """Copy rows of sessions before `end` into `ready`, the others into `rest`; how many are ready."""
    count = 0
    for at in range(rows.size):
        if rows[at].session < end:
            ready[count] = rows[at]
            count += 1
        else:
            rest[at - count] = rows[at]
    return count


@njit(cache=True, nogil=True)
def count_tokens(
    groups: Rows, first: int, workload: Indices, marks_ms: Array, arrived: Array, bins: Array, width_ms: float
) -> None:
    """Add each group's tokens to arrived[workload, stretch] and bins[workload, bin] of when they arrive.

    `workload` is by session from number `first` on; stretch s lies behind the first s marks. A single row of bins
    takes in all workloads.
    """
    for at in range(groups.size):
        arrival_ms = groups[at].arrival_ms
        of = workload[groups[at].session - first]
        stretch = marks_ms.size
        while stretch > 0 and arrival_ms < marks_ms[stretch - 1]:
            stretch -= 1
        arrived[of, stretch] += groups[at].tokens
        bins[of % bins.shape[0], int(arrival_ms / width_ms)] += groups[at].tokens


@njit(cache=True, nogil=True)
def sorted_gaps(groups: Rows, first: int, place: Indices, counts: Indices, gaps: Array) -> None:
    """Gaps > 0 of the groups, those of each place together and in order; `counts` says how many of each.

    `place` is by session from number `first` on, negative for sessions to leave out.
    """
    counts[:] = 0
    for at in range(groups.size):
        of = place[groups[at].session - first]
        if of >= 0 and groups[at].gap_ms > 0.0:
            counts[of] += 1
    ends = np.cumsum(counts) - counts
    for at in range(groups.size):
        of = place[groups[at].session - first]
        if of >= 0 and groups[at].gap_ms > 0.0:
            gaps[ends[of]] = groups[at].gap_ms
            ends[of] += 1


@njit(cache=True, nogil=True)
def count_by_size(values: Array, smallest: float, ratio: float, bins: Indices) -> None:
    """Add each value to its bin: bin 0 up to `smallest`, each next one `ratio` times as far, the last one open."""
    per_bin = 1.0 / log(ratio)
    begin = log(smallest)
    for value in values:
        if value <= smallest:
            bins[0] += 1
        else:
            bins[min(int((log(value) - begin) * per_bin) + 1, bins.size - 1)] += 1


def load() -> None:
    """Take these functions from the cache, or compile them, for the types they are called with."""
    from dsd_plan.replay.layout import GROUP

    none: dict[Any, Any] = {kind: np.zeros(0, dtype=kind) for kind in (np.int64, np.float64)}
    groups, table = np.zeros(0, dtype=GROUP), np.zeros((1, 1))
    parted(groups, 0, groups, groups)
    count_tokens(groups, 0, none[np.int64], none[np.float64], table, table, 1.0)
    sorted_gaps(groups, 0, none[np.int64], none[np.int64], none[np.float64])
    count_by_size(none[np.float64], 1.0, 2.0, none[np.int64])
