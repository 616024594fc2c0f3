"""A mean round taken apart, so that a person can add it up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a round: what happens, how that comes about, and how long it takes on average."""

    what: str
    how: str
    ms: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A workload's mean round: TPOT is the sum of the lines over `tokens_per_round`, and `rest_ms`."""

    workload: str
    lines: tuple[Line, ...]
    tokens_per_round: float
    rest_ms: float
    """What a token bears of the rest: rounds of unequal length, the first round after the prompt, late last tokens."""
    tpot_ms: float

    @property
    def round_ms(self) -> float:
        """Sum of the lines."""
        return sum(line.ms for line in self.lines)
