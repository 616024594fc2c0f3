"""A chance that takes every branch in turn and knows each branch's probability, so that a law is found exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product

import numpy as np

MAX_PATHS = 60_000


class EnumeratedChance:
    """Follows a fixed prefix of decisions, then always the first possible one; remembers what else was possible."""

    def __init__(self, prefix: tuple[int, ...]) -> None:
        self.taken: list[int] = list(prefix)
        self.options: list[list[float]] = []
        self.probability = 1.0

    def _decide(self, probabilities: np.ndarray) -> int:
        at = len(self.options)
        self.options.append(probabilities.tolist())
        if at == len(self.taken):
            self.taken.append(int(np.flatnonzero(probabilities > 0.0)[0]))
        chosen = self.taken[at]
        self.probability *= float(probabilities[chosen])
        return chosen

    def choose(self, probabilities: np.ndarray) -> np.ndarray:
        assert len(probabilities) == 1
        chosen = np.zeros(probabilities.shape[:-1], dtype=np.int64)
        for place in product(*map(range, chosen.shape)):
            chosen[place] = self._decide(probabilities[place])
        return chosen

    def accept(self, probabilities: np.ndarray) -> np.ndarray:
        return np.array([[self._decide(np.array([1.0 - p, p])) == 1 for p in probabilities[0]]])

    def keep(self, rows: np.ndarray) -> None:
        assert len(rows) == 0


def exact_law(run: Callable[[EnumeratedChance], tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """Probability of every output of ``run``, by running every path of decisions once."""
    law: Counter[tuple[int, ...]] = Counter()
    prefixes: list[tuple[int, ...]] = [()]
    paths = 0
    while prefixes:
        prefix = prefixes.pop()
        chance = EnumeratedChance(prefix)
        law[run(chance)] += chance.probability
        paths += 1
        assert paths <= MAX_PATHS, "too many paths to enumerate"
        for at in range(len(prefix), len(chance.options)):
            later = range(chance.taken[at] + 1, len(chance.options[at]))
            possible = (option for option in later if chance.options[at][option] > 0.0)
            prefixes.extend((*chance.taken[:at], option) for option in possible)
    return dict(law)
