"""How a run went over time and over requests, in memory that does not grow with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 512
MOST_BATCHES = 4096

STARTS, START_MS, ENDS, END_MS, TOKENS, TPOTS, TPOT_MS, FIRSTS, TTFT_MS = range(9)
"""What a bin sums: sessions that start in it and when; that end in it and when; tokens that arrive; and of the
requests that end in it (TPOT) or get their first token in it (TTFT) how many and how long."""


class TimeBins:
    """Sums by workload over equal stretches of time, which double when the run outgrows them.

    With one row for several workloads they are all summed in it.
    """

    def __init__(self, workloads: int) -> None:
        self.width_ms = 1.0
        self.sums = np.zeros((9, workloads, BINS))

    def add(self, what: int, workload: NDArray[np.int64], at_ms: Array, weights: Array | None = None) -> None:
        """Add one, or the weight, to the bin of each time."""
        if at_ms.size == 0:
            return
        self.reach(float(at_ms.max()))
        of = self.sums.shape[1]
        places = workload % of * BINS + (at_ms / self.width_ms).astype(np.int64)
        self.sums[what] += np.bincount(places, weights, minlength=of * BINS).reshape(of, BINS)

    def reach(self, last_ms: float) -> None:
        """Have bins up to this time."""
        while last_ms >= BINS * self.width_ms:
            pairs = self.sums.reshape(*self.sums.shape[:2], BINS // 2, 2).sum(axis=3)
            self.sums = np.concatenate([pairs, np.zeros_like(pairs)], axis=2)
            self.width_ms *= 2.0

    def edges_ms(self) -> Array:
        """Where the bins begin, and where the last one ends."""
        return np.arange(BINS + 1, dtype=np.float64) * self.width_ms

    def live_ms(self) -> Array:
        """Time that all live sessions together have spent up to each edge, by workload."""
        edges = self.edges_ms()

        def since(count: int, sum_ms: int) -> Array:
            before = np.cumsum(self.sums[[count, sum_ms]], axis=2)
            before = np.concatenate([np.zeros((*before.shape[:2], 1)), before], axis=2)
            return np.asarray(edges * before[0] - before[1])

        return since(STARTS, START_MS) - since(ENDS, END_MS)

    def live(self, width_ms: float) -> Array:
        """Mean number of live sessions by stretch of this width, which is a multiple of the bins'."""
        spent = self.live_ms().sum(axis=0)[:: int(width_ms / self.width_ms)]
        return np.asarray(np.diff(spent) / width_ms)

    def mean_live(self, start_ms: float, end_ms: float) -> float:
        """Mean number of live sessions in a stretch; within a bin as if spread evenly."""
        spent = self.live_ms().sum(axis=0)
        first, last = np.interp([start_ms, end_ms], self.edges_ms(), spent)
        return float(last - first) / (end_ms - start_ms) if end_ms > start_ms else 0.0


class BatchMeans:
    """Values in order, as means of batches of equal size that doubles when there are too many of them."""

    def __init__(self) -> None:
        self.size = 1
        self._sums = np.zeros(0)
        self._rest = np.zeros(0)

    def add(self, values: Array) -> None:
        """Append."""
        values = np.concatenate([self._rest, values])
        while True:
            take = min(values.size // self.size, MOST_BATCHES - self._sums.size)
            batches = values[: take * self.size].reshape(take, self.size)
            self._sums = np.concatenate([self._sums, batches.sum(axis=1)])
            values = values[take * self.size :]
            if self._sums.size < MOST_BATCHES:
                self._rest = values
                return
            self._sums = self._sums.reshape(-1, 2).sum(axis=1)
            self.size *= 2

    def means(self, size: int | None = None) -> Array:
        """Of whole batches; `size` a multiple of the size kept."""
        whole = self.size if size is None else size
        each = whole // self.size
        count = self._sums.size // each
        return np.asarray(self._sums[: count * each].reshape(count, each).sum(axis=1) / whole)
