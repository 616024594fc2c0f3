"""What speculation needs of a model: logits of new tokens over a cache that can be rolled back."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class RollbackCache(Protocol):
    """Keys and values of a batch of sequences; each sequence has its own length."""

    lengths: Ints

    def truncate(self, lengths: Ints) -> None:
        """Forget everything past ``lengths`` tokens (int[batch])."""
        ...

    def keep(self, rows: Ints) -> None:
        """Go on with the sequences at ``rows`` of the batch; a row named twice is copied."""
        ...


class CausalModel(Protocol):
    """A decoder, wherever it runs."""

    def new_cache(self, batch: int, capacity: int) -> Any:
        """An empty ``RollbackCache``. Raises ``ValueError`` for more ``capacity`` than the model's context."""
        ...

    def forward(self, tokens: Ints, cache: Any) -> Floats:
        """Append ``tokens`` (int[batch, new]) to every sequence of a cache of ``new_cache``.

        Returns logits float32[batch, new, vocab]; row i is the distribution of the token after ``tokens[:, i]``.
        """
        ...
