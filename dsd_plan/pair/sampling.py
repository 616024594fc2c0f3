"""From logits to distributions, and from distributions to tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def distribution(logits: NDArray[np.floating], temperature: float, top_p: float = 1.0) -> Probabilities:
    """Sampling distribution float64[..., vocab] of ``logits`` [..., vocab].

    ``temperature`` 0 puts everything on the most likely token (the lowest id among equals). ``top_p`` keeps
    the smallest set of most likely tokens that holds at least that much (Holtzman et al. 1904.09751).
    Raises ``ValueError`` for a negative temperature or a ``top_p`` outside (0, 1].
    """
    if not temperature >= 0.0:
        raise ValueError(f"temperature is {temperature}; it must be at least 0")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p is {top_p}; it must be above 0 and at most 1")
    if temperature == 0.0:
        chosen = logits.argmax(axis=-1)
        certain: Probabilities = np.zeros(logits.shape)
        np.put_along_axis(certain, chosen[..., None], 1.0, axis=-1)
        return certain
    scaled = logits.astype(np.float64) / temperature
    weights: Probabilities = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights if top_p == 1.0 else _nucleus(weights, top_p)


def _nucleus(weights: Probabilities, top_p: float) -> Probabilities:
    order = np.argsort(-weights, axis=-1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=-1)
    before = np.cumsum(ranked, axis=-1) - ranked
    ranked[before >= top_p] = 0.0
    kept: Probabilities = np.zeros(weights.shape)
    np.put_along_axis(kept, order, ranked, axis=-1)
    kept /= kept.sum(axis=-1, keepdims=True)
    return kept


class Chance(Protocol):
    """Where randomness comes from. The first axis of every argument is the batch of sequences."""

    def choose(self, probabilities: Probabilities) -> Ints:
        """One token id for every distribution: [batch, ..., vocab] to int[batch, ...]."""
        ...

    def accept(self, probabilities: Probabilities) -> Bools:
        """True with each of the given probabilities: [batch, n] to bool[batch, n]."""
        ...

    def keep(self, rows: Ints) -> None:
        """Go on with the sequences at these rows of the batch only."""
        ...


class SeededChance:
    """One generator a sequence, so that a sequence's tokens do not depend on what runs beside it."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = list(generators)

    def choose(self, probabilities: Probabilities) -> Ints:
        """By inversion: one uniform number a token."""
        cumulated = np.cumsum(probabilities, axis=-1)
        drawn = self._uniforms(probabilities.shape[1:-1])[..., None] * cumulated[..., -1:]
        # "<=" and not "<": a token of probability 0 must not be chosen when the draw is exactly 0.
        chosen: Ints = (cumulated <= drawn).sum(axis=-1)
        return chosen

    def accept(self, probabilities: Probabilities) -> Bools:
        """One uniform number a decision."""
        accepted: Bools = self._uniforms(probabilities.shape[1:]) < probabilities
        return accepted

    def keep(self, rows: Ints) -> None:
        """Drop the generators of the other rows."""
        self._generators = [self._generators[row] for row in rows]

    def _uniforms(self, shape: tuple[int, ...]) -> Probabilities:
        return np.stack([generator.random(shape) for generator in self._generators])
