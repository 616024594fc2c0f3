"""Many numbers whose mean and quantiles are asked for: all of them kept while they are few, then counted in bins."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EXACT = 1 << 18
"""So many numbers are kept as they are: 2 MiB."""
RATIO = 1.004
"""Width of a bin: a quantile is off by .2 % at most."""
USUAL = (0.50, 0.95, 0.99)
"""Quantiles that are looked for together, when one of them is."""
SMALLEST, LARGEST = 1e-6, 1e12
_FIRST = log(SMALLEST)
_BINS = int((log(LARGEST) - _FIRST) / log(RATIO)) + 2
"""Bin 0 holds what is below SMALLEST, zero above all."""


class Values:
    """A growing collection of numbers ≥ 0; its memory does not grow beyond EXACT of them."""

    def __init__(self, values: Array | None = None) -> None:
        self.size = 0
        self._sum = 0.0
        self._parts: list[Array] = []
        self._known: dict[float, float] = {}
        self._bins: NDArray[np.int64] | None = None
        if values is not None:
            self.add(values)

    @property
    def exact(self) -> bool:
        """Whether every number is still known."""
        return self._bins is None

    def add(self, values: Array) -> None:
        """Take in more numbers."""
        if values.size == 0:
            return
        self._known = {}
        self.size += values.size
        self._sum += float(values.sum())
        if self._bins is not None:
            self._bins += _counted(values)
        else:
            self._parts.append(values)
            if self.size > EXACT:
                self._bins = _counted(self._all())
                self._parts = []

    def mean(self) -> float:
        """Raises ZeroDivisionError where there is no number."""
        return float(self._all().mean()) if self.exact and self.size else self._sum / self.size

    def quantile(self, share: float) -> float:
        """Of few numbers with linear interpolation (as numpy), of many the middle of the bin that holds it."""
        if self._bins is None:
            if share not in self._known:
                ascending = np.sort(self._all())
                self._known = {wanted: _interpolated(ascending, wanted) for wanted in {*USUAL, share}}
            return self._known[share]
        rank = share * (self.size - 1)
        bin_ = int(np.searchsorted(np.cumsum(self._bins), rank, side="right"))
        return 0.0 if bin_ == 0 else float(np.exp(_FIRST + (bin_ - 0.5) * log(RATIO)))

    def _all(self) -> Array:
        if len(self._parts) != 1:
            self._parts = [np.concatenate([np.zeros(0), *self._parts])]
        return self._parts[0]

    @staticmethod
    def pooled(collections: Iterable[Values]) -> Values:
        """All numbers together; kept as they are if all of them still are."""
        several = list(collections)
        if len(several) == 1:
            return several[0]
        made = Values()
        made.size = sum(values.size for values in several)
        made._sum = sum(values._sum for values in several)
        if all(values.exact for values in several):
            made._parts = [part for values in several for part in values._parts]
        else:
            made._bins = np.zeros(_BINS, dtype=np.int64)
            for values in several:
                made._bins += _counted(values._all()) if values._bins is None else values._bins
        return made


def _interpolated(ascending: Array, share: float) -> float:
    """As numpy's, to the bit, which spends more on a small array's preparation than on the array."""
    place = share * (ascending.size - 1)
    below = int(place)
    if below + 1 >= ascending.size:
        return float(ascending[-1])
    low, high, part = float(ascending[below]), float(ascending[below + 1]), place - below
    return high - (high - low) * (1.0 - part) if part >= 0.5 else low + (high - low) * part


def _counted(values: Array) -> NDArray[np.int64]:
    from dsd_plan.replay.counting import count_by_size

    bins = np.zeros(_BINS, dtype=np.int64)
    count_by_size(values, SMALLEST, RATIO, bins)
    return bins
