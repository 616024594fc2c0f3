"""Prompts of a wanted length, all different, so that no prefix cache can answer for the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u")


@dataclass(frozen=True, slots=True)
class WordCount:
    """How many tokens the server counts for a prompt of so many words: `fixed` + `per_word` · words."""

    fixed: float
    per_word: float

    def words(self, tokens: int) -> int:
        """Words of a prompt of about so many tokens, at least one."""
        return max(1, round((tokens - self.fixed) / self.per_word))


def word_count(short: tuple[int, int], long: tuple[int, int]) -> WordCount:
    """The line through two prompts, each (words, tokens that the server counted)."""
    per_word = (long[1] - short[1]) / (long[0] - short[0])
    return WordCount(fixed=short[1] - per_word * short[0], per_word=per_word)


class Prompts:
    """An endless supply of invented words. The salt differs from run to run: a server remembers the last one's."""

    def __init__(self, seed: int, salt: int) -> None:
        self._rng = np.random.default_rng((seed, salt))

    def text(self, words: int) -> str:
        """So many words of two syllables, drawn anew."""
        onsets = self._rng.integers(len(ONSETS), size=(words, 2))
        vowels = self._rng.integers(len(VOWELS), size=(words, 2))
        return " ".join(
            ONSETS[o1] + VOWELS[v1] + ONSETS[o2] + VOWELS[v2]
            for (o1, o2), (v1, v2) in zip(onsets.tolist(), vowels.tolist(), strict=True)
        )
