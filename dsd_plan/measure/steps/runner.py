"""Something whose steps can be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from dsd_plan.measure.machine import available_memory_bytes
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.pair.transformer import KvCache, Transformer


class Runner(Protocol):
    """A model on the device that is measured."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def backend(self) -> str:
        """What runs it."""
        ...

    @property
    def precision(self) -> str:
        """Number format it computes in."""
        ...

    @property
    def max_context(self) -> int:
        """Longest sequence, in tokens."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights."""
        ...

    @property
    def kv_bytes_per_token(self) -> int:
        """Memory that one token adds to the cache."""
        ...

    @property
    def memory_limit_bytes(self) -> int | None:
        """Memory that the model and its cache may fill; None where it is not known."""
        ...

    @property
    def cpu_bound(self) -> bool:
        """Whether a step keeps a core of this process busy all the time, as no step on an accelerator does."""
        ...

    @property
    def details(self) -> dict[str, str | float | int | bool | None]:
        """What else a reader must know to trust the numbers; goes to the profile's method."""
        ...

    @property
    def software(self) -> dict[str, str]:
        """Names and versions of libraries that run the steps."""
        ...

    def memory_bytes(self, point: GridPoint) -> int:
        """Estimate of what a point needs: weights, cache and work space."""
        ...

    def prepared(self, point: GridPoint) -> Callable[[], None]:
        """One step of this kind, ready to be run again and again; it returns when the step is done.

        A prefill point with context puts its new tokens on top of a cached prefix.
        """
        ...

    def close(self) -> None:
        """Free what the model holds; no step is asked for afterwards."""
        ...


class TransformerRunner:
    """A numpy transformer in this process."""

    backend = "numpy"
    precision = "float32"
    cpu_bound = True

    def __init__(self, transformer: Transformer, model: str, seed: int = 0) -> None:
        self._transformer = transformer
        self.model = model
        self.max_context = transformer.shape.max_context
        self.weight_bytes = transformer.shape.weight_bytes
        self.kv_bytes_per_token = transformer.shape.kv_bytes_per_token
        self.memory_limit_bytes = available_memory_bytes()
        self.details: dict[str, str | float | int | bool | None] = {}
        self.software: dict[str, str] = {}
        self._rng = np.random.default_rng(seed)
        self._caches: dict[int, KvCache] = {}

    def prepared(self, point: GridPoint) -> Callable[[], None]:
        """The cache holds random keys and values: how long a step takes does not depend on what they say."""
        cache = self._cache(point.batch)
        lengths = np.full(point.batch, point.context_tokens, dtype=np.int64)
        tokens = self._rng.integers(0, self._transformer.shape.vocab, (point.batch, point.new_tokens))

        def step() -> None:
            cache.lengths = lengths
            self._transformer.forward(tokens, cache)

        return step

    def memory_bytes(self, point: GridPoint) -> int:
        """Weights, and the caches of all batches measured so far: one is kept for every batch."""
        kept = {*self._caches, point.batch}
        return self.weight_bytes + sum(kept) * self.max_context * self.kv_bytes_per_token

    def close(self) -> None:
        """Forget the caches."""
        self._caches.clear()

    def _cache(self, batch: int) -> KvCache:
        if batch not in self._caches:
            cache = self._transformer.new_cache(batch, self.max_context)
            for part in (cache.keys, cache.values):
                self._rng.standard_normal(out=part, dtype=np.float32)
            self._caches[batch] = cache
        return self._caches[batch]
